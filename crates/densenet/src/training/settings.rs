//! How to train.

use std::ops::Range;

use densenet_kernels::random::Stream;
use serde::{Deserialize, Serialize};

use crate::data::{Augmentation, Split, balanced_order};
use crate::network::Memory;
use crate::optimiser::Kind;
use crate::schedule::Schedule;
use crate::{Error, Result};

/// What is done about classes or labels of which there are few pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Nothing.
    #[default]
    None,
    /// They count more in the loss, so that each class counts the same, or the presence of a label as much as its absence.
    Weights,
    /// Their pictures are drawn more often, so that each class is seen as often; some pictures of the others are not seen in
    /// an epoch.
    Sampling,
}

/// What of the body, all that comes before the classifier, stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freeze {
    /// Nothing: all parameters learn.
    #[default]
    None,
    /// The parameters; batch-norms go on normalising by the statistics of each batch and following them.
    Weights,
    /// The parameters and the running statistics, which batch-norms normalise by, as in inference. No backward pass through
    /// the body is needed then.
    Body,
}

/// How to train; the defaults are the paper's for CIFAR and SVHN (section 4.2) but for the number of epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Times that every picture is seen.
    pub epochs: usize,
    /// Pictures per step; the last of an epoch takes what is left.
    pub batch: usize,
    /// The highest learning rate.
    pub lr: f64,
    /// What makes a step of a gradient.
    pub optimizer: Kind,
    /// How the learning rate changes; over all epochs, also where `max_steps` ends the run before.
    pub schedule: Schedule,
    /// Nesterov momentum of SGD; from 0, none, up to 1.
    pub momentum: f64,
    /// Weight decay on all parameters.
    pub weight_decay: f64,
    /// The largest norm that the gradient over all parameters may have; a larger one is shortened to it.
    pub clip_norm: Option<f64>,
    /// Share of the weights' moving average that a step keeps; that average is then what is evaluated and saved.
    pub ema: Option<f64>,
    /// Share of the target spread over all classes; from 0 up to 1.
    pub label_smoothing: f64,
    /// Share of every class of the training pictures that is held out to choose the best epoch by, where the data set has no
    /// validation part; 0 where none is, and the test part chooses. See [`DataSet::divide`](crate::data::DataSet::divide).
    pub val_fraction: f64,
    /// Whether rare classes or labels count more, or are seen more often.
    pub balance: Balance,
    /// What of the body stays as it is.
    pub freeze: Freeze,
    /// Where the body's parameters are frozen, epochs after each of which one more of its stages begins to learn, the last
    /// block first and the stem last.
    pub unfreeze_every: Option<usize>,
    /// Learning rate of the body as a share of the classifier's.
    pub body_lr: f64,
    /// Random changes to the pictures.
    pub augment: Augmentation,
    /// Whether each epoch takes the pictures in an order of its own.
    pub shuffle: bool,
    /// Cycles of [`Schedule::Snapshot`], each of which leaves a network.
    pub cycles: usize,
    /// Epochs without a better one after which the run ends.
    pub patience: Option<usize>,
    /// Share of the training pictures, rounded up, that may turn out to be unreadable before the run ends.
    pub max_bad: f64,
    /// Steps after which the run ends, whatever the epochs.
    pub max_steps: Option<u64>,
    /// Micro-batches that a step's pictures are taken in, one after the other; batch-norms take the statistics of each.
    pub accumulate: usize,
    /// What a step keeps for its backward pass; no bit of the result depends on it.
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
    /// Steps of an epoch over so many pictures. A last batch joins the one before it where a micro-batch of it would be of
    /// less than two pictures: batch-norm needs more than one value a channel.
    pub fn steps(&self, pictures: usize) -> usize {
        let (whole, rest) = (pictures / self.batch, pictures % self.batch);
        whole + usize::from(whole == 0 || rest >= 2 * self.accumulate)
    }

    /// The learning rate of the step after so many of a run on so many pictures.
    pub fn rate(&self, step: u64, pictures: usize) -> f64 {
        self.schedule.rate(self.lr, step, (self.steps(pictures) * self.epochs) as u64, self.cycles as u64)
    }

    /// Checks besides what is of classes that exclude each other.
    ///
    /// # Errors
    /// A setting that has no meaning where pictures have any number of labels.
    pub(super) fn validate_multi_label(&self) -> Result<()> {
        let wrong = |reason: &str| Err(Error::Settings(reason.into()));
        if self.label_smoothing > 0.0 {
            return wrong(
                "label_smoothing is for classes that exclude each other; these pictures have any number of labels",
            );
        }
        match self.balance {
            Balance::Sampling => {
                wrong("balance = sampling is for classes that exclude each other; take balance = weights")
            }
            Balance::None | Balance::Weights => Ok(()),
        }
    }

    /// The cycle of snapshots, from 1, that ends with so many epochs.
    pub(super) fn cycle_ended(&self, epochs: usize) -> Option<usize> {
        let of_cycle = self.epochs / self.cycles.max(1);
        let ended = self.schedule == Schedule::Snapshot && of_cycle > 0 && epochs.is_multiple_of(of_cycle);
        ended.then(|| epochs / of_cycle)
    }

    /// The order of the pictures of an epoch whose seed is `seed`: shuffled (Fisher and Yates), or drawn so that every class
    /// comes as often.
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

    /// Which of an epoch's pictures, in its order, `step` takes; the first step is 0.
    pub(super) fn pictures_of(&self, step: usize, pictures: usize) -> Range<usize> {
        let start = step * self.batch;
        if step + 1 < self.steps(pictures) { start..start + self.batch } else { start..pictures }
    }

    /// Pictures of the smallest micro-batch of an epoch over so many.
    pub(super) fn smallest(&self, pictures: usize) -> usize {
        let of = |step| self.pictures_of(step, pictures).len();
        let least = of(0).min(of(self.steps(pictures) - 1));
        least / self.accumulate.min(least)
    }

    /// Checks that a run can have these settings.
    ///
    /// # Errors
    /// The first value that is wrong, with what would be right.
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
            let reason = "unfreeze_every is of a body whose weights are frozen at first; it needs freeze = weights";
            return Err(Error::Settings(reason.into()));
        }
        let (accumulate, batch) = (self.accumulate, format!("from 1 to the batch, {}", self.batch));
        check((1..=self.batch).contains(&accumulate), "accumulate", accumulate as f64, &batch)?;
        check(self.max_steps != Some(0), "max_steps", 0.0, "at least 1")?;
        self.augment.validate()
    }
}
