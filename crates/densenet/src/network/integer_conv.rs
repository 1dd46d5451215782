//! A packed int8 convolution.

use densenet_kernels::Grid;
use densenet_kernels::int8::{self, IntegerConv, IntegerInput};

use super::steps::{Method, Part, Step};
use crate::profile::{Pass, Probe};
use crate::quantization::Requantize;

/// A convolution, and how its sums become output.
#[derive(Debug)]
pub(super) struct Packed {
    /// torchvision's name.
    pub name: String,
    pub conv: IntegerConv,
    pub write: Requantize,
}

impl Packed {
    /// Computes `output[image][y][x][channel]` from `input`.
    pub fn run(&self, input: &IntegerInput<'_>, output: &mut [u8], probe: Probe<'_>) {
        let shape = self.conv.shape();
        // As everywhere, a convolution after pooling counts like one before it.
        let grid = match input {
            IntegerInput::PreActivation { maps, .. } => maps.grid(),
            _ => input.grid(),
        };
        let macs = shape.macs(shape.window.output(grid));
        let forward = || int8::forward(&self.conv, input, self.write.affine(), output);
        probe.at(&self.name).time(Pass::Forward, macs, forward);
    }

    /// Its operation on an input of `height` by `width`.
    pub fn step(&self, part: Part, (height, width): (usize, usize)) -> Step {
        let shape = self.conv.shape();
        let output = shape.window.output(Grid { images: 1, height, width });
        Step {
            name: self.name.clone(),
            part,
            in_channels: shape.in_channels,
            out_channels: shape.out_channels,
            window: [shape.window.kernel; 2],
            output: [output.height, output.width],
            method: Method::Integers,
        }
    }
}
