//! A schema with everything that is derived from it once: a version of a schema never changes.
//!
//! It must know nothing of documents.

use super::node::Node;
use serde_json::{Map, Value};
use shared::{
    document::{Failure, FailureCode, Stage},
    schema::{
        ExtractionSchema, nullable, strict,
        validator::{SchemaValidator, Violation},
    },
};

/// A schema, its strict forms and its validators.
#[derive(Debug)]
pub struct CompiledSchema {
    /// The schema as it is stored, `nullable` in the words of JSON Schema.
    pub schema: ExtractionSchema,
    /// What structured outputs accept of it.
    pub strict: Value,
    /// The same for a part of a document, which may lack what the whole must have.
    pub strict_part: Value,
    whole: SchemaValidator,
    part: SchemaValidator,
}

impl CompiledSchema {
    /// Derives the strict forms and compiles the validators.
    ///
    /// # Errors
    /// When no model can be asked for this schema.
    pub fn new(mut schema: ExtractionSchema) -> Result<Self, Failure> {
        schema.body = nullable::expand(&schema.body);
        let strict = strict::convert(&schema.body).map_err(|faults| {
            let first = faults.first().map(|fault| format!("{}: {}", fault.path, fault.message));
            rejected(&first.unwrap_or_default())
        })?;
        let mut body = schema.body.clone();
        let whole = validator(&body)?;
        body.as_object_mut().and_then(|object| object.remove("required"));
        let part = validator(&body)?;
        let strict_part = strict::relax(&strict);
        Ok(Self { schema, strict, strict_part, whole, part })
    }

    /// Where the values of a document, or of a part of one, do not fit. The root's required properties
    /// may stand in other parts.
    pub fn check(&self, data: &Value, is_part: bool) -> Vec<Violation> {
        let validator = if is_part { &self.part } else { &self.whole };
        validator.check(data)
    }

    /// Removes the nulls that the strict form asks for and the schema itself does not allow.
    pub fn remove_placeholders(&self, data: &mut Value) {
        remove_placeholders(Node::root(&self.schema.body), data);
    }
}

fn validator(body: &Value) -> Result<SchemaValidator, Failure> {
    SchemaValidator::new(body).map_err(|error| rejected(&error))
}

fn rejected(why: &str) -> Failure {
    let message = format!("the schema cannot be asked for: {why}");
    Failure::new(FailureCode::SchemaRejected, Stage::Model, message)
}

fn remove_placeholders(node: Node<'_>, data: &mut Value) {
    match data {
        Value::Object(object) => {
            let kept = std::mem::take(object).into_iter().filter_map(|(name, mut value)| {
                let property = node.property(&name);
                let is_placeholder =
                    value.is_null() && !node.requires(&name) && !property.allows_null();
                remove_placeholders(property, &mut value);
                (!is_placeholder).then_some((name, value))
            });
            *object = kept.collect::<Map<_, _>>();
        }
        Value::Array(items) => {
            let node = node.items();
            items.iter_mut().for_each(|item| remove_placeholders(node.clone(), item));
        }
        _ => {}
    }
}
