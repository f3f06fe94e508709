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
//! compared letter by letter, so that ISO dates compare as dates. Numbers are decimals of up to 28
//! digits, and so is text that is one where a number is wanted: nothing is lost to binary fractions.

mod reader;

use reader::Reader;
use rust_decimal::Decimal;
use serde_json::Value;
use std::fmt;

/// Amounts are printed rounded: sides that differ by no more than this are equal. Half a cent
/// would do for one rounding; a sum of rounded amounts may be off by one.
pub const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// What is shown of a quotient, in digits after the point.
const SHOWN_DIGITS: u32 = 6;

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
    Number(Decimal),
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
    Number(Decimal),
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

    /// The JSON pointers of the values that it compares; not of those that are one of many.
    pub fn pointers(&self) -> Vec<String> {
        let mut pointers = Vec::new();
        self.left.pointers(&mut pointers);
        self.right.pointers(&mut pointers);
        pointers
    }

    /// Whether the rule holds for these values.
    pub fn check(&self, data: &Value) -> Outcome {
        let (left, right) = match (self.left.value(data), self.right.value(data)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(missing), _) | (_, Err(missing)) => return Outcome::Unknown(missing),
        };
        let holds = match (&left, &right) {
            (Amount::Text(left), Amount::Text(right)) => self.comparison.of_texts(left, right),
            _ => match (left.number(), right.number()) {
                (Ok(left), Ok(right)) => self.comparison.of_numbers(left, right),
                _ => return Outcome::Unknown(format!("{left} and {right} cannot be compared")),
            },
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

    fn of_numbers(self, left: Decimal, right: Decimal) -> bool {
        let equal = left.checked_sub(right).is_some_and(|gap| gap.abs() <= TOLERANCE);
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
            Self::Number(number) => write!(f, "{}", number.round_dp(SHOWN_DIGITS).normalize()),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl Expression {
    fn pointers(&self, found: &mut Vec<String>) {
        match self {
            Self::Path(path) if !path.is_of_many() => found.push(path.pointer()),
            Self::Call(_, inner) | Self::Negative(inner) => inner.pointers(found),
            Self::Binary(left, _, right) => {
                left.pointers(found);
                right.pointers(found);
            }
            Self::Number(_) | Self::Text(_) | Self::Path(_) => {}
        }
    }

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
                let result = match sign {
                    '+' => left.checked_add(right),
                    '-' => left.checked_sub(right),
                    '*' => left.checked_mul(right),
                    _ if right.is_zero() => return Err("a division by zero".to_owned()),
                    _ => left.checked_div(right),
                };
                let too_large = || format!("{left} {sign} {right} is too large to calculate with");
                result.map(Amount::Number).ok_or_else(too_large)
            }
        }
    }

    fn number(&self, data: &Value) -> Result<Decimal, String> {
        self.value(data)?.number()
    }
}

impl Amount {
    /// What a value comes to; none where it is no plain value.
    fn of(value: &Value) -> Option<Result<Self, String>> {
        match value {
            Value::Number(number) => Some(decimal(&number.to_string()).map(Self::Number)),
            Value::String(text) => Some(Ok(Self::Text(text.clone()))),
            Value::Bool(yes) => Some(Ok(Self::Text(yes.to_string()))),
            _ => None,
        }
    }

    /// The number that it is, or that its text is.
    fn number(&self) -> Result<Decimal, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => decimal(text).map_err(|_| format!("{text:?} is not a number")),
        }
    }
}

/// The number that a JSON number, or a text of the same form, stands for. A fraction is rounded to
/// what a decimal can hold.
fn decimal(text: &str) -> Result<Decimal, String> {
    let is_scientific = text.contains(['e', 'E']);
    let read = if is_scientific { Decimal::from_scientific(text) } else { text.parse() };
    read.map_err(|_| format!("{text} is too large to calculate with"))
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
    fn pointer(&self) -> String {
        let names = self.0.iter().map(|(name, _)| name.replace('~', "~0").replace('/', "~1"));
        names.map(|name| format!("/{name}")).collect()
    }

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
        let first = self.values(data).first().copied().and_then(Amount::of);
        first.unwrap_or_else(|| Err(format!("{self} is missing")))
    }

    fn all(&self, function: Function, data: &Value) -> Result<Decimal, String> {
        let values = self.values(data);
        if function == Function::Count {
            return Ok(values.iter().filter(|value| !value.is_null()).count().into());
        }
        let number = |value: &Value| {
            let amount = Amount::of(value);
            amount.unwrap_or_else(|| Err(format!("{self} is missing in an item")))?.number()
        };
        let numbers: Vec<Decimal> = values.into_iter().map(number).collect::<Result<_, _>>()?;
        let mut numbers = numbers.into_iter();
        let first = numbers.next().ok_or_else(|| format!("{self} has no items"))?;
        let found = match function {
            Function::Min => Some(numbers.fold(first, Decimal::min)),
            Function::Max => Some(numbers.fold(first, Decimal::max)),
            _ => numbers.try_fold(first, Decimal::checked_add),
        };
        found.ok_or_else(|| format!("the sum of {self} is too large to calculate with"))
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
    fn a_rule_names_the_values_that_it_compares() {
        let rule = Rule::parse("abs(net) + tax.rate * 2 == -total - sum(lines[].amount)").unwrap();
        assert_eq!(rule.pointers(), ["/net", "/tax/rate", "/total"]);
    }

    #[test]
    fn rules_calculate_in_decimals() {
        let check = |rule: &str, data: &str, expected: &str| {
            let data = serde_json::from_str(data).unwrap();
            let outcome = match Rule::parse(rule).unwrap().check(&data) {
                Outcome::Holds => "holds".to_owned(),
                Outcome::Broken(detail) | Outcome::Unknown(detail) => detail,
            };
            assert_eq!(outcome, expected, "{rule} of {data}");
        };
        // As binary fractions, both sides would be 20000000000000000.
        let large = r#"{ "a": 19999999999999999.98, "b": 0.01, "c": 20000000000000000.02 }"#;
        check("a + b == c", large, "19999999999999999.99 == 20000000000000000.02");
        check("a + b + 0.03 == c", large, "holds");
        let ids = r#"{ "a": 12345678901234567890123, "b": 12345678901234567890124 }"#;
        check("a == b", ids, "12345678901234567890123 == 12345678901234567890124");
        check("b - a == 1", ids, "holds");
        // A cent is a cent, and what is more than a cent is more.
        check("a == b", r#"{ "a": 0.29, "b": 0.30 }"#, "holds");
        check("a == b", r#"{ "a": 0.2899999, "b": 0.30 }"#, "0.29 == 0.3");
        check("a == 1200", r#"{ "a": 1.2e3 }"#, "holds");
        // Amounts that a schema has as text.
        check("a + b == 3.30", r#"{ "a": "1.10", "b": "2.20" }"#, "holds");
        check("a == b", r#"{ "a": "119.00", "b": 119 }"#, "holds");
        check("sum(x[].a) == 3", r#"{ "x": [{ "a": "1" }, { "a": 2.0 }] }"#, "holds");
        check("a + 1 == 2", r#"{ "a": "EUR" }"#, "\"EUR\" is not a number");
        let huge = format!(r#"{{ "a": 1{:0>40}, "b": 9e27 }}"#, "");
        let message = format!("1{:0>40} is too large to calculate with", "");
        check("a == a", &huge, &message);
        check(
            "b * b == 1",
            &huge,
            &format!("{0} * {0} is too large to calculate with", "9000000000000000000000000000"),
        );
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
