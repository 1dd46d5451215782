//! A network that predicts in int8.

use std::sync::OnceLock;

use super::densenet::{DenseNet, Integers};
use super::integer_body::IntegerBody;
use super::predictor::Predictor;
use crate::checkpoint::Weights;
use crate::quantization::{Calibration, Quantization, quantize};
use crate::{Architecture, Config, Error, Result};

impl DenseNet<f32> {
    /// A network of `config` that predicts with the integers of `quantization`. The quantized convolutions take their
    /// weights from these integers; all other values come from the two arenas, laid out as in
    /// [`Architecture`](crate::Architecture).
    ///
    /// # Errors
    /// Those of [`DenseNet::from_arenas`], integers of another network, or values that are not finite, which integers
    /// would hide.
    pub fn quantized(
        config: &Config,
        parameters: Vec<f32>,
        running: Vec<f32>,
        quantization: Quantization,
    ) -> Result<Self> {
        let weights = Weights { parameters, running, quantization: None };
        let non_finite = weights.non_finite(&Architecture::new(config)?);
        if !non_finite.is_empty() {
            let names = non_finite.join(", ");
            return Err(Error::Config(format!("{names}: values that are not finite, which 8 bits cannot represent")));
        }
        let mut network = Self::from_arenas(config, weights.parameters, weights.running)?;
        quantization.check(network.architecture()).map_err(Error::Config)?;
        let weights = &mut network.weights;
        weights.parameters = without_integers(&weights.architecture, &weights.parameters);
        let predictor = Predictor::new(weights, |_, _| IntegerBody::new(weights, &quantization));
        network.integers = Some(Integers { predictor: Box::new(predictor), quantization, parameters: OnceLock::new() });
        Ok(network)
    }

    /// The same network, predicting in int8.
    ///
    /// # Errors
    /// Those of [`quantize`].
    pub fn quantize(&self, calibration: &Calibration) -> Result<Self> {
        let (arch, parameters) = (self.architecture(), self.parameters());
        let quantization = quantize(arch, parameters, calibration)?;
        Self::quantized(&arch.config, parameters.to_vec(), self.running().to_vec(), quantization)
    }

    /// Calibration from the batch-norms' statistics, without any data.
    pub fn calibration_of_norms(&self) -> Calibration {
        Calibration::of_norms(self.architecture(), self.parameters(), self.running())
    }

    /// The integers that it predicts with; `None` if it predicts in floating point, as it does once its weights change.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.integers.as_ref().map(|integers| &integers.quantization)
    }

    /// The same network in floating point.
    pub fn dequantized(mut self) -> Self {
        self.parameters_mut();
        self
    }
}

/// `parameters` with zeros for the weights that are integers. These zeros are never written, so those pages of a large
/// arena take no memory.
fn without_integers(architecture: &Architecture, parameters: &[f32]) -> Vec<f32> {
    let integers: Vec<_> = architecture.convs().map(|conv| &conv.weight).collect();
    let mut rest = vec![0.0; parameters.len()];
    for tensor in &architecture.parameters {
        if !integers.contains(&&tensor.range) {
            rest[tensor.range.clone()].copy_from_slice(&parameters[tensor.range.clone()]);
        }
    }
    rest
}
