//! Learning rate search: a short training run whose rate rises with every step (Smith, WACV 2017, section 3.3).

use std::ops::ControlFlow;

use super::criterion::Criterion;
use super::{Carried, Settings, seed_of};
use crate::batches::Source;
use crate::checkpoint::Card;
use crate::data::Split;
use crate::network::{Backprop, DenseNet, StepOptions};
use crate::prefetch::prefetch;
use crate::{Error, Result};

/// Number of steps in a search.
pub const STEPS: usize = 100;

/// The learning rates where a search begins and ends; it rises by the same factor every step.
const RANGE: (f64, f64) = (1e-6, 10.0);

/// Share of the smoothed loss that a step keeps.
const KEPT: f64 = 0.9;

/// A search ends at a loss of this many times the best so far.
const TOO_MUCH: f64 = 3.0;

/// A step of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The step's learning rate.
    pub lr: f64,
    /// The mean loss of the batch before the step.
    pub loss: f64,
    /// The same, smoothed over the previous steps.
    pub smoothed: f64,
}

/// Trains `network` on `train` for up to [`STEPS`] steps, each with a higher rate than the one before, until the loss
/// is far above its best value; the rate and schedule in the settings are ignored. Ends early if `progress`, which is
/// called with each step, breaks.
///
/// # Errors
/// Those of a training step.
pub fn find_lr(
    mut network: DenseNet,
    card: &Card,
    settings: &Settings,
    train: &Split,
    mut progress: impl FnMut(&Tried) -> ControlFlow<()>,
) -> Result<Vec<Tried>> {
    let (criterion, mut carried) = (Criterion::new(settings, train), Carried::new(settings, &network));
    let (mut backprop, mut tried) = (Backprop::new(&network), Vec::<Tried>::new());
    let (order, count) = (settings.order(train, card.seed), settings.steps(train.len()));
    let source =
        Source { split: train, preprocessing: card.preprocessing()?, augment: settings.augment, seed: card.seed };
    let batches = (0..STEPS).map(|step| &order[settings.pictures_of(step % count, train.len())]);
    prefetch(
        batches,
        |indices| source.full(indices),
        |mut batch| {
            let step = tried.len();
            let lr = RANGE.0 * (RANGE.1 / RANGE.0).powf(step as f64 / (STEPS - 1) as f64);
            let mut targets = train.targets().dense(&batch.indices, train.classes().len());
            settings.augment.mix(&mut batch.images, &mut targets, seed_of(card.seed, "mix", step as u64));
            let options = StepOptions {
                loss: criterion.loss(),
                dropout_seed: step as u64,
                memory: settings.memory,
                ..StepOptions::default()
            };
            let images = batch.images.view();
            let outcome = backprop.run_in_parts(&mut network, images, targets.view(), &options, settings.accumulate)?;
            if !outcome.loss.is_finite() {
                return Ok(ControlFlow::Break(()));
            }
            tried.push(Tried { lr, loss: outcome.loss, smoothed: smoothed(&tried, outcome.loss) });
            let rates = settings.rates(lr, 0, network.architecture());
            carried.step(rates, step as u64 + 1, &mut network, backprop.gradients());
            let last = tried[step];
            let best = tried.iter().map(|tried| tried.smoothed).fold(f64::INFINITY, f64::min);
            let over = last.smoothed > TOO_MUCH * best || progress(&last).is_break();
            Ok::<_, Error>(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    )?;
    Ok(tried)
}

/// The smoothed loss of a step after those `before`, as if the loss had always been its first value.
fn smoothed(before: &[Tried], loss: f64) -> f64 {
    before.last().map_or(loss, |last| KEPT * last.smoothed + (1.0 - KEPT) * loss)
}

/// The suggested rate: a tenth of that with the lowest loss, where the loss still falls; `None` if no step was taken.
/// It is less reliable if the loss [`still_falls`].
pub fn suggested(tried: &[Tried]) -> Option<f64> {
    tried.iter().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed)).map(|lowest| lowest.lr / 10.0)
}

/// Whether the loss of the steps `tried` was lowest at the highest rate of the search: its minimum is then not known,
/// and the [`suggested`] rate is a guess.
pub fn still_falls(tried: &[Tried]) -> bool {
    let last = tried.last().filter(|_| tried.len() == STEPS);
    last.is_some_and(|last| tried.iter().all(|other| other.smoothed >= last.smoothed))
}
