//! The network on the fast operations: one buffer a block, no concatenation, statistics and batch-norm corrections once
//! a feature map.
//!
//! [`DenseNet`] holds the values and answers; [`Backprop`] takes training steps. Both are generic over `f32` and `f64`.

mod accumulate;
mod backprop;
mod block;
mod ends;
mod memory;
mod pre_activation;
mod predictor;

use std::sync::OnceLock;

use densenet_kernels::isa::{Dispatch, Isa};
use densenet_kernels::maps::Grid;
use ndarray::{Array2, ArrayView4};

pub use backprop::{Backprop, StepOptions, StepOutcome};
pub use memory::Memory;
use predictor::Predictor;

use crate::{Architecture, Config, Error, Result, init};

/// A network and its values.
#[derive(Debug)]
pub struct DenseNet<T: Dispatch = f32> {
    architecture: Architecture,
    parameters: Vec<T>,
    running: Vec<T>,
    /// The form that answers; made from the values at the first question after they changed.
    predictor: OnceLock<Predictor<T>>,
}

impl<T: Dispatch> DenseNet<T> {
    /// A network of `config` with initial values drawn from `seed` as torchvision draws them.
    ///
    /// # Errors
    /// A configuration that no network can have, or an instruction set in `DENSENET_ISA` that there is not.
    pub fn new(config: &Config, seed: u64) -> Result<Self> {
        let architecture = Architecture::new(config)?;
        let (parameters, running) = init::initial(&architecture, seed);
        Self::assemble(architecture, parameters, running)
    }

    /// A network of `config` with the values of two arenas, laid out as [`Architecture`] says.
    ///
    /// # Errors
    /// A configuration that no network can have, arenas of another length, or an instruction set in `DENSENET_ISA` that
    /// there is not.
    pub fn from_arenas(config: &Config, parameters: Vec<T>, running: Vec<T>) -> Result<Self> {
        let architecture = Architecture::new(config)?;
        let arenas = [
            ("parameters", parameters.len(), architecture.num_parameters()),
            ("running statistics", running.len(), architecture.num_running()),
        ];
        for (what, have, want) in arenas {
            if have != want {
                return Err(Error::Config(format!("{have} {what} for a network of {want}")));
            }
        }
        Self::assemble(architecture, parameters, running)
    }

    /// Whatever computes starts from a network, so this is where a wrong instruction set is found.
    fn assemble(architecture: Architecture, parameters: Vec<T>, running: Vec<T>) -> Result<Self> {
        Isa::from_environment().map_err(Error::Config)?;
        Ok(Self { architecture, parameters, running, predictor: OnceLock::new() })
    }

    /// What the network is made of.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The learnable values, laid out as [`Architecture::parameters`].
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// The learnable values, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.predictor.take();
        &mut self.parameters
    }

    /// The running means and variances, laid out as [`Architecture::running`].
    pub fn running(&self) -> &[T] {
        &self.running
    }

    /// Exchanges both arenas with others of the same lengths.
    pub(crate) fn exchange(&mut self, parameters: &mut Vec<T>, running: &mut Vec<T>) {
        assert_eq!((parameters.len(), running.len()), (self.parameters.len(), self.running.len()), "arenas' lengths");
        self.predictor.take();
        std::mem::swap(&mut self.parameters, parameters);
        std::mem::swap(&mut self.running, running);
    }

    /// Logits `(N, classes)` of `images` `(N, C, H, W)`, normalised as in training; batch-norms take the running
    /// statistics.
    ///
    /// # Errors
    /// Pictures of another number of channels, or too small for the network.
    pub fn logits(&self, images: ArrayView4<'_, T>) -> Result<Array2<T>> {
        let grid = self.check(&images)?;
        let images = images.as_standard_layout();
        let pixels = images.as_slice().expect("standard layout");
        let predictor = self.predictor.get_or_init(|| Predictor::new(self));
        let logits = in_pool(|| predictor.logits(&self.architecture, pixels, grid))?;
        let shape = (grid.images, self.architecture.config.num_classes);
        Ok(Array2::from_shape_vec(shape, logits).expect("one logit an image and class"))
    }

    /// Extents of `images`, if the network can take them.
    fn check(&self, images: &ArrayView4<'_, T>) -> Result<Grid> {
        let (count, channels, height, width) = images.dim();
        let wanted = self.architecture.config.in_channels;
        if channels != wanted {
            return Err(Error::Config(format!(
                "pictures have {channels} channels, but the network's in_channels is {wanted}"
            )));
        }
        if count == 0 {
            return Err(Error::Config("no pictures; at least one is needed".into()));
        }
        self.architecture.block_sizes(height, width)?;
        Ok(Grid { images: count, height, width })
    }
}

/// Runs `work` on a thread of the current pool, so that each operation's pieces are claimed without going through a queue.
fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::current_thread_index() {
        Some(_) => work(),
        None => rayon::scope(|_| work()),
    }
}
