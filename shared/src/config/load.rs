//! From a file and the environment to a [`Config`]: variables are put in, overrides are laid over,
//! and whatever is wrong is named by file, line and key.

use super::{
    Config, ConfigError,
    check::{self, Fault},
    deployment::from_environment,
    explain,
    interpolate::interpolate,
    position,
    variables::{Variable, variable},
};
use pool::Provider;
use serde_path_to_error::{Path, Segment};
use std::{borrow::Cow, collections::BTreeMap, io::Read};
use toml::{Table as Map, Value};
use toml_edit::{Document, Item, Table};

/// The longest configuration file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A configuration on its way: values, and where they came from.
struct Source<'a> {
    file: &'a str,
    document: &'a Document<&'a str>,
    values: Value,
    /// Paths whose value came out of the environment, with the variable for whole overrides.
    from_environment: BTreeMap<String, Option<String>>,
    /// What is odd and does not stop it.
    warnings: Vec<String>,
}

/// Reads a configuration from the text of a file.
pub(super) fn read(
    file: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let document = Document::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| position::line(text, span.start));
        ConfigError(format!("{file}:{line}: this is not TOML: {}", first_line(error.message())))
    })?;
    let mut source = Source {
        file,
        document: &document,
        values: Value::Table(Map::new()),
        from_environment: BTreeMap::new(),
        warnings: Vec::new(),
    };
    source.values = source.table(document.as_table(), "", environment)?;
    source.overrides(environment)?;
    source.sections()?;
    let mut config = source.deserialize()?;
    if config.deployments.is_empty()
        && let Some((deployment, variables)) = from_environment(environment)?
    {
        config.deployments.push(deployment);
        let paths = variables
            .into_iter()
            .map(|(key, variable)| (format!("deployments[0].{key}"), Some(variable.to_owned())));
        source.from_environment.extend(paths);
    }
    for deployment in &mut config.deployments {
        if deployment.provider == Provider::OpenAi && deployment.endpoint.is_empty() {
            deployment.endpoint = "https://api.openai.com/v1".to_owned();
        }
    }
    source.check(&config)?;
    if config.auth.allow_unauthenticated {
        let warning = "whoever reaches the uploader may do everything (auth.allow_unauthenticated)";
        source.warnings.push(warning.to_owned());
    }
    config.warnings = source.warnings;
    Ok(config)
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
            if let Some(value) = self.item(item, &path, environment)? {
                values.insert(key.to_owned(), value);
            }
        }
        Ok(Value::Table(values))
    }

    fn item(
        &mut self,
        item: &Item,
        path: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<Value>, ConfigError> {
        let value = match item {
            Item::None => return Ok(None),
            Item::Table(table) => self.table(table, path, environment),
            Item::ArrayOfTables(tables) => {
                let tables = tables.iter().enumerate();
                let values = tables.map(|(index, table)| {
                    self.table(table, &format!("{path}[{index}]"), environment)
                });
                values.collect::<Result<_, _>>().map(Value::Array)
            }
            Item::Value(value) => self.value(value, path, environment),
        };
        value.map(Some)
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
                if matches!(put, Cow::Owned(_)) {
                    self.from_environment.insert(path.to_owned(), None);
                }
                Value::String(put.into_owned())
            }
            Toml::Integer(number) => (*number.value()).into(),
            Toml::Float(number) if number.value().is_finite() => (*number.value()).into(),
            Toml::Float(_) => {
                return Err(ConfigError(format!(
                    "{}{path} must be a finite number",
                    self.at(path)
                )));
            }
            Toml::Boolean(flag) => (*flag.value()).into(),
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
                Value::Table(values)
            }
        })
    }

    /// Lays `SLUICE_SECTION__KEY` over what the file says.
    fn overrides(&mut self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, value) in environment {
            let keys = match variable(name) {
                Variable::Setting(keys) => keys,
                Variable::Foreign(words) => {
                    self.warnings.push(words);
                    continue;
                }
                Variable::Other => continue,
            };
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

    /// Makes the structs. What came out of the environment is text: where a number or a flag
    /// value is wanted, it is read as one.
    fn deserialize(&mut self) -> Result<Config, ConfigError> {
        loop {
            let error = match serde_path_to_error::deserialize::<_, Config>(self.values.clone()) {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let message = error.inner().message().to_owned();
            // A string becomes something else at most once, so this ends.
            if message.starts_with("invalid type: string ")
                && self.from_environment.contains_key(&path)
                && let Some(value) = at_mut(&mut self.values, &path)
                && let Some(scalar) = value.as_str().and_then(scalar)
            {
                *value = scalar;
                continue;
            }
            return Err(self.refuse(error.path(), &message));
        }
    }

    fn refuse(&self, path: &Path, message: &str) -> ConfigError {
        if message.starts_with("unknown field ")
            && let Some(Segment::Map { key }) = path.iter().next_back()
            && let Some((_, legal)) = explain::expected(message)
        {
            let path = path.to_string();
            let section = path.strip_suffix(key.as_str()).unwrap_or(&path).trim_end_matches('.');
            let near = explain::nearest(key, &explain::names(legal));
            let hint = near.map(|near| format!("; did you mean {}?", join(section, near)));
            let at = self.at_key(&path, section, Some(key));
            let hint = hint.unwrap_or_default();
            return ConfigError(format!("{at}{path} is not a setting{hint}"));
        }
        let path = path.to_string();
        if let Some(field) = message.strip_prefix("missing field `") {
            let missing = join(&path, field.trim_end_matches('`'));
            return ConfigError(format!("{}{missing} is missing", self.at(&path)));
        }
        let literal = !self.from_environment.contains_key(&path);
        let why = explain::explain(message, literal);
        let is_sentence = ["is ", "must ", "has "].iter().any(|start| why.starts_with(start));
        let colon = if is_sentence { "" } else { ":" };
        ConfigError(format!("{}{path}{colon} {why}", self.at(&path)))
    }

    /// Refuses values that make no sense; all of them, one a line.
    fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let faults = check::faults(config).into_iter().map(|Fault { path, value, rule }| {
            let at = self.at(&path);
            match value.filter(|_| !self.from_environment.contains_key(&path)) {
                Some(value) => format!("{at}{path} is {value}: it {rule}"),
                None => format!("{at}{path} {rule}"),
            }
        });
        let faults: Vec<String> = faults.collect();
        if faults.is_empty() { Ok(()) } else { Err(ConfigError(faults.join("\n"))) }
    }

    /// `file:line: ` of a path, or the variable that set it.
    fn at(&self, path: &str) -> String {
        self.at_key(path, path, None)
    }

    /// The same where the path's last key is known apart, as it may have dots in it.
    fn at_key(&self, path: &str, section: &str, last: Option<&str>) -> String {
        let position = position::find(self.document, section, last);
        let inside =
            |inner: &str| inner.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
        let variable = match self.from_environment.get(path) {
            Some(variable) => variable.as_ref(),
            // A section that is not in the file is there for what a variable put into it.
            None if position.as_ref().is_none_or(|position| !position.exact) => {
                let mut inner = self.from_environment.iter().filter(|(path, _)| inside(path));
                inner.find_map(|(_, variable)| variable.as_ref())
            }
            None => None,
        };
        match (variable, position) {
            (Some(variable), _) => format!("the environment variable {variable}: "),
            (None, Some(position)) => format!("{}:{}: ", self.file, position.line),
            (None, None) => format!("{}: ", self.file),
        }
    }

    /// Refuses a list where a section belongs; serde would take its elements in turn.
    fn sections(&self) -> Result<(), ConfigError> {
        let entries = self.values.as_table().into_iter().flatten();
        for (key, value) in entries {
            let wrong = match (key.as_str(), value) {
                ("limits" | "worker" | "text" | "auth" | "log", Value::Array(_)) => key.clone(),
                ("deployments" | "models" | "schemas", Value::Array(items)) => {
                    match items.iter().position(Value::is_array) {
                        Some(index) => format!("{key}[{index}]"),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let at = self.at(&wrong);
            return Err(ConfigError(format!("{at}{wrong} must be a section, not a list")));
        }
        Ok(())
    }
}

/// A text as the number or boolean that it is.
fn scalar(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(flag) = text.parse::<bool>() {
        return Some(flag.into());
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
        Value::Table(entries) => {
            let is_list = rest.first().is_some_and(|key| key.parse::<usize>().is_ok());
            if is_list && !entries.contains_key(first) {
                return false;
            }
            let entry = entries.entry(first.clone());
            set(entry.or_insert_with(|| Value::Table(Map::new())), rest, value)
        }
        _ => false,
    }
}

fn at_mut<'a>(values: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let path = path.replace('[', ".").replace(']', "");
    path.split('.').try_fold(values, |value, key| match value {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        Value::Table(entries) => entries.get_mut(key),
        _ => None,
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Reads a file; a missing one is an error, and so is one of more than 1 MiB.
pub(super) fn text_of(path: &std::path::Path) -> Result<String, ConfigError> {
    let refuse = |why: String| ConfigError(format!("{}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| refuse(error.to_string()))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(refuse(format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8 text".to_owned()))
}
