//! What a client asks for with its files, in the query or in fields of a form.

use super::super::app::App;
use crate::{
    accept::Submission,
    error::{ApiError, Code},
};
use axum::http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use shared::{
    config::Secret,
    document::{Priority, SplitMode},
    job::TENANT_DEFAULT,
    message::Traceparent,
    schema::SchemaRef,
};

/// The schema where none is given.
const SCHEMA_DEFAULT: &str = "generic";

/// The longest name of a file that is kept, in characters.
const FILENAME_CHARS_MAX: usize = 255;

/// The longest password, in bytes. (PDF 2.0 uses 127.)
const PASSWORD_BYTES_MAX: usize = 255;

/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 255;

/// The password of a raw body. Not a parameter of the query: addresses are logged.
const PASSWORD: HeaderName = HeaderName::from_static("document-password");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The options that were read so far.
#[derive(Debug, Default)]
pub(super) struct UploadOptions {
    /// As the client named it, and what that means.
    schema: Option<(String, SchemaRef)>,
    metadata: Option<Map<String, Value>>,
    priority: Option<Priority>,
    split: Option<SplitMode>,
    /// What the files open with. It goes no further than to who reads them.
    pub(super) password: Option<Secret>,
    pub(super) filename: Option<String>,
    /// What the header says of the body.
    pub(super) content_type: Option<String>,
    /// The trace that the upload belongs to.
    trace: Option<Traceparent>,
}

impl UploadOptions {
    /// None yet, within this trace.
    pub(super) fn within(trace: Option<Traceparent>) -> Self {
        Self { trace, ..Self::default() }
    }

    /// Sets one option.
    ///
    /// # Errors
    /// When it is impossible, or was given before.
    pub(super) async fn set(&mut self, app: &App, name: &str, value: &str) -> Result<(), ApiError> {
        let twice = match name {
            "schema" => {
                let reference = app.schema(value).await?;
                self.schema.replace((value.to_owned(), reference)).is_some()
            }
            "priority" => {
                let priority = value.parse().map_err(|error| ApiError::parameter(name, error))?;
                self.priority.replace(priority).is_some()
            }
            "split" => {
                let split = value.parse().map_err(|error| ApiError::parameter(name, error))?;
                self.split.replace(split).is_some()
            }
            "password" => {
                let password = Secret::new(value);
                if value.is_empty() || value.len() > PASSWORD_BYTES_MAX {
                    let why = format!("is not a text of 1 to {PASSWORD_BYTES_MAX} bytes");
                    return Err(ApiError::parameter(name, why));
                }
                self.password.replace(password).is_some()
            }
            "metadata" => {
                let metadata = metadata(value, app.limits.metadata_bytes_max)?;
                self.metadata.replace(metadata).is_some()
            }
            _ => {
                let name = Some(filename(value)).filter(|name| !name.is_empty());
                std::mem::replace(&mut self.filename, name).is_some()
            }
        };
        if twice { Err(ApiError::parameter(name, "is given twice")) } else { Ok(()) }
    }

    /// Looks the default schema up unless one was given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn resolve_schema(&mut self, app: &App) -> Result<(), ApiError> {
        if self.schema.is_none() {
            let reference = app.schema(SCHEMA_DEFAULT).await?;
            self.schema = Some((SCHEMA_DEFAULT.to_owned(), reference));
        }
        Ok(())
    }

    /// All of it, once everything is read.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn submission(
        mut self,
        app: &App,
        idempotency_key: Option<String>,
    ) -> Result<Submission, ApiError> {
        self.resolve_schema(app).await?;
        let Some((schema_requested, schema)) = self.schema else {
            return Err(ApiError::internal("a schema was looked up and is not there"));
        };
        Ok(Submission {
            tenant: TENANT_DEFAULT.to_owned(),
            schema,
            schema_requested,
            priority: self.priority.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            split: self.split,
            trace: self.trace,
            idempotency_key,
        })
    }
}

fn metadata(text: &str, bytes_max: u64) -> Result<Map<String, Value>, ApiError> {
    let invalid = |detail: String| {
        let hint = r#"for example {"customer": "4711", "paid": false}"#;
        ApiError::new(Code::InvalidMetadata, detail).hint(hint)
    };
    if text.len() as u64 > bytes_max {
        return Err(invalid(format!("metadata is larger than {bytes_max} bytes")));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| invalid(format!("metadata is not JSON: {error}")))?;
    let Value::Object(metadata) = value else {
        return Err(invalid("metadata is not a JSON object".to_owned()));
    };
    let named = |key: &String| key.chars().take(80).collect::<String>();
    for (key, value) in &metadata {
        match value {
            Value::Array(_) | Value::Object(_) => {
                let key = named(key);
                let detail =
                    format!("metadata {key:?} is not a string, number, true, false or null");
                return Err(invalid(detail));
            }
            // Databases search in them.
            Value::Number(number) if number.as_f64().is_none() => {
                let key = named(key);
                return Err(invalid(format!("metadata {key:?} is too large a number: send text")));
            }
            _ => {}
        }
    }
    Ok(metadata)
}

/// A name as it is kept: without control characters, not too long.
pub(super) fn filename(given: &str) -> String {
    given.trim().chars().filter(|c| !c.is_control()).take(FILENAME_CHARS_MAX).collect()
}

/// The password in the header, when there is one.
///
/// # Errors
/// When it is no UTF-8.
pub(super) fn password(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(PASSWORD) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| ApiError::parameter(PASSWORD.as_str(), "is not UTF-8"))
}

/// The key of the request, when it has one.
///
/// # Errors
/// When it cannot be a key.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let text = key.to_str().unwrap_or_default();
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if keys.next().is_some() || text.is_empty() || text.len() > KEY_CHARS_MAX || !visible {
        let detail = format!(
            "the Idempotency-Key must be 1 to {KEY_CHARS_MAX} visible ASCII characters, once"
        );
        return Err(ApiError::new(Code::InvalidIdempotencyKey, detail));
    }
    Ok(Some(text.to_owned()))
}
