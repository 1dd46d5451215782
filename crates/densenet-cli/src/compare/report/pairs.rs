//! Networks of two kinds side by side: their runs with the same experiment, pictures, augmentation and seed.

use std::collections::BTreeMap;

use densenet::config::{Activation, Joining};

use super::contrast::Contrast;
use super::folder::{Cell, Folder, Spread};
use super::interval::{Sample, TestError};
use crate::compare::plan::Match;
use crate::compare::results::{Correct, RunResult};
use crate::output::{count, counted};

/// How far apart the parameters or multiply-adds of networks may be for the networks to count as matched.
const NEARLY: f64 = 1.1;

/// Two networks in one setting.
pub struct Pair<'a> {
    /// Their runs; none where gradients alone are compared.
    pub cells: Option<[Cell<'a>; 2]>,
    /// The setting in words.
    pub setting: String,
    /// What is compared, of either.
    pub values: [Spread; 2],
    /// The differences.
    pub sample: Sample,
}

/// A seed, and the two networks' runs with it.
type BySeed<'a> = (u64, [&'a RunResult; 2]);

impl<'a> Pair<'a> {
    /// `value` of two networks' runs, and the `error` that other test pictures would bring about. None where no seed has
    /// both.
    fn of([a, b]: [Cell<'a>; 2], value: fn(&RunResult) -> f64, error: fn(&[BySeed<'_>]) -> TestError) -> Option<Self> {
        let both = a.runs.iter().filter_map(|(&seed, &first)| Some((seed, [first, *b.runs.get(&seed)?])));
        let both: Vec<BySeed<'_>> = both.filter(|(_, runs)| runs.iter().all(|run| value(run).is_finite())).collect();
        let values = [0, 1].map(|which| Spread::of(both.iter().map(|(_, runs)| value(runs[which]))));
        let differences = both.iter().map(|(seed, [first, second])| (*seed, value(first) - value(second))).collect();
        let [first, second] = values;
        let (values, setting) = ([first?, second?], setting(a.of));
        Some(Self { cells: Some([a, b]), setting, values, sample: Sample { differences, test: error(&both) } })
    }
}

/// Test accuracy of two networks.
pub fn accuracy(cells: [Cell<'_>; 2]) -> Option<Pair<'_>> {
    Pair::of(cells, |run| run.test_top1, of_pictures)
}

/// How much more often the first of two networks than the second classifies each test picture correctly: the mean over
/// seeds.
fn of_pictures(both: &[BySeed<'_>]) -> TestError {
    let share = |Correct(pictures): &Correct| {
        TestError::OfPictures(pictures.iter().map(|&correct| f64::from(u8::from(correct))).collect())
    };
    let (weight, runs) = (1.0 / both.len() as f64, both.iter().flat_map(|(_, runs)| runs));
    let shares: Vec<TestError> = runs.map(|run| share(&run.test_correct)).collect();
    let terms: Vec<(f64, &TestError)> = [weight, -weight].into_iter().cycle().zip(&shares).collect();
    TestError::sum(&terms)
}

/// Test loss less training loss.
pub fn gap(cells: [Cell<'_>; 2]) -> Option<Pair<'_>> {
    Pair::of(cells, |run| run.test_loss - run.train_loss, |_| TestError::Unknown)
}

/// The logarithm of the number of parameters.
pub fn parameters(cells: [Cell<'_>; 2]) -> Option<Pair<'_>> {
    Pair::of(cells, |run| (run.parameters as f64).ln(), |_| TestError::None)
}

/// The logarithm of the multiply-adds of one picture.
pub fn macs(cells: [Cell<'_>; 2]) -> Option<Pair<'_>> {
    Pair::of(cells, |run| (run.macs as f64).ln(), |_| TestError::None)
}

/// Where a run belongs, in words.
fn setting(run: &RunResult) -> String {
    format!("{}, {}, {}", run.experiment, counted(run.images, "picture"), augmentation(&run.augment))
}

/// An augmentation in words.
pub fn augmentation(augment: &str) -> String {
    if augment == "none" { "no augmentation".into() } else { augment.into() }
}

/// Each network of the first kind of `contrast` beside that of the second which is most like it, in the experiments
/// that are `matched` in that way, or in all.
pub fn side_by_side(folder: &Folder, contrast: Contrast, matched: Option<Match>) -> Vec<[Cell<'_>; 2]> {
    let cells = folder.cells();
    let counts = |cell: &&Cell| matched.is_none_or(|matched| folder.matched(&cell.of.experiment) == matched);
    let first = cells.iter().filter(|cell| contrast.kinds(cell.of)[0]).filter(counts);
    let pair = |first: &Cell<'_>| {
        let how = folder.matched(&first.of.experiment);
        let second = cells.iter().filter(|second| {
            let same = (&second.of.experiment, second.of.images, &second.of.augment)
                == (&first.of.experiment, first.of.images, &first.of.augment);
            same && contrast.kinds(second.of)[1] && contrast.alike(first.of, second.of)
        });
        let second = second.map(|second| (second, distance(how, first.of, second.of)));
        second
            .filter(|(_, far)| far.is_finite())
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(second, _)| second.clone())
    };
    first.filter_map(|first| Some([first.clone(), pair(first)?])).collect()
}

/// How far two networks are from being alike in what their experiment is matched in; infinite where they are not
/// nearly.
fn distance(matched: Match, a: &RunResult, b: &RunResult) -> f64 {
    let ratio = |a: f64, b: f64| (a / b).ln().abs();
    let nearly = |far: f64| if far <= NEARLY.ln() { far } else { f64::INFINITY };
    match matched {
        Match::Widths => a.depth.abs_diff(b.depth) as f64 + ratio(a.growth_rate as f64, b.growth_rate as f64),
        Match::Parameters => nearly(ratio(a.parameters as f64, b.parameters as f64)),
        Match::Macs => nearly(ratio(a.macs as f64, b.macs as f64)),
    }
}

/// How far the logarithm of the first layer's relative gradient moves, up or down, from the least to the greatest depth that
/// both kinds of joining were measured at, before training, of pre-activation networks.
pub fn gradient_change(folder: &Folder, joinings: [Joining; 2]) -> Option<Pair<'_>> {
    let [a, b] = joinings.map(|joining| by_depth(folder, joining));
    let mut depths = a.keys().filter(|depth| b.contains_key(depth));
    let (low, high) = (depths.next()?, depths.next_back()?);
    let change = |of: &BTreeMap<usize, BTreeMap<u64, f64>>| -> BTreeMap<u64, f64> {
        let both = of[low].iter().filter_map(|(&seed, low)| Some((seed, (of[high].get(&seed)? - low).abs())));
        both.collect()
    };
    let changes = [change(&a), change(&b)];
    let [first, second] = changes.clone().map(|changes| Spread::of(changes.into_values()));
    let samples = changes.map(|differences| Sample { differences, test: TestError::Unknown });
    let setting = format!("before training, from L = {} to {}", count(*low as u64), count(*high as u64));
    Some(Pair { cells: None, setting, values: [first?, second?], sample: samples[0].less(&samples[1]) })
}

/// The logarithm of the first layer's relative gradient, by depth and seed.
fn by_depth(folder: &Folder, joining: Joining) -> BTreeMap<usize, BTreeMap<u64, f64>> {
    let mut by_depth: BTreeMap<usize, BTreeMap<u64, f64>> = BTreeMap::new();
    for start in folder.gradients.iter().filter(|start| start.joining == joining && start.activation == Activation::Pre)
    {
        let relative = start.layers.first().map_or(f64::NAN, |layer| layer.relative.ln());
        if relative.is_finite() {
            by_depth.entry(start.depth).or_default().insert(start.seed, relative);
        }
    }
    by_depth
}
