//! Every fast operation against its reference, on random shapes.
//!
//! Inputs are numbers that `f32` holds, so that both element types work on the same case and one reference result, in
//! double precision, serves both. `f32` runs on the instruction set in use (`DENSENET_ISA`), `f64` on the portable one.

mod behind;
mod block;
mod check;
mod conv_case;
mod data_gradient;
mod draw;
mod dropout;
mod forward;
mod head;
mod layout;
mod moments;
mod norm;
mod point_gradients;
mod stem;
mod threads;
mod weight_gradient;
