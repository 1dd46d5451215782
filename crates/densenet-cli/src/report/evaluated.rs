//! `evaluation.json`: the evaluation of a run's best network.

use serde::{Deserialize, Serialize};

/// The file in a run's folder.
pub const EVALUATION: &str = "evaluation.json";

/// What the file holds; whatever is not there is left out of the report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Evaluated {
    /// The part of the data: `test` or `val`.
    pub part: String,
    /// The figures.
    pub evaluation: Evaluation,
    /// Names of the classes or labels.
    pub labels: Vec<String>,
    /// The most confident mistakes, highest probability first.
    pub mistakes: Vec<Mistake>,
    /// The most likely wrong labels, most likely first.
    pub suspects: Vec<Mistake>,
}

/// The figures that `densenet eval --json` prints, as far as the report shows them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Evaluation {
    pub images: Option<u64>,
    pub correct: Option<u64>,
    pub top1: Option<f64>,
    pub top5: Option<f64>,
    pub accuracy: Option<f64>,
    pub loss: Option<f64>,
    pub auc: Option<f64>,
    pub average_precision: Option<f64>,
    pub f1: Option<f64>,
    pub brier: Option<f64>,
    pub ece: Option<f64>,
    pub temperature: Option<f64>,
    pub intervals: Intervals,
    pub per_class: Vec<ClassFigures>,
    pub confusion: Vec<Vec<u64>>,
    pub calibration: Vec<Bin>,
    pub unreadable: Vec<Unreadable>,
}

/// Ends of 95 % intervals.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Intervals {
    pub top1: Option<[f64; 2]>,
    pub auc: Option<[f64; 2]>,
    pub loss: Option<[f64; 2]>,
}

/// Figures of a class or label.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClassFigures {
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    pub support: Option<u64>,
    pub auc: Option<f64>,
    pub average_precision: Option<f64>,
}

/// A picture that could not be read, and why.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Unreadable {
    pub input: String,
    pub reason: String,
}

/// Predictions of about the same confidence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Bin {
    pub count: u64,
    pub confidence: f64,
    pub accuracy: f64,
}

/// A picture, its label, and what the network takes it for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mistake {
    /// Its file, or its number in the data set.
    pub path: String,
    /// The class that it is labelled as.
    #[serde(rename = "true")]
    pub truth: String,
    /// The class that the network takes it for.
    pub predicted: String,
    /// The probability that the network gives that class; from 0 to 1.
    pub probability: f64,
    /// A small JPEG of it in Base64, so that a report can be made without the data; none if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
}

impl Evaluated {
    /// The name of a class or label.
    pub fn label(&self, class: usize) -> String {
        self.labels.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// The part of the data in words.
    pub fn part(&self) -> &str {
        match self.part.as_str() {
            "val" => "validation",
            part => part,
        }
    }
}
