//! What a JSON Schema says about one value, references and choices followed.
//!
//! It must know nothing of what the value is.

use serde_json::Value;
use shared::schema::KEYWORD;

/// More schemas than this are not asked about one value.
const SCHEMAS_MAX: usize = 64;

/// All schemas that speak about one value: its own, and those that it refers to or chooses from.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    root: &'a Value,
    schemas: Vec<&'a Value>,
}

impl<'a> Node<'a> {
    /// What the schema says about the whole.
    pub fn root(root: &'a Value) -> Self {
        Self::of(root, vec![root])
    }

    fn of(root: &'a Value, mut schemas: Vec<&'a Value>) -> Self {
        let mut next = 0;
        while let Some(schema) = schemas.get(next) {
            next += 1;
            let pointer =
                schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
            let referred = pointer.and_then(|pointer| root.pointer(pointer));
            let choices = ["anyOf", "oneOf", "allOf"].into_iter();
            let choices = choices.filter_map(|word| schema.get(word)?.as_array()).flatten();
            for more in choices.chain(referred).collect::<Vec<_>>() {
                let is_new = !schemas.iter().any(|known| std::ptr::eq(*known, more));
                if is_new && schemas.len() < SCHEMAS_MAX {
                    schemas.push(more);
                }
            }
        }
        Self { root, schemas }
    }

    /// What it says about a property.
    pub fn property(&self, name: &str) -> Self {
        let properties =
            self.schemas.iter().filter_map(|schema| schema.get("properties")?.get(name));
        Self::of(self.root, properties.collect())
    }

    /// What it says about the items of a list.
    pub fn items(&self) -> Self {
        Self::of(self.root, self.schemas.iter().filter_map(|schema| schema.get("items")).collect())
    }

    /// The names of its properties, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let properties =
            self.schemas.iter().filter_map(|schema| schema.get("properties")?.as_object());
        properties.flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// Whether an object must have this property.
    pub fn requires(&self, name: &str) -> bool {
        let required = self.schemas.iter().filter_map(|schema| schema.get("required")?.as_array());
        required.flatten().any(|required| required == name)
    }

    /// Whether it may be null.
    pub fn allows_null(&self) -> bool {
        let typed = |schema: &&&Value| {
            ["type", "enum", "const"].iter().any(|word| schema.get(*word).is_some())
        };
        let is_null = |schema: &Value| match (schema.get("type"), schema.get("enum")) {
            (_, Some(Value::Array(values))) => values.contains(&Value::Null),
            (Some(Value::String(kind)), _) => kind == "null",
            (Some(Value::Array(kinds)), _) => kinds.iter().any(|kind| kind == "null"),
            _ => schema.get("const") == Some(&Value::Null),
        };
        let mut typed = self.schemas.iter().filter(typed).peekable();
        typed.peek().is_none() || typed.any(|schema| is_null(schema))
    }

    /// What it says about the value at a JSON pointer, given as its tokens.
    pub fn at(&self, tokens: &[String]) -> Self {
        tokens.iter().fold(self.clone(), |node, token| {
            let is_index = token.bytes().all(|c| c.is_ascii_digit()) && node.has_type("array");
            if is_index { node.items() } else { node.property(token) }
        })
    }

    /// Whether it may have this type.
    pub fn has_type(&self, name: &str) -> bool {
        let kinds = self.schemas.iter().filter_map(|schema| schema.get("type"));
        let mut kinds =
            kinds.flat_map(|kind| kind.as_array().map_or(std::slice::from_ref(kind), |k| k));
        kinds.any(|kind| kind == name)
    }

    /// Whether its text may have this format.
    pub fn has_format(&self, name: &str) -> bool {
        self.schemas.iter().any(|schema| schema.get("format").is_some_and(|format| format == name))
    }

    /// Whether it is chosen from given values, which need not be printed.
    pub fn is_choice(&self) -> bool {
        self.schemas.iter().any(|s| s.get("enum").is_some() || s.get("const").is_some())
    }

    /// What a keyword of JSON Schema says of it.
    pub fn says(&self, keyword: &str) -> Option<&'a Value> {
        self.schemas.iter().find_map(|schema| schema.get(keyword))
    }

    /// What a keyword of ours says of it, `x-sluice.NAME`.
    pub fn keyword(&self, name: &str) -> Option<&'a Value> {
        self.schemas.iter().find_map(|schema| schema.get(KEYWORD)?.get(name))
    }

    /// Whether the value should stand in the text as such: unless the schema says otherwise.
    pub fn is_printed(&self) -> bool {
        let own = self.schemas.iter().filter_map(|schema| schema.get(KEYWORD)?.get("printed"));
        !own.into_iter().any(|printed| printed == false)
    }

    /// A text that it says about the value, such as its `title`; the first where several do.
    pub fn text(&self, keyword: &str) -> Option<&'a str> {
        self.schemas.iter().find_map(|schema| schema.get(keyword)?.as_str())
    }

    /// What one of our own keywords says.
    pub fn own(&self, keyword: &str) -> Option<&'a Value> {
        self.schemas.iter().find_map(|schema| schema.get(KEYWORD)?.get(keyword))
    }
}
