//! Training settings.

use std::ops::Range;

use densenet_kernels::random::Stream;
use serde::{Deserialize, Serialize};

use crate::data::{Augmentation, Split, balanced_order};
use crate::network::Memory;
use crate::optimiser::Kind;
use crate::schedule::Schedule;
use crate::{Error, Result};

/// How classes or labels with few pictures are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Not specially.
    #[default]
    None,
    /// They are weighted in the loss, so that each class counts the same, or the presence of a label as much as its
    /// absence.
    Weights,
    /// Their pictures are drawn more often, so that each class is seen equally often; some pictures of the other
    /// classes are not seen in an epoch.
    Sampling,
}

/// Which parts of the body, everything before the classifier, are frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freeze {
    /// Nothing: all parameters learn.
    #[default]
    None,
    /// The parameters; batch-norms still normalise by the statistics of each batch and update the running statistics.
    Weights,
    /// The parameters and the running statistics, which batch-norms normalise by, as in inference. No backward pass
    /// through the body is needed.
    Body,
}

/// Training settings; the defaults are the paper's for CIFAR and SVHN (section 4.2), except for the number of epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Number of times that every picture is seen.
    pub epochs: usize,
    /// Pictures per step; the last step of an epoch has the rest.
    pub batch: usize,
    /// The highest learning rate.
    pub lr: f64,
    /// The optimiser.
    pub optimizer: Kind,
    /// How the learning rate changes over all epochs, even if `max_steps` ends the run earlier.
    pub schedule: Schedule,
    /// Nesterov momentum for SGD; at least 0 (none), less than 1.
    pub momentum: f64,
    /// Weight decay on all parameters.
    pub weight_decay: f64,
    /// The largest norm that the gradient over all parameters may have; a larger one is clipped.
    pub clip_norm: Option<f64>,
    /// Share of the weights' moving average that a step keeps; if set, that average is evaluated and saved.
    pub ema: Option<f64>,
    /// Share of the target spread over all classes; at least 0, less than 1.
    pub label_smoothing: f64,
    /// Share of every class of the training pictures that is held out for choosing the best epoch, if the data set has
    /// no validation part; 0 for none, so that the test part is used for choosing. See
    /// [`DataSet::divide`](crate::data::DataSet::divide).
    pub val_fraction: f64,
    /// Whether rare classes or labels are weighted more, or seen more often.
    pub balance: Balance,
    /// Which parts of the body are frozen.
    pub freeze: Freeze,
    /// If the body's parameters are frozen: the number of epochs after each of which another of its stages begins to
    /// learn, the last block first and the stem last.
    pub unfreeze_every: Option<usize>,
    /// Learning rate of the body relative to the classifier's.
    pub body_lr: f64,
    /// Random changes to the pictures.
    pub augment: Augmentation,
    /// Whether the pictures are shuffled in each epoch.
    pub shuffle: bool,
    /// Number of cycles of [`Schedule::Snapshot`], each of which leaves a network.
    pub cycles: usize,
    /// Number of epochs without improvement after which the run ends.
    pub patience: Option<usize>,
    /// Share of the training pictures, rounded up, that may be found unreadable before the run ends with an error.
    pub max_bad: f64,
    /// Number of steps after which the run ends, whatever the epochs.
    pub max_steps: Option<u64>,
    /// Number of micro-batches into which a step's pictures are divided; batch-norms use the statistics of each.
    pub accumulate: usize,
    /// What a step keeps for its backward pass; the result is bitwise the same.
    pub memory: Memory,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 64,
            lr: 0.1,
            optimizer: Kind::Sgd,
            schedule: Schedule::Steps,
            momentum: 0.9,
            weight_decay: 1e-4,
            clip_norm: None,
            ema: None,
            label_smoothing: 0.0,
            val_fraction: 0.0,
            balance: Balance::None,
            freeze: Freeze::None,
            unfreeze_every: None,
            body_lr: 1.0,
            augment: Augmentation::default(),
            shuffle: true,
            cycles: 5,
            patience: None,
            max_bad: 0.01,
            max_steps: None,
            accumulate: 1,
            memory: Memory::Normal,
        }
    }
}

impl Settings {
    /// Number of steps in an epoch over `pictures` pictures. A last batch is merged with the one before it if one of
    /// its micro-batches would have fewer than two pictures: batch-norm needs more than one value per channel.
    pub fn steps(&self, pictures: usize) -> usize {
        let (whole, rest) = (pictures / self.batch, pictures % self.batch);
        whole + usize::from(whole == 0 || rest >= 2 * self.accumulate)
    }

    /// The learning rate of the step after `step` steps in a run on `pictures` pictures.
    pub fn rate(&self, step: u64, pictures: usize) -> f64 {
        self.schedule.rate(self.lr, step, (self.steps(pictures) * self.epochs) as u64, self.cycles as u64)
    }

    /// Checks settings that only suit mutually exclusive classes.
    ///
    /// # Errors
    /// A setting that has no meaning if pictures have any number of labels.
    pub(super) fn validate_multi_label(&self) -> Result<()> {
        let wrong = |reason: &str| Err(Error::Settings(reason.into()));
        if self.label_smoothing > 0.0 {
            return wrong(
                "label_smoothing is for mutually exclusive classes; these pictures have any number of labels",
            );
        }
        match self.balance {
            Balance::Sampling => wrong("balance = sampling is for mutually exclusive classes; use balance = weights"),
            Balance::None | Balance::Weights => Ok(()),
        }
    }

    /// The snapshot cycle, from 1, that ends after `epochs` epochs.
    pub(super) fn cycle_ended(&self, epochs: usize) -> Option<usize> {
        let of_cycle = self.epochs / self.cycles.max(1);
        let ended = self.schedule == Schedule::Snapshot && of_cycle > 0 && epochs.is_multiple_of(of_cycle);
        ended.then(|| epochs / of_cycle)
    }

    /// The order of the pictures in an epoch with this `seed`: shuffled (Fisher and Yates), or drawn so that every
    /// class is equally frequent.
    pub(super) fn order(&self, train: &Split, seed: u64) -> Vec<usize> {
        if self.balance == Balance::Sampling {
            return balanced_order(train, seed);
        }
        let mut order: Vec<usize> = (0..train.len()).collect();
        if self.shuffle {
            let random = Stream::new(seed, 0);
            for i in (1..order.len()).rev() {
                order.swap(i, (random.bits(i as u64) % (i as u64 + 1)) as usize);
            }
        }
        order
    }

    /// Which of an epoch's pictures, in its order, `step` uses; the first step is 0.
    pub(super) fn pictures_of(&self, step: usize, pictures: usize) -> Range<usize> {
        let start = step * self.batch;
        if step + 1 < self.steps(pictures) { start..start + self.batch } else { start..pictures }
    }

    /// Number of pictures in the smallest micro-batch of an epoch over `pictures` pictures.
    pub(super) fn smallest(&self, pictures: usize) -> usize {
        let of = |step| self.pictures_of(step, pictures).len();
        let least = of(0).min(of(self.steps(pictures) - 1));
        least / self.accumulate.min(least)
    }

    /// Checks that these settings are valid.
    ///
    /// # Errors
    /// Names the first wrong value, and what would be right.
    pub fn validate(&self) -> Result<()> {
        let check = |holds: bool, name: &str, value: f64, right: &str| {
            if holds { Ok(()) } else { Err(Error::Settings(format!("{name} is {value}; it must be {right}"))) }
        };
        let part = |value: f64| (0.0..1.0).contains(&value);
        let from_zero = "from 0 up to, not including, 1";
        check(self.epochs >= 1, "epochs", self.epochs as f64, "at least 1")?;
        check((1..=65_536).contains(&self.batch), "batch", self.batch as f64, "from 1 to 65536")?;
        check(self.lr.is_finite() && self.lr > 0.0, "lr", self.lr, "above 0")?;
        check(part(self.momentum), "momentum", self.momentum, from_zero)?;
        check(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "weight_decay",
            self.weight_decay,
            "0 or above",
        )?;
        let norm = self.clip_norm.unwrap_or(1.0);
        check(norm.is_finite() && norm > 0.0, "clip_norm", norm, "above 0")?;
        check(self.ema.is_none_or(part), "ema", self.ema.unwrap_or(0.0), from_zero)?;
        check(part(self.label_smoothing), "label_smoothing", self.label_smoothing, from_zero)?;
        check(part(self.val_fraction), "val_fraction", self.val_fraction, from_zero)?;
        check((0.0..=1.0).contains(&self.max_bad), "max_bad", self.max_bad, "from 0 to 1")?;
        check(self.body_lr.is_finite() && self.body_lr >= 0.0, "body_lr", self.body_lr, "0 or above")?;
        let whole = (1..=self.epochs).contains(&self.cycles) && self.epochs.is_multiple_of(self.cycles);
        let cycles = whole || self.schedule != Schedule::Snapshot;
        check(cycles, "cycles", self.cycles as f64, &format!("a divisor of the epochs, {}", self.epochs))?;
        check(self.patience != Some(0), "patience", 0.0, "at least 1")?;
        check(self.unfreeze_every != Some(0), "unfreeze_every", 0.0, "at least 1")?;
        if self.unfreeze_every.is_some() && self.freeze != Freeze::Weights {
            let reason = "unfreeze_every is for a body whose weights are frozen at first; it needs freeze = weights";
            return Err(Error::Settings(reason.into()));
        }
        let (accumulate, batch) = (self.accumulate, format!("from 1 to the batch, {}", self.batch));
        check((1..=self.batch).contains(&accumulate), "accumulate", accumulate as f64, &batch)?;
        check(self.max_steps != Some(0), "max_steps", 0.0, "at least 1")?;
        self.augment.validate()
    }
}
