//! What a comparison leaves in its folder: one line of JSON for each finished run, and for each measurement of
//! gradients.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use densenet::config::{Activation, Joining};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The finished runs, one per line.
pub const RESULTS: &str = "results.jsonl";

/// Gradients before the first step, one network per line.
pub const GRADIENTS: &str = "gradients.jsonl";

/// A network that was trained, and how good it became.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its name, which no other run of the plan has.
    pub id: String,
    /// The plan's experiment that it belongs to.
    pub experiment: String,
    /// The network's name in that experiment.
    pub network: String,
    /// How its layers are joined.
    pub joining: Joining,
    /// Whether batch-norm and ReLU stand before their convolution (`pre`) or after it (`post`).
    pub activation: Activation,
    /// Whether its layers have a bottleneck.
    pub bottleneck: bool,
    /// Share of the channels that a transition keeps; above 0, up to 1.
    pub compression: f64,
    /// Layers with weights, as the paper counts them: its `L`.
    pub depth: usize,
    /// The network's `k`.
    pub growth_rate: usize,
    /// Learned parameters.
    pub parameters: u64,
    /// Multiply-adds of one picture.
    pub macs: u64,
    /// The data set.
    pub data: String,
    /// Training pictures.
    pub images: usize,
    /// How they were changed at random.
    pub augment: String,
    /// The seed of everything random.
    pub seed: u64,
    /// Times that each training picture was seen.
    pub epochs: f64,
    /// Steps of the optimiser.
    pub steps: u64,
    /// Mean loss in inference mode on at most 2,000 of its training pictures, as they are stored.
    #[serde(deserialize_with = "or_nan")]
    pub train_loss: f64,
    /// Share of those that are classified correctly; from 0 to 1.
    #[serde(deserialize_with = "or_nan")]
    pub train_top1: f64,
    /// Mean loss on the test pictures.
    #[serde(deserialize_with = "or_nan")]
    pub test_loss: f64,
    /// Share of the test pictures that are classified correctly; from 0 to 1.
    #[serde(deserialize_with = "or_nan")]
    pub test_top1: f64,
    /// Which test pictures are classified correctly.
    pub test_correct: Correct,
    /// Time that it took; 0 for one that another experiment of the plan has trained already.
    pub seconds: f64,
    /// How the run diverged, if its numbers did not stay finite: then it has no losses, shares, curve or predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
    /// What was measured during the run, by steps.
    pub curve: Vec<CurvePoint>,
}

/// Which of the test pictures a network classifies correctly; in JSON a base64 text of bits, the first picture's being
/// the lowest bit of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correct(pub Vec<bool>);

impl Serialize for Correct {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &bit| 2 * byte + u8::from(bit));
        let bytes: Vec<u8> = self.0.chunks(8).map(byte).collect();
        (self.0.len(), STANDARD.encode(bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Correct {
    fn deserialize<D: Deserializer<'de>>(value: D) -> std::result::Result<Self, D::Error> {
        let (count, text) = <(usize, String)>::deserialize(value)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        if bytes.len() != count.div_ceil(8) {
            return Err(D::Error::custom(format!("{} bytes for {count} pictures", bytes.len())));
        }
        Ok(Self((0..count).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect()))
    }
}

/// What was measured of a run after a number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: u64,
    /// Loss of the training pictures.
    #[serde(deserialize_with = "or_nan")]
    pub train_loss: f64,
    /// Loss of the test pictures, where it was measured.
    pub test_loss: Option<f64>,
    /// The gradient of each layer, from the stem on.
    pub gradients: Vec<LayerGradient>,
}

/// The gradient of a layer's first convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerGradient {
    /// The layer's name.
    pub layer: String,
    /// Its L2 norm.
    #[serde(deserialize_with = "or_nan")]
    pub norm: f64,
    /// Its root mean square in units of that of the weights.
    #[serde(deserialize_with = "or_nan")]
    pub relative: f64,
}

/// The gradients of a network that has not been trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitialGradients {
    /// The network's name.
    pub network: String,
    /// How its layers are joined.
    pub joining: Joining,
    /// Whether batch-norm and ReLU stand before their convolution (`pre`) or after it (`post`).
    pub activation: Activation,
    /// Layers with weights: the paper's `L`.
    pub depth: usize,
    /// Of its weights and pictures.
    pub seed: u64,
    /// Steps done: none.
    pub step: u64,
    /// The gradient of each layer, from the stem on.
    pub layers: Vec<LayerGradient>,
    /// Loss of the pictures that were used.
    #[serde(deserialize_with = "or_nan")]
    pub loss: f64,
}

/// JSON has no numbers that are not finite: they are written as null.
fn or_nan<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

/// The lines of the file `name` in `folder`; none where it is not there. A last line without an end is still being
/// written, and is left out.
///
/// # Errors
/// A file that cannot be read, or a line that is something else.
pub fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<T>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    let text = std::str::from_utf8(whole_lines(&bytes)).with_context(|| path.display().to_string())?;
    let parsed = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    parsed
        .map(|(i, line)| serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), i + 1)))
        .collect()
}

/// Adds `line` to the file `name` in `folder`. Half a line that a kill or a full disk has left at its end is cut off
/// first, as [`read`] leaves it out: a line appended to a broken one could not be read.
///
/// # Errors
/// Whatever the file system reports, such as a full disk.
pub fn append(folder: &Path, name: &str, line: &impl Serialize) -> Result<()> {
    let (path, text) = (folder.join(name), serde_json::to_string(line)? + "\n");
    cut_half_line(&path).and_then(|()| add(&path, &text)).with_context(|| path.display().to_string())
}

fn cut_half_line(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    match whole_lines(&bytes).len() {
        whole if whole < bytes.len() => OpenOptions::new().write(true).open(path)?.set_len(whole as u64),
        _ => Ok(()),
    }
}

/// Appends to the file instead of rewriting it: parts of a plan that run at the same time may share it.
fn add(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// The lines of `bytes` that have an end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> InitialGradients {
        let layers = vec![LayerGradient { layer: "features.conv0".into(), norm: f64::NAN, relative: 0.5 }];
        InitialGradients {
            network: "dense".into(),
            joining: Joining::Dense,
            activation: Activation::Pre,
            depth: 10,
            seed: 1,
            step: 0,
            layers,
            loss: 2.5,
        }
    }

    #[test]
    fn a_line_is_added_in_the_place_of_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GRADIENTS);
        append(folder.path(), GRADIENTS, &start()).unwrap();
        let line = fs::read(&path).unwrap();
        // Broken off within a letter of two bytes; before the first line was whole; not at all.
        for before in [[&line[..], b"{\"network\":\"\xc3"].concat(), line[..20].to_vec(), line.clone()] {
            fs::write(&path, &before).unwrap();
            let whole = read::<InitialGradients>(folder.path(), GRADIENTS).unwrap().len();
            append(folder.path(), GRADIENTS, &start()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), line.repeat(whole + 1));
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written_and_the_unfinished_one_is_left_out() {
        let (folder, line) = (tempfile::tempdir().unwrap(), serde_json::to_string(&start()).unwrap());
        fs::write(folder.path().join(GRADIENTS), format!("{line}\n\n{line}\n{}", &line[..20])).unwrap();
        let read_again: Vec<InitialGradients> = read(folder.path(), GRADIENTS).unwrap();
        assert_eq!(read_again.len(), 2);
        assert!(read_again[1].layers[0].norm.is_nan() && read_again[1].layers[0].relative == 0.5);
        assert!(read::<RunResult>(folder.path(), RESULTS).unwrap().is_empty());
        fs::write(folder.path().join(GRADIENTS), format!("{line}\n{{}}\n")).unwrap();
        let error = read::<InitialGradients>(folder.path(), GRADIENTS).unwrap_err();
        assert!(format!("{error:#}").contains("gradients.jsonl:2: missing field `network`"), "{error:#}");
    }
}
