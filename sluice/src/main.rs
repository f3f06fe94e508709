//! sluice
fn main() {}
