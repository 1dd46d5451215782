//! A map by each of the methods, and what there is to say about it.

use std::path::PathBuf;

use anyhow::Result;
use densenet::explain::{ActivationMaps, IntegratedGradients, Noise, Target, grad_cam, occlusion, smooth_grad};
use densenet::network::DenseNet;
use densenet::output::Output;
use ndarray::{Array2, ArrayView3};

use super::colour::Colours;
use super::methods::Method;
use crate::report::figures::{percent, short};

/// Error of integrated gradients that is tolerated, as a share of their sum.
const GAP: f64 = 0.05;

/// A map by some method.
pub struct Map {
    /// The method, as files are named after it.
    pub method: &'static str,
    /// The method, for people.
    pub title: &'static str,
    /// What its values are.
    pub unit: &'static str,
    /// What there is to say about it.
    pub note: String,
    /// How it is coloured.
    pub colours: Colours,
    /// `(H, W)`.
    pub values: Array2<f32>,
    /// Where it is kept.
    pub file: PathBuf,
}

/// A prediction that is explained.
pub struct Explaining<'a> {
    /// The network.
    pub network: &'a DenseNet,
    /// What its logits mean.
    pub output: Output,
    /// `(C, H, W)`.
    pub image: ArrayView3<'a, f32>,
    /// What is explained.
    pub target: Target,
    /// The exact maps, where there are any.
    pub exact: Option<&'a ActivationMaps<'a>>,
}

impl Explaining<'_> {
    /// The map by `method`.
    ///
    /// # Errors
    /// Settings that the picture cannot have.
    pub fn map(&self, method: Method) -> Result<Map> {
        match method {
            Method::Activation => self.activation(self.exact.expect("checked to be exact")),
            Method::GradCam { block, of } => self.grad_cam(block, of),
            Method::IntegratedGradients(steps) => self.integrated_gradients(steps),
            Method::SmoothGrad(noise) => self.smooth_grad(noise),
            Method::Occlusion(size) => self.occlusion(size),
        }
    }

    fn activation(&self, maps: &ActivationMaps<'_>) -> Result<Map> {
        let (values, bias) = (maps.map(0, self.target)?, maps.bias(self.target)?);
        let mean = sum(&values) / values.len() as f64;
        let logit = self.target.score(|class| maps.logits()[[0, class]]);
        let [mean, bias, logit] = [mean, bias.into(), logit.into()].map(short);
        let note = format!("Its mean, {mean}, and the bias, {bias}, add up to {}, {logit}.", self.logit());
        Ok(Map {
            method: "cam",
            title: "Class activation map",
            unit: "logit",
            note,
            colours: self.colours(),
            values,
            file: PathBuf::new(),
        })
    }

    fn grad_cam(&self, block: usize, of: usize) -> Result<Map> {
        let values = grad_cam(self.network, self.image, block, self.target)?;
        let (height, width) = values.dim();
        let mut note = format!("The maps of block {} of {of}, of {height}x{width} places.", block + 1);
        if values.iter().all(|&value| value == 0.0) {
            note.push_str(" None of the places speaks for the class.");
        }
        Ok(Map {
            method: "grad-cam",
            title: "Grad-CAM",
            unit: "weighted activation",
            note,
            colours: Colours::Sequential,
            values,
            file: PathBuf::new(),
        })
    }

    fn integrated_gradients(&self, steps: usize) -> Result<Map> {
        let found = IntegratedGradients::new(self.network, self.image, steps, self.target)?;
        let share = found.gap().abs() / found.difference.abs().max(f64::MIN_POSITIVE);
        let [total, difference] = [sum(&found.map), found.difference].map(short);
        let mut note = format!(
            "Its pixels add up to {total}; {} differs by {difference} from that of the mean colour: the integral is off by \
             {}.",
            self.logit(),
            percent(share)
        );
        if share > GAP {
            let rounding = if self.network.quantization().is_some() { ", except for int8 rounding" } else { "" };
            note.push_str(&format!(" More --steps make it more accurate{rounding}."));
        }
        Ok(Map {
            method: "integrated-gradients",
            title: "Integrated gradients",
            unit: "logit",
            note,
            colours: Colours::Clipped,
            values: found.map,
            file: PathBuf::new(),
        })
    }

    fn smooth_grad(&self, noise: Noise) -> Result<Map> {
        let values = smooth_grad(self.network, self.image, noise, self.target)?;
        let Noise { samples, level, .. } = noise;
        let note = format!("Mean over {samples} copies with noise of {level} of the picture's range.");
        Ok(Map {
            method: "smooth-grad",
            title: "SmoothGrad",
            unit: "logit per normalised value",
            note,
            colours: Colours::Clipped,
            values,
            file: PathBuf::new(),
        })
    }

    fn occlusion(&self, size: usize) -> Result<Map> {
        let values = occlusion(self.network, &self.output, self.image, size, self.target)?;
        let most = short(values.iter().copied().fold(f32::NEG_INFINITY, f32::max).into());
        let what =
            if self.target.against.is_some() { "the difference of the probabilities" } else { "the probability" };
        let note = format!("Where squares of {size}x{size} pixels cover the picture, {what} drops by at most {most}.");
        Ok(Map {
            method: "occlusion",
            title: "Occlusion",
            unit: "drop of probability",
            note,
            colours: self.colours(),
            values,
            file: PathBuf::new(),
        })
    }

    /// Those of a map of scores: 0 is the middle where two classes are compared.
    fn colours(&self) -> Colours {
        if self.target.against.is_some() { Colours::Diverging } else { Colours::Sequential }
    }

    /// The target's logit, in words.
    fn logit(&self) -> &'static str {
        if self.target.against.is_some() { "the difference of the logits" } else { "the logit" }
    }
}

fn sum(values: &Array2<f32>) -> f64 {
    values.iter().copied().map(f64::from).sum()
}
