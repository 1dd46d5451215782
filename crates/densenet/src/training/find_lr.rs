//! A search for the learning rate: one short training whose rate rises with every step (Smith, WACV 2017, section 3.3).

use std::ops::ControlFlow;

use super::criterion::Criterion;
use super::{Carried, Settings, seed_of};
use crate::batches::Source;
use crate::checkpoint::Card;
use crate::data::Split;
use crate::network::{Backprop, DenseNet, StepOptions};
use crate::prefetch::prefetch;
use crate::{Error, Result};

/// Steps of a search.
pub const STEPS: usize = 100;

/// The rates between which a search rises, the same factor a step.
const RANGE: (f64, f64) = (1e-6, 10.0);

/// Share of the smoothed loss that a step keeps.
const KEPT: f64 = 0.9;

/// The loss, beside the best so far, at which a search ends.
const TOO_MUCH: f64 = 3.0;

/// A step of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The step's learning rate.
    pub lr: f64,
    /// The mean loss of the batch before the step.
    pub loss: f64,
    /// The same, smoothed over the steps before.
    pub smoothed: f64,
}

/// Trains `network` on `train` for up to [`STEPS`] steps, each of a higher rate than the one before, until the loss is far
/// above what it was; the settings' own rate and schedule are not heard. It ends early where `progress`, which is called with
/// each step, breaks.
///
/// # Errors
/// What a step of training fails at.
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

/// The smoothed loss of a step after those `before`; its beginning counts as if it had always been so.
fn smoothed(before: &[Tried], loss: f64) -> f64 {
    before.last().map_or(loss, |last| KEPT * last.smoothed + (1.0 - KEPT) * loss)
}

/// The rate to train with: a tenth of that of the lowest loss, where it still falls; none where no step was taken. It is worth
/// less where the loss [`still_falls`].
pub fn suggested(tried: &[Tried]) -> Option<f64> {
    tried.iter().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed)).map(|lowest| lowest.lr / 10.0)
}

/// Whether the loss of those that were `tried` was the lowest at the highest rate of a search: where it is lowest is not known
/// then, and what is [`suggested`] is a guess.
pub fn still_falls(tried: &[Tried]) -> bool {
    let last = tried.last().filter(|_| tried.len() == STEPS);
    last.is_some_and(|last| tried.iter().all(|other| other.smoothed >= last.smoothed))
}
