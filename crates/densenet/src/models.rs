//! Small trained networks that are built into the library, so that it can predict without any files.

use std::path::Path;

use crate::Result;
use crate::checkpoint::Reader;

/// A trained network that is built into the library.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name, which can be given in place of a weight file.
    pub name: &'static str,
    /// Number of correctly classified test pictures of the data set named in its card.
    pub correct: u64,
    /// Number of test pictures in that data set.
    pub images: u64,
    /// The command that trained it.
    pub command: &'static str,
    /// Its weight file.
    pub file: &'static [u8],
}

/// The built-in models; the first is the default.
pub const MODELS: [Model; 2] = [
    Model {
        name: "cifar10",
        correct: 9_248,
        images: 10_000,
        command: "densenet train --model densenet-bc-40-12 --data cifar10 --epochs 100 --schedule cosine --ema 0.999 --val-fraction 0.02",
        file: include_bytes!("../models/cifar10.safetensors"),
    },
    Model {
        name: "fashion-mnist",
        correct: 9_426,
        images: 10_000,
        command: "densenet train --model densenet-bc-40-12 --data fashion-mnist --size 28 --epochs 20 --schedule cosine --augment crop-flip --crop-padding 2 --weight-decay 5e-4 --ema 0.999 --val-fraction 0.05",
        file: include_bytes!("../models/fashion-mnist.safetensors"),
    },
];

/// The built-in model of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// Opens the built-in model with that name, or else the weight file.
///
/// # Errors
/// Those of [`Reader::open`].
pub fn open(weights: &Path) -> Result<Reader> {
    match weights.to_str().and_then(find) {
        Some(model) => model.open(),
        None => Reader::open(weights),
    }
}

impl Model {
    /// Opens its weight file.
    ///
    /// # Errors
    /// None, unless the library was built with a damaged file.
    pub fn open(&self) -> Result<Reader> {
        Reader::in_memory(self.name, self.file)
    }

    /// Share of correctly classified test pictures; from 0 to 1.
    pub fn top1(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;

    /// Size limit for each file, in bytes.
    const LARGEST: usize = 1_500_000;

    #[test]
    fn every_built_in_file_is_small_and_whole_and_says_what_it_is() {
        for (i, model) in MODELS.iter().enumerate() {
            assert!(model.file.len() <= LARGEST, "{} has {} bytes", model.name, model.file.len());
            assert!(MODELS[..i].iter().all(|other| other.name != model.name), "{} twice", model.name);
            let mut reader = find(model.name).unwrap().open().unwrap();
            let card = reader.card().unwrap();
            assert!(card.licence.is_some() && !card.dataset.is_empty(), "{}: {card:?}", model.name);
            assert!(model.command.contains(&format!("--data {}", card.dataset)), "{}", model.command);
            let architecture = Architecture::new(&card.config).unwrap();
            assert!(reader.weights(&architecture).unwrap().non_finite(&architecture).is_empty(), "{}", model.name);
            assert!(reader.state::<()>().is_err(), "{} carries a run's state", model.name);
            let reference = reader.reference(&architecture).unwrap().unwrap();
            assert_eq!(reference.origin().data, card.dataset, "{}", model.name);
        }
        assert!(find("nothing").is_none());
    }
}
