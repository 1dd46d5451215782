//! The network: its values and what it makes of pictures.

use densenet_kernels::Element;
use densenet_kernels::reference::Shape4;
use ndarray::{Array2, ArrayView4};

use crate::init::initial;
use crate::reference::{self, Batch, Training};
use crate::{Architecture, Config, Result};

/// A network of the family with its values.
#[derive(Clone, Debug)]
pub struct DenseNet<T: Element = f32> {
    architecture: Architecture,
    parameters: Vec<T>,
    running: Vec<T>,
}

impl<T: Element> DenseNet<T> {
    /// A network with the initial values of `seed`.
    ///
    /// # Errors
    /// What [`Config::validate`] finds wrong.
    pub fn new(config: &Config, seed: u64) -> Result<Self> {
        let architecture = Architecture::new(config)?;
        let (parameters, running) = initial(&architecture, seed);
        Ok(Self { architecture, parameters, running })
    }

    /// A network of these values, laid out as its [`Architecture`] says.
    ///
    /// # Errors
    /// What [`Config::validate`] finds wrong.
    pub fn from_arenas(config: &Config, parameters: Vec<T>, running: Vec<T>) -> Result<Self> {
        Ok(Self { architecture: Architecture::new(config)?, parameters, running })
    }

    /// Its layout.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Learnable values.
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// Running statistics.
    pub fn running(&self) -> &[T] {
        &self.running
    }

    /// Learnable values, to change.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.parameters
    }

    /// Logits `(N, classes)` of `images` `(N, C, H, W)`, in inference.
    ///
    /// # Errors
    /// A picture size that the network cannot take.
    pub fn logits(&self, images: ArrayView4<'_, T>) -> Result<Array2<T>> {
        let (n, c, h, w) = images.dim();
        let images: Vec<T> = images.iter().copied().collect();
        let logits =
            reference::forward(&self.architecture, &self.parameters, &self.running, Shape4 { n, c, h, w }, &images)?;
        Ok(Array2::from_shape_vec((n, self.architecture.config.num_classes), logits).expect("a row per picture"))
    }
}

/// How to take a training step's loss.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// From 0, none, to 1.
    pub label_smoothing: f64,
    /// Seed of the dropout masks.
    pub dropout_seed: u64,
}

/// What a training step gives.
#[derive(Clone, Debug)]
pub struct StepOutcome<T> {
    /// Mean over the batch.
    pub loss: f64,
    /// `(N, classes)`.
    pub logits: Array2<T>,
}

/// Gradients of training steps.
#[derive(Clone, Debug)]
pub struct Backprop<T> {
    gradients: Vec<T>,
}

impl<T: Element> Backprop<T> {
    /// For steps of `network`.
    pub fn new(network: &DenseNet<T>) -> Self {
        Self { gradients: vec![T::zero(); network.parameters.len()] }
    }

    /// Forward and backward in training mode; moves the network's running statistics.
    ///
    /// # Errors
    /// A picture size that the network cannot take.
    pub fn run(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        labels: &[u32],
        options: &StepOptions,
    ) -> Result<StepOutcome<T>> {
        let (n, c, h, w) = images.dim();
        let images: Vec<T> = images.iter().copied().collect();
        let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
        let batch = Batch { shape: Shape4 { n, c, h, w }, images: &images, labels: &labels };
        let training = Training { label_smoothing: options.label_smoothing, dropout_seed: options.dropout_seed };
        let DenseNet { architecture, parameters, running } = network;
        let step = reference::train(architecture, parameters, running, &batch, training)?;
        self.gradients = step.gradients;
        let logits = Array2::from_shape_vec((n, architecture.config.num_classes), step.logits);
        Ok(StepOutcome { loss: step.loss.f64(), logits: logits.expect("a row per picture") })
    }

    /// Of every parameter, in the arena's order.
    pub fn gradients(&self) -> &[T] {
        &self.gradients
    }
}
