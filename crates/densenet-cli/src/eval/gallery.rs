//! Pictures beside each other in a terminal, with a network's predictions.

use anyhow::Result;
use densenet::data::{Split, Targets};
use densenet::evaluation::Predictions;
use densenet::output::likeliest_first;

use crate::picture::{Palette, WIDTH, draw};

/// Pictures side by side.
const ROW: usize = 3;

/// The first `count` pictures that were predicted, each above what the network takes it for and what it is.
pub fn gallery(predictions: &Predictions, labels: &[String], split: &Split, count: usize) -> Result<String> {
    let palette = Palette::of_stdout();
    let shown: Vec<usize> = (0..predictions.pictures.len().min(count)).collect();
    let mut text = String::new();
    for row in shown.chunks(ROW) {
        let picture = |&shown: &usize| draw(&split.picture(predictions.pictures[shown])?, palette);
        let drawings = row.iter().map(picture).collect::<Result<Vec<_>>>()?;
        for line in 0..WIDTH / 2 {
            let lines: Vec<&str> = drawings.iter().map(|drawing| drawing[line].as_str()).collect();
            text += &format!("\n{}", lines.join("  "));
        }
        let captions: Vec<String> = row.iter().map(|&shown| caption(predictions, labels, shown)).collect();
        text += &format!("\n{}\n", captions.join("  ").trim_end());
    }
    Ok(text)
}

/// What the network takes a picture for, and what it is where that is something else.
fn caption(predictions: &Predictions, labels: &[String], shown: usize) -> String {
    let logits = predictions.logits.row(shown);
    let probabilities = predictions.output.probabilities(logits);
    let likeliest = likeliest_first(&probabilities, logits)[0];
    let (label, percent) = (&labels[likeliest], 100.0 * probabilities[likeliest]);
    let shows = |name| predictions.targets.shows(shown, name, labels.len());
    let truth = match (&predictions.targets, shows(likeliest)) {
        (_, Some(true)) => String::new(),
        (Targets::Classes(classes), _) => format!(", is {}", labels[classes[shown]]),
        (Targets::Labels(_), Some(false)) => ", is not".into(),
        (Targets::Labels(_), None) => ", not known".into(),
    };
    format!("{:WIDTH$}", format!("{label} {percent:.0} %{truth}").chars().take(WIDTH).collect::<String>())
}
