//! The charts of gradients: by depth and by layer before training, and while training.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::Folder;
use super::lines::{Lines, kind};
use super::pairs::augmentation;
use crate::compare::results::{LayerGradient, RunResult};
use crate::output::counted;
use crate::report::chart::Chart;

/// All charts of gradients.
pub fn gradients(folder: &Folder) -> Vec<Chart<'static>> {
    let mut charts = before_training(folder);
    charts.extend(while_training(folder));
    charts
}

fn chart(title: impl Into<String>, x: &'static str, lines: Lines) -> Chart<'static> {
    let (title, curves) = (title.into().into(), lines.curves(true));
    Chart { title, x, logarithmic: [false, true], curves, legend: true, ..Chart::default() }
}

/// The first layer's by depth, and all layers' of the deepest networks.
fn before_training(folder: &Folder) -> Vec<Chart<'static>> {
    let deepest = folder.gradients.iter().map(|start| start.depth).max().unwrap_or_default();
    let [mut first, mut relative, mut norm] = [(); 3].map(|()| Lines::default());
    for start in &folder.gradients {
        let name = kind(start.joining, start.activation);
        if let Some(layer) = start.layers.first() {
            first.add(start.joining, &name, start.depth as u64, layer.relative);
        }
        for (number, layer) in (1..).zip(&start.layers).filter(|_| start.depth == deepest) {
            relative.add(start.joining, &name, number, layer.relative);
            norm.add(start.joining, &name, number, layer.norm);
        }
    }
    let deep = |what: &str| format!("{what} before training, L = {deepest}");
    vec![
        chart("First layer's relative gradient before training", "layers L", first),
        chart(deep("Relative gradient"), "layer", relative),
        chart(deep("Norm of the gradient"), "layer", norm),
    ]
}

/// The first layer's by steps, and all layers' at the end, of the setting with the most ways of joining; of those with
/// as many, that with the most pictures.
fn while_training(folder: &Folder) -> Vec<Chart<'static>> {
    let mut settings: BTreeMap<(&str, usize, &str), Vec<&RunResult>> = BTreeMap::new();
    for run in folder.runs.iter().filter(|run| last(run).is_some()) {
        settings.entry((&run.experiment, run.images, &run.augment)).or_default().push(run);
    }
    let joinings = |runs: &[&RunResult]| runs.iter().map(|run| run.joining as usize).collect::<BTreeSet<_>>().len();
    let fullest = settings.into_iter().max_by_key(|((_, images, _), runs)| (joinings(runs), *images, runs.len()));
    let Some(((_, images, augment), runs)) = fullest else { return Vec::new() };
    let [mut first, mut end] = [(); 2].map(|()| Lines::default());
    for run in runs {
        for point in &run.curve {
            if let Some(layer) = point.gradients.first() {
                first.add(run.joining, &run.network, point.step, layer.relative);
            }
        }
        for (number, layer) in (1..).zip(last(run).into_iter().flatten()) {
            end.add(run.joining, &run.network, number, layer.relative);
        }
    }
    let setting = format!("{}, {}", counted(images, "picture"), augmentation(augment));
    vec![
        chart(format!("First layer's relative gradient in training, {setting}"), "step", first),
        chart(format!("Relative gradient at the end, {setting}"), "layer", end),
    ]
}

/// The gradients that were measured last.
fn last(run: &RunResult) -> Option<&[LayerGradient]> {
    run.curve.iter().rev().map(|point| &point.gradients[..]).find(|gradients| !gradients.is_empty())
}
