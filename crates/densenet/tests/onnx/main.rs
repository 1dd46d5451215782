//! ONNX files: decoded again, checked for form, and run by a plain interpreter.

#[path = "../common/distance.rs"]
mod distance;
mod form;
mod integers;
mod interpreter;
#[path = "../common/kinds.rs"]
mod kinds;
mod networks;
mod values;
