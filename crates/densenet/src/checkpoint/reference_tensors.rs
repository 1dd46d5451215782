//! What a weight file keeps of the training pictures.
//!
//! A [`Reference`] is stored beside the weights, as tensors whose names begin with `reference.` and as JSON text in the
//! metadata. Readers of weights skip both, and other programs' formats do not get them.

use std::collections::BTreeMap;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::novelty::{Distances, Origin, Parts, Reference};
use crate::tensor_file::Entry;

/// The prefix of its tensors' names.
pub(super) const PREFIX: &str = "reference.";

/// Its metadata key.
pub(super) const KEY: &str = "densenet_reference";

/// The version of the format that is written.
pub(super) const VERSION: u32 = 1;

pub(super) const MEAN: &str = "mean";
pub(super) const WHITENING: &str = "whitening";
pub(super) const CLASS_MEANS: &str = "class_means";
pub(super) const EMBEDDINGS: &str = "embeddings";

/// The reference's JSON text in the metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    pub version: u32,
    pub origin: Origin,
    pub reach: Distances,
}

/// The shapes of a reference's tensors.
pub(super) struct Shapes {
    mean: [usize; 1],
    whitening: [usize; 1],
    class_means: [usize; 2],
    embeddings: [usize; 2],
}

impl Shapes {
    pub fn of(reference: &Reference) -> Self {
        let (parts, width) = (reference.parts(), reference.num_features());
        Self {
            mean: [width],
            whitening: [parts.whitening.len()],
            class_means: [parts.class_means.len() / width, width],
            embeddings: [parts.embeddings.len() / width, width],
        }
    }
}

/// Adds a reference's text to the metadata.
pub(super) fn describe(reference: &Reference, metadata: &mut BTreeMap<String, String>) {
    let text = Text { version: VERSION, origin: reference.origin().clone(), reach: reference.reach() };
    metadata.insert(KEY.into(), json!(text).to_string());
}

/// The tensors of a reference.
pub(super) fn entries<'a>(reference: &'a Reference, shapes: &'a Shapes) -> [Entry<'a>; 4] {
    let Parts { mean, whitening, class_means, embeddings } = reference.parts();
    let numbers = |name: &str, shape, values: &'a [f32]| Entry {
        name: format!("{PREFIX}{name}"),
        dtype: Dtype::F32,
        shape,
        bytes: bytemuck::cast_slice(values),
    };
    [
        numbers(MEAN, &shapes.mean, mean),
        numbers(WHITENING, &shapes.whitening, whitening),
        numbers(CLASS_MEANS, &shapes.class_means, class_means),
        Entry {
            name: format!("{PREFIX}{EMBEDDINGS}"),
            dtype: Dtype::F16,
            shape: &shapes.embeddings,
            bytes: bytemuck::cast_slice(embeddings),
        },
    ]
}
