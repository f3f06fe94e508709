//! Gives the facts of a document the shape that a JSON Schema asks for. Whatever was found, the
//! result fits the schema.

use super::facts::{Facts, Found};
use super::labels::{Fact, LABELS};
use super::table::{Column, Line};
use super::words::{fold, split_name};
use crate::schema::resolve;
use serde_json::{Map, Number, Value, json};

/// How deep a recursive schema is followed.
const DEPTH_MAX: usize = 12;

/// The document and the schema that it is poured into.
pub(crate) struct Shape<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) root: &'a Value,
}

/// Where in the schema a value is wanted.
#[derive(Clone, Default)]
struct Path {
    names: Vec<String>,
    description: String,
}

impl Path {
    fn child(&self, name: &str, schema: &Value) -> Self {
        let mut names = self.names.clone();
        names.push(name.to_owned());
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        Self { names, description: description.to_owned() }
    }

    /// The words of the name, and of the name with those of its parents before it.
    fn words(&self) -> Vec<Vec<String>> {
        let own = self.names.last().map(|name| split_name(name)).unwrap_or_default();
        let whole: Vec<String> = self.names.iter().flat_map(|name| split_name(name)).collect();
        if whole == own { vec![own] } else { vec![whole, own] }
    }

    fn fact(&self) -> Option<Fact> {
        self.words().iter().find_map(|words| fact_of(words, &self.description))
    }
}

impl Shape<'_> {
    /// The whole answer.
    pub(crate) fn answer(&self) -> Value {
        let found = self.fill(self.root, &Path::default(), 0);
        found.unwrap_or_else(|| self.least(self.root, 0))
    }

    /// What the document says for a node of the schema; nothing when it says nothing.
    fn fill(&self, node: &Value, path: &Path, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            return self.fill(resolve(self.root, reference)?, path, depth + 1);
        }
        if let Some(value) = node.get("const") {
            return Some(value.clone());
        }
        if let Some(choices) = node.get("enum").and_then(Value::as_array) {
            return self.choose(choices, path);
        }
        if let Some(alternatives) = node.get("anyOf").and_then(Value::as_array) {
            return alternatives.iter().find_map(|node| self.fill(node, path, depth + 1));
        }

        types_of(node).into_iter().find_map(|name| match name {
            "object" => self.object(node, path, depth),
            "array" => self.array(node, path, depth),
            "string" => self.string(path).map(Value::String),
            "number" => self.number(path).and_then(Number::from_f64).map(Value::Number),
            "integer" => self.number(path).filter(|n| n.fract() == 0.0).map(|n| json!(n as i64)),
            "boolean" => self.boolean(path).map(Value::Bool),
            _ => None,
        })
    }

    fn object(&self, node: &Value, path: &Path, depth: usize) -> Option<Value> {
        let mut object = Map::new();
        let mut is_any = false;
        for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let found = self.fill(child, &path.child(name, child), depth + 1);
            is_any |= found.as_ref().is_some_and(|value| !is_empty(value));
            object.insert(name.clone(), found.unwrap_or_else(|| self.least(child, depth + 1)));
        }
        is_any.then_some(Value::Object(object))
    }

    fn array(&self, node: &Value, path: &Path, depth: usize) -> Option<Value> {
        let mut items = node.get("items")?;
        while let Some(reference) = items.get("$ref").and_then(Value::as_str) {
            items = resolve(self.root, reference)?;
            if items.get("$ref").and_then(Value::as_str) == Some(reference) {
                return None;
            }
        }
        let properties = items.get("properties").and_then(Value::as_object);
        let values = match properties {
            Some(properties) => self.records(properties, path, depth),
            None => self.listed(items, path, depth),
        };
        (!values.is_empty()).then_some(Value::Array(values))
    }

    fn records(&self, properties: &Map<String, Value>, path: &Path, depth: usize) -> Vec<Value> {
        let names: Vec<Vec<String>> = properties.keys().map(|name| split_name(name)).collect();
        let has = |wanted: &[&str]| {
            names.iter().any(|words| words.iter().any(|word| wanted.contains(&word.as_str())))
        };
        if has(&["label", "key", "field"]) && has(&["value", "text", "content"]) {
            let pairs = self.facts.pairs();
            return pairs
                .iter()
                .map(|(label, value)| {
                    self.record(properties, depth, |words| {
                        let is_value = words
                            .iter()
                            .any(|w| ["value", "text", "content"].contains(&w.as_str()));
                        Some(if is_value { value.clone() } else { label.clone() })
                    })
                })
                .collect();
        }
        if has(&["name"])
            && (has(&["role"]) || path.words().concat().contains(&"parties".to_owned()))
        {
            let parties = self.facts.parties();
            return parties
                .iter()
                .map(|party| {
                    self.record(properties, depth, |words| match words.last().map(String::as_str) {
                        Some("name") => Some(party.name.clone()),
                        Some("role" | "type" | "function") => party.role.clone(),
                        _ => None,
                    })
                })
                .collect();
        }
        let columns: Vec<Option<Column>> = names.iter().map(|words| column_of(words)).collect();
        let is_line = columns.contains(&Some(Column::Description))
            && (columns.contains(&Some(Column::Amount))
                || columns.contains(&Some(Column::Quantity)));
        if !is_line {
            return Vec::new();
        }
        self.facts.lines.iter().map(|line| self.line(properties, line, depth)).collect()
    }

    fn line(&self, properties: &Map<String, Value>, line: &Line, depth: usize) -> Value {
        self.record(properties, depth, |words| {
            let column = column_of(words)?;
            line.get(column).map(str::to_owned)
        })
    }

    /// One object of a list, each property given as text and turned into what it must be.
    fn record(
        &self,
        properties: &Map<String, Value>,
        depth: usize,
        get: impl Fn(&[String]) -> Option<String>,
    ) -> Value {
        let one = |(name, node): (&String, &Value)| {
            let text = get(&split_name(name));
            let value = text.and_then(|text| self.cast(node, &text, depth + 1));
            (name.clone(), value.unwrap_or_else(|| self.least(node, depth + 1)))
        };
        Value::Object(properties.iter().map(one).collect())
    }

    /// A printed text as the type that a node wants.
    fn cast(&self, node: &Value, text: &str, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            return self.cast(resolve(self.root, reference)?, text, depth + 1);
        }
        if let Some(value) = node.get("const") {
            return Some(value.clone());
        }
        if let Some(choices) = node.get("enum").and_then(Value::as_array) {
            let folded = fold(text);
            let is_it = |choice: &&Value| choice.as_str().is_some_and(|own| fold(own) == folded);
            return choices.iter().find(is_it).cloned();
        }
        if let Some(alternatives) = node.get("anyOf").and_then(Value::as_array) {
            return alternatives.iter().find_map(|node| self.cast(node, text, depth + 1));
        }
        types_of(node).into_iter().find_map(|name| match name {
            "string" => Some(Value::String(text.to_owned())),
            "number" => self.facts.number_in(text).and_then(Number::from_f64).map(Value::Number),
            "integer" => {
                self.facts.number_in(text).filter(|n| n.fract() == 0.0).map(|n| json!(n as i64))
            }
            _ => None,
        })
    }

    /// A list of plain values: of all dates, of all sums, or of the one fact it is named after.
    fn listed(&self, items: &Value, path: &Path, depth: usize) -> Vec<Value> {
        let words = path.words().concat();
        let is_dates = words.iter().any(|word| word == "dates");
        if is_dates && types_of(items).contains(&"string") && items.get("enum").is_none() {
            return self.facts.dates().into_iter().map(Value::String).collect();
        }
        if words.iter().any(|word| word == "parties") {
            let parties = self.facts.parties();
            return parties
                .iter()
                .filter_map(|party| self.cast(items, &party.name, depth))
                .collect();
        }
        self.fill(items, path, depth + 1).filter(|value| !is_empty(value)).into_iter().collect()
    }

    fn found(&self, path: &Path) -> Option<Found> {
        match path.fact() {
            Some(fact) => self.facts.find(fact),
            None => {
                let words = path.words().pop()?;
                self.facts.under_label(&words).map(Found::Text)
            }
        }
    }

    fn string(&self, path: &Path) -> Option<String> {
        let is_merchant = path
            .words()
            .concat()
            .iter()
            .any(|word| ["merchant", "shop", "store"].contains(&word.as_str()));
        if is_merchant && path.fact() == Some(Fact::Seller) {
            return super::names::merchant(&self.facts.document);
        }
        self.found(path).map(|found| match found {
            Found::Text(text) | Found::Number(_, text) => text,
        })
    }

    fn number(&self, path: &Path) -> Option<f64> {
        match self.found(path)? {
            Found::Number(value, _) => Some(value),
            Found::Text(text) => self.facts.number_in(&text),
        }
    }

    fn boolean(&self, path: &Path) -> Option<bool> {
        let Found::Text(text) = self.found(path)? else { return None };
        match fold(&text).as_str() {
            "yes" | "ja" | "oui" | "si" | "x" | "true" | "tak" | "sim" => Some(true),
            "no" | "nein" | "non" | "nee" | "false" | "nie" | "nao" => Some(false),
            _ => None,
        }
    }

    fn choose(&self, choices: &[Value], path: &Path) -> Option<Value> {
        let text = fold(&self.string(path)?);
        let words: Vec<&str> = text.split(' ').collect();
        let is_it = |choice: &&Value| {
            let Some(own) = choice.as_str().map(|own| split_name(own).join(" ")) else {
                return false;
            };
            own == text || words.contains(&own.as_str())
        };
        choices.iter().find(is_it).cloned()
    }

    /// The emptiest value that fits a node.
    fn least(&self, node: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX * 2 {
            return Value::Null;
        }
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let target = resolve(self.root, reference);
            return target.map_or(Value::Null, |node| self.least(node, depth + 1));
        }
        if let Some(value) = node.get("const") {
            return value.clone();
        }
        if let Some(choices) = node.get("enum").and_then(Value::as_array) {
            let unknown = choices.iter().find(|choice| {
                choice.is_null() || matches!(choice.as_str(), Some("unknown" | "other" | "none"))
            });
            return unknown.or(choices.first()).cloned().unwrap_or(Value::Null);
        }
        if let Some(alternatives) = node.get("anyOf").and_then(Value::as_array) {
            // The alternative that ends soonest: null, a scalar, a list, an object.
            let simplest = alternatives.iter().min_by_key(|node| self.weight(node, 0));
            return simplest.map_or(Value::Null, |node| self.least(node, depth + 1));
        }
        let types = types_of(node);
        if types.contains(&"null") {
            return Value::Null;
        }
        match types.first().copied() {
            Some("object") => {
                let properties = node.get("properties").and_then(Value::as_object);
                let least =
                    |(name, node): (&String, &Value)| (name.clone(), self.least(node, depth + 1));
                Value::Object(properties.into_iter().flatten().map(least).collect())
            }
            Some("array") => Value::Array(Vec::new()),
            Some("string") => Value::String(String::new()),
            Some("number" | "integer") => json!(0),
            Some("boolean") => Value::Bool(false),
            _ => Value::Null,
        }
    }

    fn weight(&self, node: &Value, depth: usize) -> u32 {
        if let Some(target) = node.get("$ref").and_then(Value::as_str) {
            let target = resolve(self.root, target).filter(|_| depth < DEPTH_MAX);
            return target.map_or(9, |node| 1 + self.weight(node, depth + 1));
        }
        match types_of(node).as_slice() {
            types if types.contains(&"null") => 0,
            ["array", ..] => 2,
            ["object", ..] => 3,
            _ => 1,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn types_of(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if node.get("properties").is_some() => vec!["object"],
        _ => Vec::new(),
    }
}

fn column_of(words: &[String]) -> Option<Column> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    if has(&["rate", "percent"]) && has(&["vat", "tax"]) {
        return Some(Column::TaxRate);
    }
    if has(&["quantity", "qty", "count", "hours"]) {
        return Some(Column::Quantity);
    }
    if has(&["price", "cost", "rate"]) && !has(&["total"]) {
        return Some(Column::UnitPrice);
    }
    if has(&["sku", "code", "number", "id", "reference"]) {
        return Some(Column::Code);
    }
    if has(&["position", "pos"]) {
        return Some(Column::Position);
    }
    if has(&["amount", "total", "net", "sum"]) {
        return Some(Column::Amount);
    }
    if has(&["description", "item", "product", "article", "name", "text", "service"]) {
        return Some(Column::Description);
    }
    if has(&["unit"]) {
        return Some(Column::Unit);
    }
    has(&["vat", "tax"]).then_some(Column::TaxRate)
}

/// Which fact a property asks for, by the words of its name and then by its description.
fn fact_of(words: &[String], description: &str) -> Option<Fact> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let only = |allowed: &[&str]| words.iter().all(|word| allowed.contains(&word.as_str()));
    let of_buyer = has(&["buyer", "customer", "client", "recipient", "purchaser"]);
    let is_number = has(&["number", "no", "id", "reference", "nr", "identification"]);
    if has(&["iban"]) {
        return Some(Fact::Iban);
    }
    if has(&["bic", "swift"]) {
        return Some(Fact::Bic);
    }
    if has(&["vat", "tax"]) && is_number {
        return Some(if of_buyer { Fact::BuyerVat } else { Fact::SellerVat });
    }
    if has(&["order", "po"]) && (is_number || only(&["order", "purchase", "po"])) {
        return Some(Fact::OrderNumber);
    }
    if of_buyer && is_number {
        return Some(Fact::CustomerNumber);
    }
    if has(&["email", "mail"]) {
        return Some(Fact::Email);
    }
    if of_buyer
        && only(&["buyer", "customer", "client", "recipient", "purchaser", "name", "company"])
    {
        return Some(Fact::Buyer);
    }
    let sides =
        ["seller", "supplier", "vendor", "issuer", "merchant", "shop", "store", "name", "company"];
    if has(&sides[..7]) && only(&sides) {
        return Some(Fact::Seller);
    }
    if let Some(amount) = amount_of(words) {
        return Some(amount);
    }
    let special = match words.last().map(String::as_str)? {
        "kind" | "type" => Some(Fact::Kind),
        "language" => Some(Fact::Language),
        "summary" => Some(Fact::Summary),
        "date" if words.len() == 1 || has(&["purchase", "document", "signing", "signature"]) => {
            Some(Fact::IssueDate)
        }
        "number" if words.len() == 1 => Some(Fact::InvoiceNumber),
        _ => None,
    };
    special
        .or_else(|| {
            // The table knows the property if it is called what documents call it.
            let name = words.join(" ");
            let known = |(_, labels): &&(Fact, &[&str])| labels.contains(&name.as_str());
            LABELS.iter().find(known).map(|(fact, _)| *fact).filter(|fact| *fact != Fact::Other)
        })
        .or_else(|| described(description))
}

/// The amount that such words mean, if they mean nothing but an amount.
fn amount_of(words: &[String]) -> Option<Fact> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let amounts = [
        "net",
        "subtotal",
        "sub",
        "total",
        "amount",
        "sum",
        "tax",
        "vat",
        "gross",
        "grand",
        "due",
        "value",
        "before",
        "excl",
        "incl",
        "excluding",
        "including",
        "without",
        "balance",
        "payable",
        "to",
        "pay",
    ];
    if !words.iter().all(|word| amounts.contains(&word.as_str())) {
        return None;
    }
    if has(&["net", "subtotal", "sub", "before", "excl", "excluding", "without"]) {
        return Some(Fact::Net);
    }
    if has(&["tax", "vat"]) && !has(&["incl", "including"]) {
        return Some(Fact::Tax);
    }
    has(&["total", "gross", "amount", "due", "balance", "sum"]).then_some(Fact::Total)
}

/// The fact that a description names, by the words in its first bracket-free part.
fn described(description: &str) -> Option<Fact> {
    let folded = fold(description.split(['(', ',', '.']).next().unwrap_or_default());
    let text = format!(" {folded} ");
    let mut best: Option<(usize, Fact)> = None;
    for (fact, labels) in LABELS.iter().filter(|(fact, _)| *fact != Fact::Other) {
        for label in labels.iter().filter(|label| label.contains(' ') || label.len() >= 12) {
            if text.contains(&format!(" {label} ")) && best.is_none_or(|(len, _)| label.len() > len)
            {
                best = Some((label.len(), *fact));
            }
        }
    }
    best.map(|(_, fact)| fact)
}
