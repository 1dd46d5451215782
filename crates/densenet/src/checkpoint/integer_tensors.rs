//! 8-bit weights in a file.
//!
//! A convolution has its weight as I8 under its own name, with `weight_scale`, `input_scale` and `correction` beside
//! it, and for the stem also `picture_zero`; a block has `map_scale` and `map_zero`. Everything else is as in any file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::slice::from_ref;

use safetensors::Dtype;

use crate::architecture::Architecture;
use crate::quantization::{Quantization, QuantizedConv};
use crate::tensor_file::{self, Entry};
use crate::{Error, Result};

/// Names of a convolution's tensors besides its weight; each follows the convolution's name.
pub(super) const OF_CONV: [&str; 3] = ["weight_scale", "input_scale", "correction"];

/// Name of the tensor that only the stem has, after its convolution's name.
pub(super) const PICTURE_ZERO: &str = "picture_zero";

/// Names of the tensors for a block's maps, after the block's name.
pub(super) const OF_MAPS: [&str; 2] = ["map_scale", "map_zero"];

/// The name of block number `i`, from 0.
pub(super) fn block(i: usize) -> String {
    format!("features.denseblock{}", i + 1)
}

/// Names of the weights that are stored as integers.
pub(super) fn integer_weights(architecture: &Architecture) -> BTreeSet<String> {
    architecture.convs().map(|conv| format!("{}.weight", conv.name)).collect()
}

/// Writes an int8 network of `architecture`; `entries` are all its values.
///
/// # Errors
/// Integers of another network, or a file that cannot be written.
pub(super) fn write<'a>(
    path: &Path,
    metadata: BTreeMap<String, String>,
    entries: Vec<Entry<'a>>,
    architecture: &'a Architecture,
    quantization: &'a Quantization,
) -> Result<()> {
    quantization.check(architecture).map_err(Error::Config)?;
    let integers = integer_weights(architecture);
    let widths: Vec<usize> = quantization.maps.iter().map(|maps| maps.scale.len()).collect();
    let mut numbers: Vec<Entry<'_>> = entries.into_iter().filter(|entry| !integers.contains(&entry.name)).collect();
    for conv in architecture.convs() {
        let QuantizedConv { weight, weight_scale, input_scale, correction } = &quantization.convs[&conv.name];
        let [outputs, inputs] = [&conv.out_channels, &conv.in_channels].map(from_ref);
        let values = [(outputs, weight_scale), (inputs, input_scale), (outputs, correction)];
        for (name, (shape, values)) in OF_CONV.iter().zip(values) {
            let name = format!("{}.{name}", conv.name);
            numbers.push(Entry { name, dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values) });
        }
        let name = format!("{}.weight", conv.name);
        let tensor = architecture.parameters.iter().find(|tensor| tensor.name == name).expect("a convolution's weight");
        numbers.push(Entry { name, dtype: Dtype::I8, shape: &tensor.shape, bytes: bytemuck::cast_slice(weight) });
    }
    let stem = &architecture.stem_conv;
    numbers.push(Entry {
        name: format!("{}.{PICTURE_ZERO}", stem.name),
        dtype: Dtype::F32,
        shape: from_ref(&stem.in_channels),
        bytes: bytemuck::cast_slice(&quantization.picture_zero),
    });
    for (i, (maps, width)) in quantization.maps.iter().zip(&widths).enumerate() {
        let [scale, zero] = OF_MAPS.map(|name| format!("{}.{name}", block(i)));
        let shape = from_ref(width);
        numbers.push(Entry { name: scale, dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(&maps.scale) });
        numbers.push(Entry { name: zero, dtype: Dtype::U8, shape, bytes: &maps.zero });
    }
    tensor_file::write(path, metadata, numbers)
}
