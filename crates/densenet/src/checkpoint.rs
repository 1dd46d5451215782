//! Weights in and out of safetensors files that say what they are.
//!
//! Tensors have torchvision's names and are little-endian f32. The header's `__metadata__` holds a [`Card`], one JSON
//! text per field. A file that a run can go on from holds besides what the optimiser carries on and the weights' average,
//! as tensors `momentum.NAME` and the like, and the state of the run, as the text `training`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::architecture::Tensor;
use crate::data::Preprocessing;
use crate::tensor_file::{self, Entry};
use crate::{Architecture, Config, Error, Result};

/// What stands before the name of a parameter whose momentum a tensor is.
pub const MOMENTUM: &str = "momentum.";
/// The same of AdamW's mean of the gradients.
pub const FIRST_MOMENT: &str = "first_moment.";
/// The same of AdamW's mean of their squares.
pub const SECOND_MOMENT: &str = "second_moment.";
/// The same of a parameter's or running statistic's moving average.
pub const AVERAGE: &str = "average.";
/// All of them.
const CARRIED: [&str; 4] = [MOMENTUM, FIRST_MOMENT, SECOND_MOMENT, AVERAGE];

/// The largest header read; that of the largest network is a thousandth of it.
const LARGEST_HEADER: u64 = 100_000_000;

/// What a weight file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The network.
    pub config: Config,
    /// How a picture becomes its input.
    pub preprocessing: Preprocessing,
    /// Names of the classes, in the order of the logits.
    pub labels: Vec<String>,
    /// The data set it was trained on.
    pub dataset: String,
    /// The seed it was trained from.
    pub seed: u64,
    /// Epochs of training behind it.
    pub epoch: usize,
    /// Terms that the weights may be used under, as `MIT OR Apache-2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// PyTorch's counters of batches (`num_batches_tracked`), kept for the way back to it; 0 where there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batches_tracked: u64,
    /// The version of this library that wrote it.
    pub version: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Card {
    /// Each field as a JSON text, as it travels in a file's metadata.
    pub(crate) fn fields(&self) -> BTreeMap<String, String> {
        // By way of a text, which has an `f32` in its own shortest form.
        let text = serde_json::to_string(self).expect("a card is plain data");
        let fields: BTreeMap<String, Value> = serde_json::from_str(&text).expect("a card has fields");
        fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    /// Checks that what the card says fits together.
    ///
    /// # Errors
    /// The first thing that does not, with what would be right.
    fn validate(&self) -> Result<()> {
        let Self { config, preprocessing, labels, .. } = self;
        preprocessing.validate()?;
        Architecture::new(config)?.block_sizes(preprocessing.size, preprocessing.size)?;
        let counts = [
            ("names of classes", labels.len(), config.num_classes, "classes"),
            ("channels prepared", preprocessing.channels(), config.in_channels, "input channels"),
        ];
        for (what, found, wanted, of) in counts {
            if found != wanted {
                return Err(Error::Config(format!("{found} {what} for a network of {wanted} {of}")));
            }
        }
        Ok(())
    }
}

/// The values of a network: its two arenas.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Learnable values, laid out as [`Architecture::parameters`].
    pub parameters: Vec<f32>,
    /// Running statistics, laid out as [`Architecture::running`].
    pub running: Vec<f32>,
}

impl Weights {
    /// Names of the tensors that hold a value that is not finite.
    pub fn non_finite(&self, architecture: &Architecture) -> Vec<String> {
        let arenas = [(&architecture.parameters, &self.parameters), (&architecture.running, &self.running)];
        let tensors = arenas.iter().flat_map(|(tensors, values)| tensors.iter().map(|t| (t, &values[t.range.clone()])));
        tensors.filter(|(_, values)| values.iter().any(|v| !v.is_finite())).map(|(t, _)| t.name.clone()).collect()
    }
}

/// What a weight file is written from.
pub struct Contents<'a> {
    /// What the file says of itself.
    pub card: &'a Card,
    /// Names and places of the values.
    pub architecture: &'a Architecture,
    /// Learnable values.
    pub parameters: &'a [f32],
    /// Running statistics.
    pub running: &'a [f32],
}

impl Contents<'_> {
    /// Saves the weights.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is still there.
    pub fn save(&self, path: &Path) -> Result<()> {
        tensor_file::write(path, self.card.fields(), &self.entries().collect::<Vec<_>>())
    }

    /// Saves the weights with what it takes to go on training them: the arenas `carried` on from step to step, and the
    /// `state` of the run.
    ///
    /// # Errors
    /// A file that cannot be written; what was at `path` before is still there.
    pub fn save_training(&self, path: &Path, carried: &[Group<'_>], state: &impl Serialize) -> Result<()> {
        let mut fields = self.card.fields();
        fields.insert("training".into(), json!(state).to_string());
        let carried = carried.iter().flat_map(|group| entries(group.prefix, group.tensors, group.values));
        tensor_file::write(path, fields, &self.entries().chain(carried).collect::<Vec<_>>())
    }

    /// Parameters and running statistics under torchvision's names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let parameters = entries("", &self.architecture.parameters, self.parameters);
        parameters.chain(entries("", &self.architecture.running, self.running))
    }
}

/// The tensors of one arena, as they are named in a file.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// What stands before their names.
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

/// Where a weight file's bytes are.
trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A weight file whose header is read and found sound; the values are still where they were.
pub struct Reader {
    path: PathBuf,
    file: Box<dyn Source>,
    metadata: Metadata,
    /// Where the values begin, in bytes.
    start: u64,
}

impl Reader {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// A file that cannot be read, is no safetensors file, or is cut off or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        Self::of(path, Box::new(file), length)
    }

    /// Reads the header of a file that is in memory; errors call it `name`.
    ///
    /// # Errors
    /// Bytes that are no safetensors file, or are cut off or damaged.
    pub fn in_memory(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::of(Path::new(name), Box::new(Cursor::new(bytes)), bytes.len() as u64)
    }

    fn of(path: &Path, mut file: Box<dyn Source>, length: u64) -> Result<Self> {
        let wrong = |reason: String| Error::format(path, format!("not a sound safetensors file: {reason}"));
        let mut prefix = [0; 8];
        if length < 8 {
            return Err(wrong(format!("it has {length} bytes; the length of the header alone takes 8")));
        }
        file.read_exact(&mut prefix).map_err(Error::io(path))?;
        let header = u64::from_le_bytes(prefix);
        if header > LARGEST_HEADER.min(length - 8) {
            return Err(wrong(format!("it announces a header of {header} bytes in a file of {length}")));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(Error::io(path))?;
        let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| wrong(format!("its header: {e}")))?;
        let start = 8 + header;
        let announced = start.saturating_add(metadata.data_len() as u64);
        if announced != length {
            return Err(wrong(format!("its header announces {announced} bytes in all, there are {length}")));
        }
        Ok(Self { path: path.into(), file, metadata, start })
    }

    /// What the file says of itself.
    ///
    /// # Errors
    /// A file that does not say it, as one that another program wrote, or says what does not fit together.
    pub fn card(&self) -> Result<Card> {
        let fields = self.metadata.metadata().iter().flatten();
        let fields = fields.filter_map(|(name, text)| Some((name.clone(), serde_json::from_str(text).ok()?)));
        let card: Card = serde_json::from_value(Value::Object(fields.collect())).map_err(|e| {
            Error::format(
                &self.path,
                format!("does not say which network it holds ({e}); densenet train writes files that do"),
            )
        })?;
        card.validate().map_err(|e| Error::format(&self.path, e.to_string()))?;
        Ok(card)
    }

    /// The weights of `architecture`.
    ///
    /// # Errors
    /// A file that does not hold exactly that network; the message lists every tensor that is missing, unexpected or
    /// of another shape.
    pub fn weights(&mut self, architecture: &Architecture) -> Result<Weights> {
        let expected = [("", &*architecture.parameters), ("", &*architecture.running)];
        self.check(&expected)?;
        Ok(Weights {
            parameters: self.values("", &architecture.parameters)?,
            running: self.values("", &architecture.running)?,
        })
    }

    /// The state of the training run, as [`Contents::save_training`] wrote it.
    ///
    /// # Errors
    /// A file without one, or with one of another kind.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S> {
        let text = self.metadata.metadata().as_ref().and_then(|fields| fields.get("training"));
        let text = text.ok_or_else(|| Error::format(&self.path, "holds weights only, no state of a training run"))?;
        serde_json::from_str(text).map_err(|e| Error::format(&self.path, format!("its state of the training run: {e}")))
    }

    /// The arenas that training carries on, for each prefix and the tensors that it stands before, as
    /// [`Contents::save_training`] wrote them.
    ///
    /// # Errors
    /// Those of [`Reader::weights`], and a file without one of the tensors.
    pub fn carried(&mut self, architecture: &Architecture, places: &[(&str, &[Tensor])]) -> Result<Vec<Vec<f32>>> {
        let weights = [("", &*architecture.parameters), ("", &*architecture.running)];
        self.check(&[&weights, places].concat())?;
        places.iter().map(|(prefix, tensors)| self.values(prefix, tensors)).collect()
    }

    /// Compares the file's tensors with the `expected` ones and names every difference.
    fn check(&self, expected: &[(&str, &[Tensor])]) -> Result<()> {
        let mut found: BTreeMap<String, &TensorInfo> = self.metadata.tensors().into_iter().collect();
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for (prefix, tensors) in expected {
            for tensor in *tensors {
                let name = format!("{prefix}{}", tensor.name);
                match found.remove(&name) {
                    None => missing.push(name),
                    Some(info) if info.shape != tensor.shape || info.dtype != Dtype::F32 => misshapen
                        .push(format!("{name} is {:?} {:?} instead of F32 {:?}", info.dtype, info.shape, tensor.shape)),
                    Some(_) => {}
                }
            }
        }
        let carried = |name: &str| CARRIED.iter().any(|prefix| name.starts_with(prefix));
        let ignored = |name: &str| carried(name) || name.ends_with(".num_batches_tracked");
        let unexpected: Vec<String> = found.into_keys().filter(|name| !ignored(name)).collect();
        let lists = [("missing", missing), ("unexpected", unexpected), ("of another shape or type", misshapen)];
        let lists: Vec<String> = lists.iter().filter(|(_, names)| !names.is_empty()).map(list).collect();
        if lists.is_empty() {
            return Ok(());
        }
        Err(Error::format(&self.path, format!("does not hold the weights of this network\n{}", lists.join("\n"))))
    }

    /// Reads `tensors`, which [`Reader::check`] found to be there, into an arena.
    fn values(&mut self, prefix: &str, tensors: &[Tensor]) -> Result<Vec<f32>> {
        let mut arena = vec![0.0; tensors.last().map_or(0, |tensor| tensor.range.end)];
        for tensor in tensors {
            let Some(info) = self.metadata.info(&format!("{prefix}{}", tensor.name)) else { continue };
            self.file.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64)).map_err(Error::io(&self.path))?;
            let bytes = bytemuck::cast_slice_mut(&mut arena[tensor.range.clone()]);
            self.file.read_exact(bytes).map_err(Error::io(&self.path))?;
        }
        Ok(arena)
    }
}

fn list((what, names): &(&str, Vec<String>)) -> String {
    format!("{what} ({}):\n  {}", names.len(), names.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let weights =
            Weights { parameters: values(architecture.num_parameters()), running: values(architecture.num_running()) };
        let card = Card {
            config,
            preprocessing: Preprocessing { size: 32, resize: None, mean: vec![0.1], std: vec![0.3] },
            labels: vec!["a \"quoted\" shirt".into(), "bag".into()],
            dataset: "made-up".into(),
            seed: 7,
            epoch: 3,
            licence: Some("CC0-1.0".into()),
            batches_tracked: 0,
            version: "0.1.0".into(),
        };
        (card, architecture, weights)
    }

    fn contents<'a>(card: &'a Card, architecture: &'a Architecture, weights: &'a Weights) -> Contents<'a> {
        Contents { card, architecture, parameters: &weights.parameters, running: &weights.running }
    }

    /// A saved network, its file and the folder that goes away with it.
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
        assert!(card.fields()["preprocessing"].contains(r#""mean":[0.1]"#), "{:?}", card.fields());
        assert_eq!(reader.weights(&architecture).unwrap(), weights);
        assert!(reader.state::<u32>().unwrap_err().to_string().contains("weights only"));
    }

    #[test]
    fn a_card_that_does_not_fit_together_is_refused() {
        let (card, architecture, weights, path, _folder) = saved();
        let colour = Preprocessing { size: 32, resize: None, mean: vec![0.1; 3], std: vec![0.3; 3] };
        let wrong = [
            (Card { labels: vec!["bag".into()], ..card.clone() }, "1 names of classes for a network of 2 classes"),
            (Card { preprocessing: colour, ..card.clone() }, "3 channels prepared"),
            (Card { preprocessing: Preprocessing { size: 2, ..card.preprocessing.clone() }, ..card }, "2x2"),
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

    /// As torchvision's networks are saved: no card, and PyTorch's counters of batches.
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
        let other = Config { block_config: vec![2, 2], num_classes: 5, ..card.config };
        let error = Reader::open(&path).unwrap().weights(&Architecture::new(&other).unwrap()).unwrap_err().to_string();
        for part in [
            "missing (6)",
            "features.denseblock1.denselayer2.norm1.running_var",
            "classifier.bias is F32 [2] instead of F32 [5]",
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
        for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
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
        weights.parameters[architecture.classifier_bias.start] = f32::NAN;
        weights.running[0] = f32::INFINITY;
        assert_eq!(weights.non_finite(&architecture), ["classifier.bias", "features.norm0.running_mean"]);
    }
}
