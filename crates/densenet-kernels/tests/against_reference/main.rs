//! Every fast operation against its reference, on random shapes.
//!
//! Inputs are numbers that `f32` holds, so that both element types work on the same case and one reference result, in
//! double precision, serves both. `f32` runs on every instruction set that the processor has, `f64` on the portable one.

mod backward_1x1;
mod backward_bias;
mod backward_data;
mod backward_pictures;
mod backward_weights;
mod bf16;
mod block;
mod check;
mod conv_case;
mod conv_face;
mod draw;
mod dropout;
mod fast_conv;
mod forward;
#[cfg(all(target_os = "linux", not(miri)))]
mod guard_page;
#[cfg(all(target_os = "linux", not(miri)))]
mod guarded_memory;
mod head;
mod int8;
mod layout;
mod linear;
mod moments;
mod not_a_number;
mod stem;
mod threads;
mod uncorrected;
