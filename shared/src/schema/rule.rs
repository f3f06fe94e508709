//! rule
/// Rule
pub struct Rule;
impl Rule { /// parse
pub fn parse(_text: &str) -> Result<Self, String> { Ok(Self) } }
