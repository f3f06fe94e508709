//! Reads a rule by recursive descent: one function for each line of the grammar.

use super::{Comparison, Expression, Function, NotARule, Path};

/// Deeper than this no rule is nested.
const DEPTH_MAX: usize = 32;

/// A rule that is being read, from left to right.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Before the first character.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// What is wrong here.
    pub(super) fn error(&self, message: impl Into<String>) -> NotARule {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        NotARule { at: before.chars().count() + 1, message: message.into() }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is no space; it stays.
    pub(super) fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), NotARule> {
        if self.take(wanted) { Ok(()) } else { Err(self.error(format!("{wanted:?} is missing"))) }
    }

    /// The longest run of such characters from here.
    fn run(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let run: String = self.rest().chars().take_while(|c| is_part(*c)).collect();
        self.at += run.len();
        run
    }

    /// The sign between the sides.
    pub(super) fn comparison(&mut self) -> Result<Comparison, NotARule> {
        for (text, comparison) in Comparison::ALL {
            if self.take(text) {
                return Ok(comparison);
            }
        }
        Err(self.error("a comparison is missing: ==, !=, <, <=, > or >="))
    }

    /// One side.
    pub(super) fn sum(&mut self) -> Result<Expression, NotARule> {
        self.chain(['+', '-'], Self::term)
    }

    fn term(&mut self) -> Result<Expression, NotARule> {
        self.chain(['*', '/'], Self::factor)
    }

    fn chain(
        &mut self,
        signs: [char; 2],
        part: fn(&mut Self) -> Result<Expression, NotARule>,
    ) -> Result<Expression, NotARule> {
        let mut left = part(self)?;
        while let Some(sign) = self.peek().filter(|c| signs.contains(c)) {
            self.at += 1;
            left = Expression::Binary(Box::new(left), sign, Box::new(part(self)?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, NotARule> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        let factor = match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.expect(")")?;
                inner
            }
            Some('-') => {
                self.at += 1;
                Expression::Negative(Box::new(self.factor()?))
            }
            Some('\'') => {
                self.at += 1;
                let text = self.run(|c| c != '\'');
                self.expect("'")?;
                Expression::Text(text)
            }
            Some(c) if c.is_ascii_digit() => {
                let digits = self.run(|c| c.is_ascii_digit() || c == '.');
                Expression::Number(digits.parse().map_err(|_| self.error("no number"))?)
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.named()?,
            Some(c) => return Err(self.error(format!("{c:?} is not expected"))),
            None => return Err(self.error("a value is missing")),
        };
        self.depth -= 1;
        Ok(factor)
    }

    /// A path, or a function of something.
    fn named(&mut self) -> Result<Expression, NotARule> {
        let path = self.path()?;
        let function = match path.0.as_slice() {
            [(name, false)] if self.peek() == Some('(') => name.clone(),
            _ if path.is_of_many() => {
                return Err(self.error(format!("{path} is many values: write sum({path})")));
            }
            _ => return Ok(Expression::Path(path)),
        };
        let Some((_, function)) = Function::ALL.into_iter().find(|(name, _)| *name == function)
        else {
            let known = "sum, min, max, count or abs";
            return Err(self.error(format!("{function} is not a function: use {known}")));
        };
        self.expect("(")?;
        let inner = if function == Function::Abs {
            self.sum()?
        } else {
            self.peek();
            let path = self.path()?;
            if !path.is_of_many() {
                return Err(
                    self.error(format!("{path} is one value: write for example lines[].amount"))
                );
            }
            Expression::Path(path)
        };
        self.expect(")")?;
        Ok(Expression::Call(function, Box::new(inner)))
    }

    fn path(&mut self) -> Result<Path, NotARule> {
        let mut names = Vec::new();
        loop {
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            if name.is_empty() {
                return Err(self.error("the name of a property is missing"));
            }
            names.push((name, self.take("[]")));
            if !self.take(".") {
                return Ok(Path(names));
            }
        }
    }
}
