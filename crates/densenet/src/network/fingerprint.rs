//! A fingerprint that distinguishes a network from all others.

use sha2::{Digest, Sha256};

use super::densenet::DenseNet;

impl DenseNet<f32> {
    /// A SHA-256 of the weights, in hexadecimal: of the values, or for an int8 network of the integers in place of
    /// those that they stand for.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        // In an int8 network this has zeros where there are integers.
        add(bytemuck::cast_slice(&self.weights.parameters));
        add(bytemuck::cast_slice(&self.weights.running));
        for conv in self.quantization().iter().flat_map(|quantization| quantization.convs.values()) {
            add(bytemuck::cast_slice(&conv.weight));
            for scales in [&conv.weight_scale, &conv.input_scale, &conv.correction] {
                add(bytemuck::cast_slice(scales));
            }
        }
        if let Some(quantization) = self.quantization() {
            add(bytemuck::cast_slice(&quantization.picture_zero));
        }
        for maps in self.quantization().iter().flat_map(|quantization| &quantization.maps) {
            add(bytemuck::cast_slice(&maps.scale));
            add(&maps.zero);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
