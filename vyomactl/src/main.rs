//! Placeholder until its own commit.
fn main() {}
