//! From a file and the environment to a [`Config`]: variables are put in, overrides are laid over,
//! and whatever is wrong is named by file, line and key.

use super::{Config, ConfigError};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};
use toml_edit::{Document, Item, Table};

/// The variables that start with `SLUICE_` and are no settings.
const RESERVED: [&str; 6] = [
    "SLUICE_CONFIG",
    "SLUICE_URL",
    "SLUICE_API_KEY",
    "SLUICE_MASTER_KEY",
    "SLUICE_LOG",
    "SLUICE_KILL_AT",
];

/// A configuration on its way: values, and where they came from.
struct Source<'a> {
    file: String,
    text: &'a str,
    document: &'a Document<&'a str>,
    values: Value,
    /// Paths whose value came out of the environment, with the variable for whole overrides.
    from_environment: BTreeMap<String, Option<String>>,
}

/// Reads a configuration from the text of a file.
pub(super) fn read(
    file: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let document = Document::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(text, span.start));
        ConfigError(format!("{file}:{line}: this is not TOML: {}", first_line(error.message())))
    })?;
    let mut source = Source {
        file: file.to_owned(),
        text,
        document: &document,
        values: Value::Null,
        from_environment: BTreeMap::new(),
    };
    source.values = source.table(document.as_table(), "", environment)?;
    source.overrides(environment)?;
    source.deserialize()
}

impl Source<'_> {
    /// The values of a table, with variables put in.
    fn table(
        &mut self,
        table: &Table,
        path: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Value, ConfigError> {
        let mut values = Map::new();
        for (key, item) in table {
            let path = join(path, key);
            values.insert(key.to_owned(), self.item(item, &path, environment)?);
        }
        Ok(Value::Object(values))
    }

    fn item(
        &mut self,
        item: &Item,
        path: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Value, ConfigError> {
        match item {
            Item::None => Ok(Value::Null),
            Item::Table(table) => self.table(table, path, environment),
            Item::ArrayOfTables(tables) => {
                let tables = tables.iter().enumerate();
                let values = tables.map(|(index, table)| {
                    self.table(table, &format!("{path}[{index}]"), environment)
                });
                values.collect::<Result<_, _>>().map(Value::Array)
            }
            Item::Value(value) => self.value(value, path, environment),
        }
    }

    fn value(
        &mut self,
        value: &toml_edit::Value,
        path: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Value, ConfigError> {
        use toml_edit::Value as Toml;
        Ok(match value {
            Toml::String(text) => {
                let put = interpolate(text.value(), environment)
                    .map_err(|fault| ConfigError(format!("{}{path} {fault}", self.at(path))))?;
                if &put != text.value() {
                    self.from_environment.insert(path.to_owned(), None);
                }
                Value::String(put)
            }
            Toml::Integer(number) => (*number.value()).into(),
            Toml::Float(number) => (*number.value()).into(),
            Toml::Boolean(truth) => (*truth.value()).into(),
            Toml::Datetime(time) => time.value().to_string().into(),
            Toml::Array(array) => {
                let values = array.iter().enumerate();
                let values = values.map(|(index, value)| {
                    self.value(value, &format!("{path}[{index}]"), environment)
                });
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Toml::InlineTable(table) => {
                let mut values = Map::new();
                for (key, value) in table {
                    let path = join(path, key);
                    values.insert(key.to_owned(), self.value(value, &path, environment)?);
                }
                Value::Object(values)
            }
        })
    }

    /// Lays `SLUICE_SECTION__KEY` over what the file says.
    fn overrides(&mut self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix("SLUICE_") else { continue };
            if RESERVED.contains(&name.as_str()) {
                continue;
            }
            let keys: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            let path = keys.iter().fold(String::new(), |path, key| match key.parse::<usize>() {
                Ok(index) => format!("{path}[{index}]"),
                Err(_) => join(&path, key),
            });
            if !set(&mut self.values, &keys, value) {
                return Err(ConfigError(format!(
                    "the environment variable {name}: there is no {path} to override"
                )));
            }
            self.from_environment.insert(path, Some(name.clone()));
        }
        Ok(())
    }

    /// Makes the structs. What came out of the environment is text: where a number or a truth
    /// value is wanted, it is read as one.
    fn deserialize(&mut self) -> Result<Config, ConfigError> {
        loop {
            let error = match serde_path_to_error::deserialize::<_, Config>(&self.values) {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let path = error.path().to_string();
            if self.from_environment.contains_key(&path)
                && let Some(value) = at_mut(&mut self.values, &path)
                && let Some(scalar) = value.as_str().and_then(scalar)
            {
                *value = scalar;
                continue;
            }
            return Err(self.explain(&path, &error.into_inner().to_string()));
        }
    }

    fn explain(&self, path: &str, message: &str) -> ConfigError {
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let names: Vec<&str> = rest.split('`').collect();
            let unknown = names.first().copied().unwrap_or_default();
            // The path ends in the unknown key, or in the section that has it.
            let section = path.strip_suffix(unknown).unwrap_or(path).trim_end_matches('.');
            let section = if section == "." { "" } else { section };
            let full = join(section, unknown);
            let legal = names.iter().skip(2).step_by(2);
            let near = legal.max_by_key(|name| (strsim::jaro_winkler(unknown, name) * 1e6) as u64);
            let hint = near.map(|near| format!("; did you mean {}?", join(section, near)));
            let at = self.at(&full);
            return ConfigError(format!("{at}{full} is not a setting{}", hint.unwrap_or_default()));
        }
        let shown = if path == "." { "the file" } else { path };
        // A value from the environment may be a secret: say what was wanted, not what was there.
        let message = match self.from_environment.get(path) {
            Some(_) => match message.split_once(", expected ") {
                Some((_, wanted)) => format!("expected {wanted}"),
                None => "the value is not a legal one".to_owned(),
            },
            None => message.to_owned(),
        };
        ConfigError(format!("{}{shown}: {message}", self.at(path)))
    }

    /// `file:line: ` of a path, or the variable that set it.
    pub(super) fn at(&self, path: &str) -> String {
        if let Some(Some(variable)) = self.from_environment.get(path) {
            return format!("the environment variable {variable}: ");
        }
        match position(self.document, path) {
            Some(position) => format!("{}:{}: ", self.file, line(self.text, position)),
            None => format!("{}: ", self.file),
        }
    }
}

/// `file:line: ` of a path in a file, for faults that are found later.
pub(super) fn place(file: &str, text: &str, path: &str) -> String {
    let position = Document::parse(text).ok().and_then(|document| position(&document, path));
    position.map_or_else(|| format!("{file}: "), |at| format!("{file}:{}: ", line(text, at)))
}

/// Where a key stands in the text; its section's place when it is not there itself.
fn position(document: &Document<&str>, path: &str) -> Option<usize> {
    let mut table: &dyn toml_edit::TableLike = document.as_table();
    let mut found = None;
    for part in path.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, index)) => (key, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some((key, item)) = table.get_key_value(key) else { break };
        found = key.span().map(|span| span.start).or(found);
        let inner = match (item, index) {
            (Item::ArrayOfTables(tables), Some(index)) => {
                let table = tables.get(index);
                found = table.and_then(Table::span).map(|span| span.start).or(found);
                table.map(|table| table as &dyn toml_edit::TableLike)
            }
            (item, _) => item.as_table_like(),
        };
        match inner {
            Some(inner) => table = inner,
            None => break,
        }
    }
    found
}

/// Puts `${VAR}` and `${VAR:-default}` into a text; `$${` stands for `${`.
fn interpolate(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let inside = from.get(2..).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = inside.split_once('}') else {
            return Err("has a ${ without a }; write $${ for the characters themselves".into());
        };
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        match environment.get(name).map(String::as_str).filter(|value| !value.is_empty()) {
            Some(value) => out.push_str(value),
            None => match default {
                Some(default) => out.push_str(default),
                None => {
                    return Err(format!(
                        "needs the environment variable {name}, which is not set \
                         (or give a default: ${{{name}:-...}})"
                    ));
                }
            },
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// A text as the number or truth value that it is.
fn scalar(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(truth) = text.parse::<bool>() {
        return Some(truth.into());
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
}

/// Sets a value, making sections on the way; false where a list has no such element.
fn set(values: &mut Value, keys: &[String], value: &str) -> bool {
    let Some((first, rest)) = keys.split_first() else {
        *values = Value::String(value.to_owned());
        return true;
    };
    match values {
        Value::Array(items) => {
            let item = first.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.is_some_and(|item| set(item, rest, value))
        }
        Value::Object(entries) => {
            let entry = entries.entry(first.clone());
            set(entry.or_insert_with(|| Value::Object(Map::new())), rest, value)
        }
        _ => false,
    }
}

fn at_mut<'a>(values: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let pointer = path.replace('[', ".").replace(']', "").replace('.', "/");
    values.pointer_mut(&format!("/{pointer}"))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Reads a file; a missing one is an error.
pub(super) fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{}: {error}", path.display())))
}
