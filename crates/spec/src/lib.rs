//! The code held against the TLA+ specification in `spec/`.
#![forbid(unsafe_code)]

mod compile;
pub mod eval;
pub mod value;
