//! ONNX files: decoded again, checked for form, and run by a plain interpreter.

mod form;
mod interpreter;
mod networks;
mod values;
