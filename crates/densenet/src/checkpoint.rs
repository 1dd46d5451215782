//! Weights in files.
//!
//! Files are written as safetensors that describe themselves: tensors have torchvision's names and are little-endian
//! f32; the header's `__metadata__` holds a [`Card`] as JSON text. A file from which a run can resume also holds the
//! optimiser's state and the moving average of the weights, as tensors `momentum.NAME` and the like, and the state of
//! the run, as the text `training`.
//!
//! Any DenseNet in a safetensors file or a PyTorch checkpoint can be read, whatever its tensors are called and
//! whichever floating-point type they have: see [`Reader`].

mod adapt;
mod chain;
mod element;
mod entry;
mod file;
mod format;
mod hub;
mod infer;
mod integer_tensors;
mod integers;
mod layers;
mod map_order;
mod module_ids;
mod modules;
mod names;
mod opcodes;
mod pickle;
mod pickle_order;
mod reader;
mod reference_tensors;
mod references;
mod safetensor;
mod shards;
mod stored;
mod table;

use std::path::Path;

use safetensors::Dtype;
use serde::Serialize;
use serde_json::json;

use crate::architecture::Tensor;
use crate::novelty::Reference;
use crate::quantization::Quantization;
use crate::tensor_file::{self, Entry};
use crate::{Architecture, Result};

pub use crate::card::Card;
pub use hub::WEIGHTS as HUB_WEIGHTS;
pub use infer::{Assumption, Inferred};
pub use map_order::NewMaps;
pub use reader::Reader;
pub use stored::Stored;

/// Prefix of the tensor that holds a parameter's momentum.
pub const MOMENTUM: &str = "momentum.";
/// Prefix of the tensor that holds AdamW's moving average of a parameter's gradients.
pub const FIRST_MOMENT: &str = "first_moment.";
/// Prefix of the tensor that holds AdamW's moving average of the squared gradients.
pub const SECOND_MOMENT: &str = "second_moment.";
/// Prefix of the tensor that holds the moving average of a parameter or running statistic.
pub const AVERAGE: &str = "average.";
/// All of these prefixes.
const CARRIED: [&str; 4] = [MOMENTUM, FIRST_MOMENT, SECOND_MOMENT, AVERAGE];

/// The last part of the name of a PyTorch batch-norm's batch counter.
pub(crate) const COUNTER: &str = "num_batches_tracked";

/// The values of a network: its two arenas.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Learnable values, laid out as [`Architecture::parameters`].
    pub parameters: Vec<f32>,
    /// Running statistics, laid out as [`Architecture::running`].
    pub running: Vec<f32>,
    /// The integers of an int8 network; the parameters that they stand for are then zeros.
    pub quantization: Option<Quantization>,
}

impl Weights {
    /// The same weights without integers: the values that they stand for are put among the parameters.
    pub fn dequantized(mut self, architecture: &Architecture) -> Self {
        if let Some(quantization) = self.quantization.take() {
            quantization.dequantize(architecture, &mut self.parameters);
        }
        self
    }

    /// Names of the tensors that contain a value that is not finite.
    pub fn non_finite(&self, architecture: &Architecture) -> Vec<String> {
        let arenas = [(&architecture.parameters, &self.parameters), (&architecture.running, &self.running)];
        let tensors = arenas.iter().flat_map(|(tensors, values)| tensors.iter().map(|t| (t, &values[t.range.clone()])));
        tensors.filter(|(_, values)| values.iter().any(|v| !v.is_finite())).map(|(t, _)| t.name.clone()).collect()
    }
}

/// The data that a weight file is written from.
pub struct Contents<'a> {
    /// What the file says about itself.
    pub card: &'a Card,
    /// Names and places of the values.
    pub architecture: &'a Architecture,
    /// Learnable values.
    pub parameters: &'a [f32],
    /// Running statistics.
    pub running: &'a [f32],
    /// The integers that stand for some of the values, if the file is to hold them.
    pub quantization: Option<&'a Quantization>,
    /// What is kept of the training pictures, if anything.
    pub reference: Option<&'a Reference>,
}

impl Contents<'_> {
    /// Saves the weights.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut metadata = self.card.metadata();
        let shapes = self.reference.map(reference_tensors::Shapes::of);
        let mut entries: Vec<Entry<'_>> = self.entries().collect();
        if let (Some(reference), Some(shapes)) = (self.reference, &shapes) {
            reference_tensors::describe(reference, &mut metadata);
            entries.extend(reference_tensors::entries(reference, shapes));
        }
        match self.quantization {
            Some(integers) => integer_tensors::write(path, metadata, entries, self.architecture, integers),
            None => tensor_file::write(path, metadata, entries),
        }
    }

    /// Saves the weights with everything needed to resume training: the arenas `carried` from step to step, and the
    /// `state` of the run.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is kept.
    pub fn save_training(&self, path: &Path, carried: &[Group<'_>], state: &impl Serialize) -> Result<()> {
        let mut fields = self.card.metadata();
        fields.insert("training".into(), json!(state).to_string());
        let carried = carried.iter().flat_map(|group| entries(group.prefix, group.tensors, group.values));
        tensor_file::write(path, fields, self.entries().chain(carried).collect())
    }

    /// Parameters and running statistics under torchvision's names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let parameters = entries("", &self.architecture.parameters, self.parameters);
        parameters.chain(entries("", &self.architecture.running, self.running))
    }
}

/// The tensors of one arena, with their names in a file.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The prefix of their names.
    pub prefix: &'static str,
    /// Names and places.
    pub tensors: &'a [Tensor],
    /// The arena.
    pub values: &'a [f32],
}

fn entries<'a>(prefix: &str, tensors: &'a [Tensor], values: &'a [f32]) -> impl Iterator<Item = Entry<'a>> {
    tensors.iter().map(move |tensor| Entry {
        name: format!("{prefix}{}", tensor.name),
        dtype: Dtype::F32,
        shape: &tensor.shape,
        bytes: bytemuck::cast_slice(&values[tensor.range.clone()]),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::Dtype;

    use super::*;
    use crate::Config;
    use crate::data::Preprocessing;

    fn network() -> (Card, Architecture, Weights) {
        let config = Config {
            block_config: vec![1, 2],
            growth_rate: 4,
            num_init_features: 8,
            num_classes: 2,
            ..Config::preset("seed").unwrap()
        };
        let architecture = Architecture::new(&config).unwrap();
        let values = |n: usize| (0..n).map(|i| i as f32 * 0.25 - 3.0).collect();
        let weights = Weights {
            parameters: values(architecture.num_parameters()),
            running: values(architecture.num_running()),
            quantization: None,
        };
        let card = Card {
            preprocessing: Some(Preprocessing::new(32, [0.1], [0.3])),
            labels: vec!["a \"quoted\" shirt".into(), "bag".into()],
            dataset: "made-up".into(),
            seed: 7,
            epoch: 3,
            licence: Some("CC0-1.0".into()),
            ..Card::of(config)
        };
        (card, architecture, weights)
    }

    fn contents<'a>(card: &'a Card, architecture: &'a Architecture, weights: &'a Weights) -> Contents<'a> {
        Contents {
            card,
            architecture,
            parameters: &weights.parameters,
            running: &weights.running,
            quantization: None,
            reference: None,
        }
    }

    /// A saved network, its file and the folder that is deleted with it.
    fn saved() -> (Card, Architecture, Weights, PathBuf, tempfile::TempDir) {
        let (card, architecture, weights) = network();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        contents(&card, &architecture, &weights).save(&path).unwrap();
        (card, architecture, weights, path, folder)
    }

    #[test]
    fn weights_and_card_come_back() {
        let (card, architecture, weights, path, _folder) = saved();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.card().unwrap(), card);
        assert!(card.metadata()["densenet_card"].contains(r#""mean":[0.1]"#), "{:?}", card.metadata());
        assert_eq!(reader.weights(&architecture).unwrap(), weights);
        assert!(reader.state::<u32>().unwrap_err().to_string().contains("weights only"));
    }

    #[test]
    fn a_card_that_does_not_fit_together_is_refused() {
        let (card, architecture, weights, path, _folder) = saved();
        let colour = Preprocessing::new(32, [0.1; 3], [0.3; 3]);
        let small = Preprocessing { size: 2, ..card.preprocessing.clone().unwrap() };
        let wrong = [
            (Card { labels: vec!["bag".into()], ..card.clone() }, "1 class names for a network of 2 classes"),
            (Card { preprocessing: Some(colour), ..card.clone() }, "3 channels prepared"),
            (Card { preprocessing: Some(small), ..card }, "2x2"),
        ];
        for (card, part) in wrong {
            contents(&card, &architecture, &weights).save(&path).unwrap();
            let error = Reader::open(&path).unwrap().card().unwrap_err().to_string();
            assert!(error.contains("w.safetensors") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_safetensors_crate_reads_what_is_written() {
        let (_, architecture, weights, path, _folder) = saved();
        let bytes = std::fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.len(), architecture.parameters.len() + architecture.running.len());
        let stem = file.tensor("features.conv0.weight").unwrap();
        assert_eq!(stem.shape(), [8, 1, 7, 7]);
        let range = architecture.stem_conv.weight.clone();
        assert_eq!(stem.data(), bytemuck::cast_slice::<f32, u8>(&weights.parameters[range]));
    }

    /// As torchvision's networks are saved: no card, and PyTorch's batch counters.
    #[test]
    fn weights_that_another_program_wrote_come_back_without_a_card() {
        let (_, architecture, weights, path, _folder) = saved();
        let view = |shape: &[usize], dtype, data| safetensors::tensor::TensorView::new(dtype, shape.to_vec(), data);
        let counter = 7u64.to_le_bytes();
        let mut tensors = vec![("features.norm0.num_batches_tracked", view(&[], Dtype::I64, &counter[..]).unwrap())];
        for (arena, values) in
            [(&architecture.parameters, &weights.parameters), (&architecture.running, &weights.running)]
        {
            tensors.extend(arena.iter().map(|tensor| {
                let data = bytemuck::cast_slice(&values[tensor.range.clone()]);
                (tensor.name.as_str(), view(&tensor.shape, Dtype::F32, data).unwrap())
            }));
        }
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.weights(&architecture).unwrap(), weights);
        assert!(reader.card().unwrap_err().to_string().contains("does not say which network"));
    }

    #[test]
    fn training_state_comes_back_and_equal_contents_are_equal_bytes() {
        let (card, architecture, weights) = network();
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let momentum: Vec<f32> = weights.parameters.iter().map(|v| -v).collect();
        for path in &paths {
            let carried = Group { prefix: MOMENTUM, tensors: &architecture.parameters, values: &momentum };
            contents(&card, &architecture, &weights).save_training(path, &[carried], &(5u32, 0.1f64)).unwrap();
        }
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
        let mut reader = Reader::open(&paths[0]).unwrap();
        assert_eq!(reader.state::<(u32, f64)>().unwrap(), (5, 0.1));
        let carried =
            |reader: &mut Reader, prefix| reader.carried(&architecture, &[(prefix, &architecture.parameters)]);
        assert_eq!(carried(&mut reader, MOMENTUM).unwrap(), [momentum]);
        assert_eq!(reader.weights(&architecture).unwrap(), weights);
        let error = carried(&mut reader, AVERAGE).unwrap_err().to_string();
        assert!(error.contains("average.features.conv0.weight"), "{error}");
    }

    #[test]
    fn every_difference_is_listed() {
        let (card, _, _, path, _folder) = saved();
        let other = Config { block_config: vec![2, 2], num_classes: 5, ..card.config.clone() };
        let error = Reader::open(&path).unwrap().weights(&Architecture::new(&other).unwrap()).unwrap_err().to_string();
        for part in [
            "missing (6)",
            "features.denseblock1.denselayer2.norm1.running_var",
            "classifier.bias is F32 [2] instead of [5]",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        let fewer = Config { block_config: vec![1, 1], ..card.config };
        let error = Reader::open(&path).unwrap().weights(&Architecture::new(&fewer).unwrap()).unwrap_err().to_string();
        assert!(error.contains("unexpected (6)") && error.contains("denseblock2.denselayer2.conv1.bias"), "{error}");
    }

    #[test]
    fn a_file_cut_anywhere_or_made_longer_is_refused() {
        let (.., path, _folder) = saved();
        let bytes = std::fs::read(&path).unwrap();
        for length in [1, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = Reader::open(&path).err().unwrap().to_string();
            assert!(error.contains("not a sound safetensors file"), "{error}");
        }
        std::fs::write(&path, [&*bytes, b"x"].concat()).unwrap();
        assert!(Reader::open(&path).is_err());
        std::fs::write(&path, [&[0xff; 8], &bytes[8..]].concat()).unwrap();
        assert!(Reader::open(&path).err().unwrap().to_string().contains("announces a header"));
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        let (_, architecture, mut weights) = network();
        assert!(weights.non_finite(&architecture).is_empty());
        weights.parameters[architecture.classifier[0].bias.start] = f32::NAN;
        weights.running[0] = f32::INFINITY;
        assert_eq!(weights.non_finite(&architecture), ["classifier.bias", "features.norm0.running_mean"]);
    }
}
