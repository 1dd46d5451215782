//! The program `densenet`.

fn main() {}
