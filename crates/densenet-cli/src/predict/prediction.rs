//! What a network predicts for one input, and how it is written.

use std::path::PathBuf;

use densenet::output::{Output, likeliest_first};
use ndarray::ArrayView1;
use serde::Serialize;
use serde_json::{Value, json};

use super::novelty::Novelty;

/// What a network predicts for one input: the most likely classes, most likely first.
pub struct Prediction<'a> {
    pub input: &'a str,
    pub classes: Vec<Class<'a>>,
    /// Where the map of the most likely class is.
    pub map: Option<PathBuf>,
    /// How far the input is from the training pictures, where that is known.
    pub novelty: Option<Novelty>,
    /// The probability of each label, in their order, where labels are independent of each other.
    by_label: Option<Vec<f64>>,
}

/// A class and how likely it is.
#[derive(Serialize)]
pub struct Class<'a> {
    label: &'a str,
    index: usize,
    probability: f64,
}

impl<'a> Prediction<'a> {
    /// What `logits` mean as the `output` of a network; the `top` most likely classes are kept.
    pub fn new(input: &'a str, logits: ArrayView1<'_, f32>, labels: &'a [String], output: &Output, top: usize) -> Self {
        let probabilities = output.probabilities(logits);
        let order = likeliest_first(&probabilities, logits);
        let class = |index: usize| Class { label: &labels[index], index, probability: probabilities[index] };
        let classes = order.into_iter().take(top).map(class).collect();
        Self { input, classes, map: None, novelty: None, by_label: output.is_independent().then_some(probabilities) }
    }

    /// The number of the most likely class.
    pub fn likeliest(&self) -> usize {
        self.classes[0].index
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let class = |class: &Class<'_>| format!("{} {:.2} %", class.label, 100.0 * class.probability);
        let classes = self.classes.iter().map(class).collect::<Vec<_>>().join(", ");
        let novelty = self.novelty.map(|novelty| format!("; {novelty}")).unwrap_or_default();
        format!("{}: {classes}{novelty}\n", self.input)
    }

    /// One of the predictions of `--json`.
    pub fn object(&self) -> Value {
        self.with_rest(json!({ "input": self.input, "classes": self.classes }))
    }

    /// A line of a `.jsonl`.
    pub fn record(&self) -> Value {
        let first = &self.classes[0];
        let (label, probability) = (first.label, first.probability);
        self.with_rest(
            json!({ "path": self.input, "label": label, "probability": probability, "classes": self.classes }),
        )
    }

    fn with_rest(&self, mut object: Value) -> Value {
        if let Some(map) = &self.map {
            object["map"] = json!(map.display().to_string());
        }
        if let Some(novelty) = &self.novelty {
            novelty.add_to(&mut object);
        }
        object
    }

    /// The columns of a `.csv`: those of the `top` classes, or one per label where labels are independent of each
    /// other.
    pub fn columns(labels: &[String], output: &Output, top: usize) -> Vec<String> {
        if output.is_independent() {
            return std::iter::once("path".to_string()).chain(labels.iter().cloned()).collect();
        }
        let class = |rank: usize| match rank {
            1 => ["label".to_string(), "probability".to_string()],
            _ => [format!("label_{rank}"), format!("probability_{rank}")],
        };
        std::iter::once("path".to_string()).chain((1..=top).flat_map(class)).collect()
    }

    /// Its row in a `.csv` of these columns.
    pub fn row(&self) -> Vec<String> {
        let probability = |&probability: &f64| (probability as f32).to_string();
        let class = |class: &Class<'_>| [class.label.to_string(), probability(&class.probability)];
        let mut row = vec![self.input.to_string()];
        match &self.by_label {
            Some(by_label) => row.extend(by_label.iter().map(probability)),
            None => row.extend(self.classes.iter().flat_map(class)),
        }
        row.extend(self.novelty.iter().flat_map(|novelty| novelty.fields()));
        row
    }
}
