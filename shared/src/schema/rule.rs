//! Rules between the values of an extraction, such as `net + vat == total`: read and worked out.
//!
//! Pure. It must know nothing of where the values come from.
//!
//! ```text
//! rule   = sum ( "==" | "!=" | "<=" | ">=" | "<" | ">" ) sum
//! sum    = term { ("+" | "-") term }
//! term   = factor { ("*" | "/") factor }
//! factor = number | "'" text "'" | path | function "(" sum ")" | "(" sum ")" | "-" factor
//! path   = name { "." name | "[]" }
//! ```
//!
//! The functions are `sum`, `min`, `max` and `count`, of a path with `[]`, and `abs`. Text is
//! compared letter by letter, so that ISO dates compare as dates.

mod reader;

use reader::Reader;
use serde_json::Value;
use std::fmt;

/// Amounts are printed rounded: sides that differ by no more than this are equal. Half a cent
/// would do for one rounding; a sum of rounded amounts may be off by one.
pub const TOLERANCE: f64 = 0.01 + 1e-9;

/// The longest rule, in bytes.
pub const LENGTH_MAX: usize = 1_000;

/// A rule that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    left: Expression,
    comparison: Comparison,
    right: Expression,
}

/// The text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "at character {at}: {message}; a rule looks like sum(lines[].amount) == net, or net + vat == total"
)]
pub struct NotARule {
    at: usize,
    message: String,
}

/// Whether a rule holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It does.
    Holds,
    /// It does not; what was compared.
    Broken(String),
    /// It cannot be told; what is missing.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sum,
    Min,
    Max,
    Count,
    Abs,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Number(f64),
    Text(String),
    Path(Path),
    Call(Function, Box<Expression>),
    Negative(Box<Expression>),
    Binary(Box<Expression>, char, Box<Expression>),
}

/// Names from the root, each with whether all items of its list are meant.
#[derive(Clone, Debug, PartialEq)]
struct Path(Vec<(String, bool)>);

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
enum Amount {
    Number(f64),
    Text(String),
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// When it is none, with the place where it goes wrong.
    pub fn parse(text: &str) -> Result<Self, NotARule> {
        let mut reader = Reader::new(text);
        if text.len() > LENGTH_MAX {
            return Err(reader.error(format!("it is longer than {LENGTH_MAX} bytes")));
        }
        let left = reader.sum()?;
        let comparison = reader.comparison()?;
        let right = reader.sum()?;
        match reader.peek() {
            None => Ok(Self { left, comparison, right }),
            Some(c) => Err(reader.error(format!("{c:?} is too much"))),
        }
    }

    /// Whether the rule holds for these values.
    pub fn check(&self, data: &Value) -> Outcome {
        let (left, right) = match (self.left.value(data), self.right.value(data)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(missing), _) | (_, Err(missing)) => return Outcome::Unknown(missing),
        };
        let holds = match (&left, &right) {
            (Amount::Number(left), Amount::Number(right)) => {
                self.comparison.of_numbers(*left, *right)
            }
            (Amount::Text(left), Amount::Text(right)) => self.comparison.of_texts(left, right),
            _ => return Outcome::Unknown(format!("{left} and {right} cannot be compared")),
        };
        if holds {
            Outcome::Holds
        } else {
            Outcome::Broken(format!("{left} {} {right}", self.comparison))
        }
    }
}

impl Comparison {
    const ALL: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn of_numbers(self, left: f64, right: f64) -> bool {
        let equal = (left - right).abs() <= TOLERANCE;
        match self {
            Self::Equal => equal,
            Self::Unequal => !equal,
            Self::Less => left < right,
            Self::LessOrEqual => left < right || equal,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left > right || equal,
        }
    }

    fn of_texts(self, left: &str, right: &str) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, comparison)| comparison == self);
        f.write_str(found.map_or("", |(text, _)| text))
    }
}

impl Function {
    const ALL: [(&'static str, Self); 5] = [
        ("sum", Self::Sum),
        ("min", Self::Min),
        ("max", Self::Max),
        ("count", Self::Count),
        ("abs", Self::Abs),
    ];
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Sums of binary fractions carry dust in their last digits.
            Self::Number(number) => write!(f, "{}", (number * 1e6).round() / 1e6),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Expression {
    /// What it comes to, or what is missing.
    fn value(&self, data: &Value) -> Result<Amount, String> {
        match self {
            Self::Number(number) => Ok(Amount::Number(*number)),
            Self::Text(text) => Ok(Amount::Text(text.clone())),
            Self::Path(path) => path.one(data),
            Self::Negative(inner) => Ok(Amount::Number(-inner.number(data)?)),
            Self::Call(Function::Abs, inner) => Ok(Amount::Number(inner.number(data)?.abs())),
            Self::Call(function, inner) => match inner.as_ref() {
                Self::Path(path) => path.all(*function, data).map(Amount::Number),
                other => other.value(data),
            },
            Self::Binary(left, sign, right) => {
                let (left, right) = (left.number(data)?, right.number(data)?);
                Ok(Amount::Number(match sign {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    _ if right == 0.0 => return Err("a division by zero".to_owned()),
                    _ => left / right,
                }))
            }
        }
    }

    fn number(&self, data: &Value) -> Result<f64, String> {
        match self.value(data)? {
            Amount::Number(number) => Ok(number),
            Amount::Text(text) => Err(format!("{text:?} is not a number")),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, is_list)) in self.0.iter().enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{name}{}", if *is_list { "[]" } else { "" })?;
        }
        Ok(())
    }
}

impl Path {
    fn is_of_many(&self) -> bool {
        self.0.iter().any(|(_, is_list)| *is_list)
    }

    /// Every value that the path leads to.
    fn values<'a>(&self, data: &'a Value) -> Vec<&'a Value> {
        let mut values = vec![data];
        for (name, is_list) in &self.0 {
            let named = values.into_iter().map(|value| &value[name.as_str()]);
            values = match is_list {
                false => named.collect(),
                true => named.filter_map(Value::as_array).flatten().collect(),
            };
        }
        values
    }

    fn one(&self, data: &Value) -> Result<Amount, String> {
        match self.values(data).first() {
            Some(Value::Number(number)) => Ok(Amount::Number(number.as_f64().unwrap_or(f64::NAN))),
            Some(Value::String(text)) => Ok(Amount::Text(text.clone())),
            Some(Value::Bool(yes)) => Ok(Amount::Text(yes.to_string())),
            _ => Err(format!("{self} is missing")),
        }
    }

    fn all(&self, function: Function, data: &Value) -> Result<f64, String> {
        let values = self.values(data);
        if function == Function::Count {
            return Ok(values.iter().filter(|value| !value.is_null()).count() as f64);
        }
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
        let numbers = numbers.ok_or_else(|| format!("{self} is missing in an item"))?;
        let found = match function {
            Function::Min => numbers.into_iter().reduce(f64::min),
            Function::Max => numbers.into_iter().reduce(f64::max),
            _ => numbers.into_iter().reduce(|sum, number| sum + number),
        };
        found.ok_or_else(|| format!("{self} has no items"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn data() -> Value {
        json!({
            "net": 100.0, "vat": 19.0, "total": 119.0, "none": null, "currency": "EUR",
            "issue_date": "2024-03-05", "due_date": "2024-04-04", "empty": [],
            "lines": [{ "amount": 33.33 }, { "amount": 33.33 }, { "amount": 33.33 }],
            "gaps": [{ "amount": 1 }, { "amount": null }],
            "tax": { "rate": 0.19 },
        })
    }

    #[test]
    fn rules_hold_or_do_not() {
        let check = |rule: &str, expected: &str| {
            let outcome = match Rule::parse(rule).unwrap().check(&data()) {
                Outcome::Holds => "holds".to_owned(),
                Outcome::Broken(detail) | Outcome::Unknown(detail) => detail,
            };
            assert_eq!(outcome, expected, "{rule}");
        };
        check("net + vat == total", "holds");
        check("sum(lines[].amount) == net", "holds"); // 99.99: a sum of rounded amounts
        check("net * (1 + tax.rate) == total", "holds");
        check("total - vat - net == -0", "holds");
        check("abs(net - total) == vat", "holds");
        check("count(lines[]) == 3", "holds");
        check("max(lines[].amount) < 50", "holds");
        check("issue_date <= due_date", "holds");
        check("currency == 'EUR'", "holds");
        check("vat == total", "19 == 119");
        check("currency != 'EUR'", "\"EUR\" != \"EUR\"");
        check("total / (net - 100) > 1", "a division by zero");
        check("none + vat == total", "none is missing");
        check("absent == total", "absent is missing");
        check("sum(gaps[].amount) == net", "gaps[].amount is missing in an item");
        check("sum(empty[].amount) == net", "empty[].amount has no items");
        check("currency == total", "\"EUR\" and 119 cannot be compared");
    }

    #[test]
    fn what_is_no_rule_says_where() {
        let check = |rule: &str, expected: &str| {
            let error = Rule::parse(rule).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{rule}: {error}");
        };
        check("", "at character 1: a value is missing");
        check("net", "at character 4: a comparison is missing");
        check("net == ", "at character 8: a value is missing");
        check("net == vat total", "at character 12: 't' is too much");
        check("lines[].amount == net", "at character 16: lines[].amount is many values");
        check("sum(net) == net", "at character 8: net is one value");
        check("avg(lines[].x) == 1", "at character 4: avg is not a function");
        check("(net == total", "at character 6: \")\" is missing");
        check(&"(".repeat(100), "at character 33: it is nested");
        check(&format!("{}1 == 1", " ".repeat(LENGTH_MAX)), "at character 1: it is longer");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-z0-9+*/()<>=!'.\\[\\] ü-]{0,40}") {
            if let Ok(rule) = Rule::parse(&text) {
                rule.check(&data());
            }
        }
    }
}
