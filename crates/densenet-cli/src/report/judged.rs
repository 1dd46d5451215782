//! Writes the evaluation of a run's best network, for reports to show.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use densenet::data::Split;
use densenet::evaluation::{Evaluation, Predictions};
use densenet::files::write_whole;
use densenet::metrics;
use serde_json::json;

use super::evaluated::{EVALUATION, Mistake};

/// Pictures of each kind that are kept.
const PICTURES: usize = 24;

/// Pixels of a thumbnail's longer side, at most.
const THUMBNAIL: usize = 112;

/// Writes `evaluation.json` in a run's `folder`: the `evaluation` of `predictions` about the pictures of `split`, the
/// most confident mistakes and the most likely wrong labels.
///
/// # Errors
/// Whatever the file system reports, such as a full disk.
pub fn save(folder: &Path, split: &Split, predictions: &Predictions, evaluation: &Evaluation) -> Result<()> {
    let (probabilities, targets) = (predictions.probabilities(), &predictions.targets);
    let described = |mistakes: Vec<metrics::Mistake>| -> Vec<Mistake> {
        mistakes.iter().map(|mistake| described(split, predictions.pictures[mistake.picture], mistake)).collect()
    };
    let object = json!({
        "part": split.part().to_string(),
        "evaluation": evaluation,
        "labels": split.classes(),
        "mistakes": described(metrics::most_confident_mistakes(probabilities.view(), targets, PICTURES)),
        "suspects": described(metrics::likeliest_wrong_labels(probabilities.view(), targets, PICTURES)),
    });
    Ok(write_whole(&folder.join(EVALUATION), |file| writeln!(file, "{object}"))?)
}

/// A `mistake` about the picture `index` in words, with a thumbnail.
fn described(split: &Split, index: usize, mistake: &metrics::Mistake) -> Mistake {
    let name = |class: usize| match mistake.label {
        None => split.classes()[class].clone(),
        Some(label) if class == 1 => split.classes()[label].clone(),
        Some(label) => format!("no {}", split.classes()[label]),
    };
    let thumbnail = split.picture(index).and_then(|picture| picture.thumbnail(THUMBNAIL)).ok();
    Mistake {
        path: split.path(index).map_or_else(|| format!("picture {index}"), |path| path.display().to_string()),
        truth: name(mistake.truth),
        predicted: name(mistake.predicted),
        probability: mistake.probability,
        thumbnail: thumbnail.map(|jpeg| STANDARD.encode(jpeg)),
    }
}
