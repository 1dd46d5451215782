//! The methods that are asked for, and their settings.

use anyhow::Result;
use clap::{Args, ValueEnum};
use densenet::Architecture;
use densenet::explain::{ActivationMaps, Noise};

use crate::output::{self, Misuse};

/// Where SmoothGrad's noise comes from.
const SEED: u64 = 0;

/// Words for the methods besides occlusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    Cam,
    GradCam,
    IntegratedGradients,
    SmoothGrad,
}

/// What to explain with, and how.
#[derive(Args)]
pub struct Methods {
    /// How to explain: cam, the class activation map; grad-cam, the maps of any block weighted by their gradients;
    /// integrated-gradients, what each pixel adds to the logit; smooth-grad, the mean gradient of noisy copies
    #[arg(
        long,
        value_name = "METHOD[,METHOD...]",
        value_delimiter = ',',
        default_value = "cam",
        hide_possible_values = true
    )]
    method: Vec<Word>,
    /// For grad-cam, the block, counted from 1 [default: the last]
    #[arg(long, value_name = "B")]
    block: Option<usize>,
    /// For integrated-gradients, the number of steps from the mean colour to the picture [default: 50]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// For smooth-grad, the number of noisy copies [default: 25]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// For smooth-grad, the noise's standard deviation as a share of the picture's range [default: 0.15]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    noise: Option<f64>,
    /// Also cover squares of SIZE x SIZE pixels with the mean colour, and show how far the probability drops
    #[arg(long, value_name = "SIZE")]
    occlusion: Option<usize>,
}

/// A method with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The class activation map.
    Activation,
    /// Grad-CAM at a block, counted from 0.
    GradCam {
        /// The block.
        block: usize,
        /// Blocks of the network.
        of: usize,
    },
    /// Integrated gradients in that many steps.
    IntegratedGradients(usize),
    /// SmoothGrad.
    SmoothGrad(Noise),
    /// Occlusion by squares with sides of that many pixels.
    Occlusion(usize),
}

impl Methods {
    /// The methods for a network of `architecture`, each once.
    ///
    /// # Errors
    /// A setting without its method, a block that does not exist, and a network that the methods cannot explain.
    pub fn of(&self, architecture: &Architecture) -> Result<Vec<Method>> {
        self.check_settings()?;
        let mut methods = Vec::new();
        for &word in &self.method {
            let method = match word {
                Word::Cam if !self.exact(architecture)? => continue,
                Word::Cam => Method::Activation,
                Word::GradCam => self.grad_cam(architecture)?,
                Word::IntegratedGradients => Method::IntegratedGradients(self.steps.unwrap_or(50)),
                Word::SmoothGrad => {
                    let (samples, level) = (self.samples.unwrap_or(25), self.noise.unwrap_or(0.15));
                    Method::SmoothGrad(Noise { samples, level, seed: SEED })
                }
            };
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods.extend(self.occlusion.map(Method::Occlusion));
        Ok(methods)
    }

    /// Whether class activation maps are exact; where they are not, others must have been asked for.
    fn exact(&self, architecture: &Architecture) -> Result<bool> {
        match ActivationMaps::<f32>::check(architecture) {
            Ok(()) => Ok(true),
            Err(error) if self.method == [Word::Cam] && self.occlusion.is_none() => Err(error.into()),
            Err(error) => {
                output::note(format_args!("no class activation maps: {error}"));
                Ok(false)
            }
        }
    }

    fn grad_cam(&self, architecture: &Architecture) -> Result<Method> {
        let of = architecture.blocks.len();
        match self.block.unwrap_or(of).checked_sub(1).filter(|&block| block < of) {
            Some(block) => Ok(Method::GradCam { block, of }),
            None => {
                let block = self.block.unwrap_or(of);
                Err(Misuse(format!("--block {block}: the network has blocks 1 to {of}")).into())
            }
        }
    }

    /// Refuses settings of methods that are not asked for.
    fn check_settings(&self) -> Result<()> {
        let settings = [
            ("--block", self.block.is_some(), Word::GradCam),
            ("--steps", self.steps.is_some(), Word::IntegratedGradients),
            ("--samples", self.samples.is_some(), Word::SmoothGrad),
            ("--noise", self.noise.is_some(), Word::SmoothGrad),
        ];
        match settings.into_iter().find(|(_, given, method)| *given && !self.method.contains(method)) {
            None => Ok(()),
            Some((name, _, method)) => {
                let method = method.to_possible_value().expect("every method has a word");
                Err(Misuse(format!("{name} is a setting of --method {}", method.get_name())).into())
            }
        }
    }
}
