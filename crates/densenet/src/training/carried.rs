//! What a run carries from step to step besides the weights: the optimiser's state and the weights' average.

use super::fine_tuning::first_of_classifier;
use super::settings::Settings;
use crate::architecture::Tensor;
use crate::checkpoint::{AVERAGE, FIRST_MOMENT, Group, MOMENTUM, Reader, SECOND_MOMENT};
use crate::optimiser::{AdamW, Average, Gradients, Kind, Optimiser, Rates, Sgd};
use crate::{Architecture, DenseNet, Result};

/// The state of a run besides its weights.
pub(super) struct Carried {
    optimiser: Optimiser<f32>,
    average: Option<Average<f32>>,
    clip_norm: Option<f64>,
}

impl Carried {
    /// The state of `network` before the first step.
    pub fn new(settings: &Settings, network: &DenseNet) -> Self {
        let (parameters, weight_decay) = (network.parameters().len(), settings.weight_decay);
        let optimiser = match settings.optimizer {
            Kind::Sgd => Optimiser::Sgd(Sgd::new(parameters, settings.momentum, true, weight_decay)),
            Kind::AdamW => Optimiser::AdamW(AdamW::new(parameters, weight_decay)),
        };
        let average = settings.ema.map(|decay| Average::new(decay, network));
        Self { optimiser, average, clip_norm: settings.clip_norm }
    }

    /// The state of `network` after `steps` steps, as it was saved.
    ///
    /// # Errors
    /// A file that does not hold all of it.
    pub fn read(settings: &Settings, steps: u64, network: &DenseNet, reader: &mut Reader) -> Result<Self> {
        let mut carried = Self::new(settings, network);
        if let Optimiser::AdamW(adamw) = &mut carried.optimiser {
            adamw.steps = steps;
        }
        let architecture = network.architecture();
        let places: Vec<_> = carried.groups(architecture).iter().map(|group| (group.prefix, group.tensors)).collect();
        let arenas = reader.carried(architecture, &places)?;
        carried.arenas().into_iter().zip(arenas).for_each(|(arena, values)| *arena = values);
        Ok(carried)
    }

    /// Takes step number `step`, from 1, of `network` down `gradients`; the clipped norm is that of the parameters that
    /// learn.
    pub fn step(&mut self, rates: Rates, step: u64, network: &mut DenseNet, gradients: &[f32]) {
        let factor = self
            .clip_norm
            .map_or(1.0, |most| Gradients::clipped(&gradients[rates.learns_from().unwrap_or(0)..], most).factor);
        let gradients = Gradients { values: gradients, factor };
        if rates.learns_from() >= Some(first_of_classifier(network.architecture())) {
            network.change_classifier(|parameters| self.optimiser.step(rates, parameters, gradients));
        } else {
            self.optimiser.step(rates, network.parameters_mut(), gradients);
        }
        if let Some(average) = &mut self.average {
            average.follow(step, network);
        }
    }

    /// Swaps the network's values with their average, if one is kept.
    pub fn exchange(&mut self, network: &mut DenseNet) {
        if let Some(average) = &mut self.average {
            average.exchange(network);
        }
    }

    /// All of the state, with its names in a file.
    pub fn groups<'a>(&'a self, architecture: &'a Architecture) -> Vec<Group<'a>> {
        let group = |prefix, tensors: &'a [Tensor], values: &'a [f32]| Group { prefix, tensors, values };
        let parameters = &architecture.parameters;
        let mut groups = match &self.optimiser {
            Optimiser::Sgd(sgd) => vec![group(MOMENTUM, parameters, &sgd.velocity)],
            Optimiser::AdamW(AdamW { first, second, .. }) => {
                vec![group(FIRST_MOMENT, parameters, first), group(SECOND_MOMENT, parameters, second)]
            }
        };
        if let Some(average) = &self.average {
            groups.push(group(AVERAGE, parameters, &average.parameters));
            groups.push(group(AVERAGE, &architecture.running, &average.running));
        }
        groups
    }

    /// The values of [`Carried::groups`].
    fn arenas(&mut self) -> Vec<&mut Vec<f32>> {
        let mut arenas = match &mut self.optimiser {
            Optimiser::Sgd(sgd) => vec![&mut sgd.velocity],
            Optimiser::AdamW(AdamW { first, second, .. }) => vec![first, second],
        };
        if let Some(average) = &mut self.average {
            arenas.extend([&mut average.parameters, &mut average.running]);
        }
        arenas
    }
}
