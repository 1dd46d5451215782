//! The charts of runs: accuracy and losses by pictures, parameters and multiply-adds.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::Folder;
use super::lines::{Lines, kind};
use super::pairs::augmentation;
use crate::compare::results::RunResult;
use crate::output::counted;
use crate::report::chart::{Chart, Curve};

/// No charts.
pub fn none(_: &Folder) -> Vec<Chart<'static>> {
    Vec::new()
}

/// Test accuracy by the number of training pictures.
pub fn accuracy_by_images(folder: &Folder) -> Vec<Chart<'static>> {
    let chart = |(title, runs): (String, Vec<&RunResult>)| {
        let curves = curves_by_images(&runs, |run| run.test_top1);
        Chart { percent: true, ..by_images("Test accuracy", &title, curves) }
    };
    learning_curves(folder).map(chart).collect()
}

/// Test and training loss by the number of training pictures, and the gap between them.
pub fn losses(folder: &Folder) -> Vec<Chart<'static>> {
    let charts = |(title, runs): (String, Vec<&RunResult>)| {
        let faint = |curve: Curve| Curve {
            name: format!("{}, training", curve.name),
            style: format!("{} faint", curve.style),
            ..curve
        };
        let mut both = curves_by_images(&runs, |run| run.test_loss);
        both.extend(curves_by_images(&runs, |run| run.train_loss).into_iter().map(faint));
        let gap = curves_by_images(&runs, |run| run.test_loss - run.train_loss);
        [by_images("Test and training loss", &title, both), by_images("Test loss minus training loss", &title, gap)]
    };
    learning_curves(folder).flat_map(charts).collect()
}

/// Test accuracy by the number of parameters.
pub fn accuracy_by_parameters(folder: &Folder) -> Vec<Chart<'static>> {
    accuracy_by(folder, "parameters", |run| run.parameters)
}

/// Test accuracy by the multiply-adds of one picture.
pub fn accuracy_by_macs(folder: &Folder) -> Vec<Chart<'static>> {
    accuracy_by(folder, "multiply-adds of one picture", |run| run.macs)
}

/// The runs of each experiment with several numbers of pictures, for each augmentation, and what they are called.
fn learning_curves(folder: &Folder) -> impl Iterator<Item = (String, Vec<&RunResult>)> {
    let mut groups: BTreeMap<_, (String, Vec<&RunResult>)> = BTreeMap::new();
    for run in &folder.runs {
        let title = || format!("{} ({})", augmentation(&run.augment), run.experiment);
        let group = groups.entry((folder.plan.place(&run.experiment), least_first(run)));
        group.or_insert_with(|| (title(), Vec::new())).1.push(run);
    }
    let several = |runs: &[&RunResult]| runs.iter().map(|run| run.images).collect::<BTreeSet<_>>().len() > 1;
    groups.into_values().filter(move |(_, runs)| several(runs))
}

/// By the augmentation, that of none first.
fn least_first(run: &RunResult) -> (bool, &str) {
    (run.augment != "none", &run.augment)
}

fn curves_by_images(runs: &[&RunResult], value: fn(&RunResult) -> f64) -> Vec<Curve> {
    let mut lines = Lines::default();
    runs.iter().for_each(|run| lines.add(run.joining, &run.network, run.images as u64, value(run)));
    lines.curves(false)
}

fn by_images(what: &str, title: &str, curves: Vec<Curve>) -> Chart<'static> {
    let title = format!("{what}, {title}").into();
    Chart { title, x: "training pictures", logarithmic: [true, false], curves, legend: true, ..Chart::default() }
}

/// Marks for the networks that were trained on the most pictures, in a chart for each augmentation.
fn accuracy_by(folder: &Folder, x: &'static str, of: fn(&RunResult) -> u64) -> Vec<Chart<'static>> {
    let mut by_augment: BTreeMap<(bool, &str), Vec<&RunResult>> = BTreeMap::new();
    folder.runs.iter().for_each(|run| by_augment.entry(least_first(run)).or_default().push(run));
    let chart = |((_, augment), runs): ((bool, &str), Vec<&RunResult>)| {
        let (mut lines, most) = (Lines::default(), runs.iter().map(|run| run.images).max().unwrap_or_default());
        for run in runs.iter().filter(|run| run.images == most) {
            lines.add(run.joining, &kind(run.joining, run.activation), of(run), run.test_top1);
        }
        let mut curves = lines.curves(false);
        curves.iter_mut().for_each(|curve| curve.style += " marks");
        let title = format!("Test accuracy, {}, {}", counted(most, "picture"), augmentation(augment)).into();
        let logarithmic = [true, false];
        Chart { title, x, percent: true, logarithmic, curves, legend: true, ..Chart::default() }
    };
    by_augment.into_iter().map(chart).collect()
}
