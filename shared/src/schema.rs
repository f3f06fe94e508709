//! What to ask of a document: a JSON Schema with its instructions and checks, by name and version.
//!
//! Plain data and pure functions. It must know nothing of where schemas are kept.

pub mod rule;
pub mod nullable;
pub mod strict;
pub mod builtin;
pub mod validator;

use pool::Effort;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// The keyword of a JSON Schema that carries what is Sluice's own. At the root: `model`,
/// `instructions`, `reasoning_effort`, `checks`. On a property: `printed: false` for a value that need not stand in
/// the text as such, `concept` for what it holds, `labels` for the names under which it is printed.
pub const KEYWORD: &str = "x-sluice";

/// The model that a schema asks for when it names none and the configuration has no deployment.
pub const MODEL_DEFAULT: &str = "gpt-4o";

/// A schema by name and version, written `name@version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaRef {
    /// The name: see [`SchemaName`].
    pub name: SchemaName,
    /// Counted from 1.
    pub version: u32,
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl From<SchemaRef> for String {
    fn from(schema: SchemaRef) -> Self {
        schema.to_string()
    }
}

impl FromStr for SchemaRef {
    type Err = NotASchemaName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotASchemaName(text.chars().take(80).collect());
        let (name, version) = text.split_once('@').ok_or_else(bad)?;
        let version = version.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        Ok(Self { name: name.parse()?, version })
    }
}

impl TryFrom<String> for SchemaRef {
    type Error = NotASchemaName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The name of a schema: 1 to 64 lower-case letters, digits, `-` and `_`, a letter first. (Strict
/// structured outputs allow no more in their name.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "invoice")]
pub struct SchemaName(String);

impl SchemaName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SchemaName> for String {
    fn from(name: SchemaName) -> Self {
        name.0
    }
}

impl FromStr for SchemaName {
    type Err = NotASchemaName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
        let first = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
        if first && text.len() <= 64 && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASchemaName(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for SchemaName {
    type Error = NotASchemaName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The text was not the name of a schema.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not the name of a schema: use 1 to 64 lower-case letters, digits, - and _, \
     a letter first, and name@2 for version 2"
)]
pub struct NotASchemaName(String);

/// A schema as it is kept: immutable once it has a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtractionSchema {
    /// Name and version.
    pub reference: SchemaRef,
    /// The JSON Schema (2020-12) as it was given, `x-sluice` included.
    pub body: Value,
}

impl ExtractionSchema {
    /// The model that the schema asks for, when it names one.
    pub fn model(&self) -> Option<&str> {
        self.keyword("model").and_then(Value::as_str)
    }

    /// What the model is told beyond the schema itself.
    pub fn instructions(&self) -> &str {
        self.keyword("instructions").and_then(Value::as_str).unwrap_or_default()
    }

    /// How hard the model should think, when the schema says so.
    pub fn reasoning_effort(&self) -> Option<Effort> {
        self.keyword("reasoning_effort").and_then(Value::as_str).and_then(Effort::named)
    }

    /// The rules that the values must keep, for example `net + vat == total`.
    pub fn checks(&self) -> Vec<&str> {
        let checks = self.keyword("checks").and_then(Value::as_array);
        checks.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// SHA-256 of the schema's canonical text, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.body)
    }

    fn keyword(&self, name: &str) -> Option<&Value> {
        self.body.get(KEYWORD)?.get(name)
    }
}

/// SHA-256 of a JSON value written without spaces, in hexadecimal digits. The order of keys
/// counts, because a model answers in that order.
pub fn fingerprint(body: &Value) -> String {
    hexadecimal(&Sha256::digest(body.to_string().as_bytes()))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One thing that makes a schema unusable, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaFault {
    /// JSON pointer into the schema.
    pub path: String,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

/// Everything that makes a schema unusable. Empty when it can be used: it is a JSON Schema, the
/// strict subset can carry its shape, its `x-sluice` keywords are known and its checks parse.
pub fn faults(body: &Value) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    if !body.is_object() {
        let message = "a schema is a JSON object".to_owned();
        return vec![SchemaFault { path: String::new(), message }];
    }
    if let Err(error) = jsonschema::draft202012::meta::validate(body) {
        let path = error.instance_path().to_string();
        faults.push(SchemaFault { path, message: error.to_string() });
        return faults;
    }
    if let Err(error) = jsonschema::draft202012::new(body) {
        faults.push(SchemaFault { path: String::new(), message: error.to_string() });
        return faults;
    }
    if let Some(own) = body.get(KEYWORD) {
        own_faults(own, &mut faults);
    }
    if let Err(mut shape) = strict::convert(body) {
        faults.append(&mut shape);
    }
    faults
}

fn own_faults(own: &Value, faults: &mut Vec<SchemaFault>) {
    let mut fault = |path: &str, message: String| {
        faults.push(SchemaFault { path: format!("/{KEYWORD}{path}"), message });
    };
    let Some(own) = own.as_object() else {
        return fault("", "must be an object with model, instructions or checks".to_owned());
    };
    for (key, value) in own {
        match key.as_str() {
            "model" | "instructions" if value.is_string() => {}
            "model" | "instructions" => fault(&format!("/{key}"), "must be a string".to_owned()),
            "reasoning_effort" if value.as_str().and_then(Effort::named).is_some() => {}
            "reasoning_effort" => {
                let names = Effort::ALL.map(Effort::name).join(", ");
                fault("/reasoning_effort", format!("must be one of {names}"));
            }
            "printed" if value.is_boolean() => {}
            "checks" => match value.as_array() {
                None => fault("/checks", "must be a list of rules".to_owned()),
                Some(rules) => {
                    for (index, rule) in rules.iter().enumerate() {
                        let parsed = rule.as_str().map(rule::Rule::parse);
                        match parsed {
                            None => fault(&format!("/checks/{index}"), "must be a string".into()),
                            Some(Err(error)) => {
                                fault(&format!("/checks/{index}"), error.to_string());
                            }
                            Some(Ok(_)) => {}
                        }
                    }
                }
            },
            other => {
                let known = "model, instructions, reasoning_effort, checks";
                fault(&format!("/{other}"), format!("is not a known keyword: use {known}"));
            }
        }
    }
}
