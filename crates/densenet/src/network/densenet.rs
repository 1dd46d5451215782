//! A network that predicts.

use std::sync::OnceLock;

use densenet_kernels::conv::MathMode;
use densenet_kernels::peak::bf16_gain;
use densenet_kernels::simd::Isa;
use densenet_kernels::{FeatureMap, FeatureMaps, Grid, Real};
use ndarray::{Array2, Array4, ArrayView4, ArrayViewMut2, ArrayViewMut4, s};

use super::batch::Batch;
use super::float_body::FloatBody;
use super::pool::in_pool;
use super::predictor::{Inference, Outputs, Predictor, Watch};
use super::steps::Step;
use super::weights::{RunningAffine, Weights};
use crate::architecture::{Block, Norm};
use crate::config::Joining;
use crate::novelty::Reference;
use crate::profile::{Probe, Profile};
use crate::quantization::Quantization;
use crate::{Architecture, Config, Error, Result, init};

/// How many times as fast its products must be for a network to use bfloat16: a third of inference time is spent
/// elsewhere, so this makes inference about 1.3 times as fast.
const MIN_BF16_GAIN: f64 = 1.5;

/// A network and its weights.
#[derive(Debug)]
pub struct DenseNet<T: Real = f32> {
    /// If it predicts with integers, the weights that they stand for are zeros here.
    pub(super) weights: Weights<T>,
    /// The weights packed for inference; created at the first prediction after they changed.
    floats: OnceLock<Predictor<T, FloatBody<T>>>,
    /// The arithmetic of floating-point predictions.
    math_mode: MathMode,
    /// The integers, if it predicts with them.
    pub(super) integers: Option<Integers<T>>,
    /// What is kept of its training pictures.
    pub(super) reference: Option<Reference>,
}

/// The int8 predictor.
#[derive(Debug)]
pub(super) struct Integers<T: Real> {
    pub quantization: Quantization,
    pub predictor: Box<dyn Inference<T>>,
    /// The network's parameters including the weights that the integers stand for; created when first needed.
    pub parameters: OnceLock<Vec<T>>,
}

impl<T: Real> Integers<T> {
    /// The parameters of a network with `weights`, which has zeros in place of the integers.
    fn parameters(&self, weights: &Weights<T>) -> &[T] {
        self.parameters.get_or_init(|| {
            let mut parameters = weights.parameters.clone();
            self.quantization.dequantize(&weights.architecture, &mut parameters);
            parameters
        })
    }
}

impl<T: Real> DenseNet<T> {
    /// A network of `config` with initial values drawn from `seed`, distributed as torchvision's.
    ///
    /// # Errors
    /// An impossible configuration, or an unknown instruction set in `DENSENET_ISA`.
    pub fn new(config: &Config, seed: u64) -> Result<Self> {
        let architecture = Architecture::new(config)?;
        let (parameters, running) = init::initial(&architecture, seed);
        Self::assemble(architecture, parameters, running)
    }

    /// A network of `config` with the values of two arenas, laid out as in [`Architecture`].
    ///
    /// # Errors
    /// An impossible configuration, arenas of the wrong length, or an unknown instruction set in `DENSENET_ISA`.
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

    /// All computation starts from a network, so this is where an invalid instruction set is detected.
    fn assemble(architecture: Architecture, parameters: Vec<T>, running: Vec<T>) -> Result<Self> {
        Isa::from_environment().map_err(Error::Config)?;
        let weights = Weights { architecture, parameters, running };
        let math_mode = MathMode::default();
        Ok(Self { weights, floats: OnceLock::new(), math_mode, integers: None, reference: None })
    }

    /// Discards what was derived from the weights, which are about to change; integers are replaced by the weights that
    /// they stand for.
    fn forget_packed(&mut self) {
        self.floats.take();
        if let Some(integers) = self.integers.take() {
            integers.parameters(&self.weights);
            self.weights.parameters = integers.parameters.into_inner().expect("they were just made");
        }
        self.reference = None;
    }

    /// The same network, predicting with products of this `mode`. bfloat16 is used only if this processor multiplies
    /// much faster with it, which is measured; [`DenseNet::math_mode`] reports the mode in use.
    pub fn with_math_mode(mut self, mode: MathMode) -> Self {
        let pays = mode == MathMode::Strict || bf16_gain::<T>() >= MIN_BF16_GAIN;
        self.math_mode = if pays { mode } else { MathMode::Strict };
        self.floats.take();
        self
    }

    /// The arithmetic of its convolutions' products when it predicts in floating point.
    pub fn math_mode(&self) -> MathMode {
        self.math_mode
    }

    /// The network's architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.weights.architecture
    }

    /// The learnable values, laid out as in [`Architecture::parameters`].
    pub fn parameters(&self) -> &[T] {
        match &self.integers {
            Some(integers) => integers.parameters(&self.weights),
            None => &self.weights.parameters,
        }
    }

    /// The learnable values, for modification.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.forget_packed();
        &mut self.weights.parameters
    }

    /// The running means and variances, laid out as in [`Architecture::running`].
    pub fn running(&self) -> &[T] {
        &self.weights.running
    }

    /// The running means and variances, for modification.
    pub fn running_mut(&mut self) -> &mut [T] {
        self.forget_packed();
        &mut self.weights.running
    }

    /// Architecture, parameters and mutable running statistics, which a training step works on.
    pub(super) fn training_arenas(&mut self) -> (&Architecture, &[T], &mut [T]) {
        self.forget_packed();
        let Weights { architecture, parameters, running } = &mut self.weights;
        (architecture, parameters, running)
    }

    /// Lets `change` modify only the parameters of the classifier, so that the body stays packed for inference.
    pub(crate) fn change_classifier(&mut self, change: impl FnOnce(&mut [T])) {
        change(&mut self.weights.parameters);
        let floats = self.floats.get_mut().map(|floats| floats as &mut dyn Inference<T>);
        let integers = self.integers.as_mut().map(|integers| {
            integers.parameters.take();
            &mut *integers.predictor
        });
        for predictor in floats.into_iter().chain(integers) {
            predictor.pack_classifier(&self.weights);
        }
    }

    /// What is kept of its training pictures; `None` if nothing is, or once its weights change.
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// Swaps both arenas with others of the same lengths.
    pub(crate) fn exchange(&mut self, parameters: &mut Vec<T>, running: &mut Vec<T>) {
        self.forget_packed();
        let weights = &mut self.weights;
        let lengths = (weights.parameters.len(), weights.running.len());
        assert_eq!((parameters.len(), running.len()), lengths, "arenas' lengths");
        std::mem::swap(&mut weights.parameters, parameters);
        std::mem::swap(&mut weights.running, running);
    }

    /// Logits `(N, classes)` for `images` `(N, C, H, W)`, normalised as in training; batch-norms use the running
    /// statistics.
    ///
    /// # Errors
    /// Pictures with the wrong number of channels or of a size that the network cannot take, or a network without a
    /// classifier.
    pub fn logits(&self, images: ArrayView4<'_, T>) -> Result<Array2<T>> {
        let mut logits = Array2::zeros((images.dim().0, self.architecture().config.num_classes));
        self.logits_into(images, logits.view_mut())?;
        Ok(logits)
    }

    /// Like [`DenseNet::logits`], but writes into existing memory. Nothing is allocated if pictures are in standard
    /// layout and there are as many as before.
    ///
    /// Those of [`DenseNet::logits`], or `logits` with the wrong shape or not in standard layout.
    /// Those of [`DenseNet::logits`], or `logits` of another shape or not in standard layout.
    pub fn logits_into(&self, images: ArrayView4<'_, T>, mut logits: ArrayViewMut2<'_, T>) -> Result<()> {
        self.architecture().check_classifier()?;
        let grid = self.check(&images)?;
        let shape = (grid.images, self.architecture().config.num_classes);
        let found = logits.dim();
        let Some(logits) = logits.as_slice_mut().filter(|_| found == shape) else {
            return Err(Error::Config(format!("memory for {found:?} logits; {shape:?} in standard layout is needed")));
        };
        let outputs = Outputs { features: None, logits: Some(logits) };
        self.predict(&images, grid, outputs, Watch::default())
    }

    /// Like [`DenseNet::logits`], and records in `profile` the time of each of the [`DenseNet::steps`] under its name.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`].
    pub fn profiled_logits(&self, images: ArrayView4<'_, T>, profile: &Profile) -> Result<Array2<T>> {
        self.architecture().check_classifier()?;
        let grid = self.check(&images)?;
        let mut logits = Array2::zeros((grid.images, self.architecture().config.num_classes));
        let outputs = Outputs { features: None, logits: logits.as_slice_mut() };
        let probe = Probe::new(Some(profile), "");
        self.predict(&images, grid, outputs, Watch { maps: None, probe })?;
        Ok(logits)
    }

    /// The operations of inference for pictures of `height` by `width`, in order.
    ///
    /// # Errors
    /// A picture size that the network cannot take.
    pub fn steps(&self, height: usize, width: usize) -> Result<Vec<Step>> {
        let sizes = self.architecture().block_sizes(height, width)?;
        Ok(self.predictor().steps((height, width), &sizes))
    }

    /// The classifier's input for `images` `(N, C, H, W)`: the `pooled` of [`DenseNet::features`].
    ///
    /// # Errors
    /// Those of [`DenseNet::features`].
    pub fn pooled(&self, images: ArrayView4<'_, T>) -> Result<Array2<T>> {
        let grid = self.check(&images)?;
        let mut pooled = Array2::zeros((grid.images, self.architecture().num_features));
        let outputs = Outputs { features: pooled.as_slice_mut(), logits: None };
        self.predict(&images, grid, outputs, Watch::default())?;
        Ok(pooled)
    }

    /// The classifier's input for `images` `(N, C, H, W)`, and the resulting logits.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`].
    pub fn pooled_and_logits(&self, images: ArrayView4<'_, T>) -> Result<(Array2<T>, Array2<T>)> {
        let arch = self.architecture();
        arch.check_classifier()?;
        let grid = self.check(&images)?;
        let (features, classes) = (arch.num_features, arch.config.num_classes);
        let [mut pooled, mut logits] = [features, classes].map(|width| Array2::zeros((grid.images, width)));
        let outputs = Outputs { features: pooled.as_slice_mut(), logits: logits.as_slice_mut() };
        self.predict(&images, grid, outputs, Watch::default())?;
        Ok((pooled, logits))
    }

    /// All maps and features of `images` `(N, C, H, W)` before the classifier: for programs that need a backbone.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`], except for the lack of a classifier.
    pub fn features(&self, images: ArrayView4<'_, T>) -> Result<Features<T>> {
        let grid = self.check(&images)?;
        let arch = self.architecture();
        let sizes = arch.block_sizes(grid.height, grid.width)?;
        let channels = |block: &Block| match arch.config.joining {
            Joining::Dense => block.widths().sum(),
            Joining::Plain | Joining::Residual => block.widths().last().expect("a block has an input"),
        };
        let blocks = arch.blocks.iter().zip(sizes);
        let mut maps: Vec<_> = blocks.map(|(b, (h, w))| Array4::zeros((grid.images, channels(b), h, w))).collect();
        let mut pooled = Array2::zeros((grid.images, arch.num_features));
        let outputs = Outputs { features: pooled.as_slice_mut(), logits: None };
        let mut copy = |block: usize, images, found: FeatureMaps<'_, T>| {
            copy_maps(found, maps[block].slice_mut(s![images, .., .., ..]));
        };
        self.predict(&images, grid, outputs, Watch { maps: Some(&mut copy), probe: Probe::default() })?;
        Ok(Features { pooled, blocks: maps })
    }

    /// The scale and shift of `norm` in inference.
    pub(super) fn running_affine(&self, norm: &Norm) -> RunningAffine<T> {
        self.weights.affine(norm)
    }

    /// Predicts on the calling thread's pool.
    pub(super) fn predict(
        &self,
        images: &ArrayView4<'_, T>,
        grid: Grid,
        outputs: Outputs<'_, T>,
        watch: Watch<'_, T>,
    ) -> Result<()> {
        let images = images.as_standard_layout();
        let batch = Batch { pictures: images.as_slice().expect("standard layout"), grid };
        in_pool(|| self.predictor().run(self.architecture(), batch, outputs, watch))
    }

    /// The predictor in use.
    fn predictor(&self) -> &dyn Inference<T> {
        match &self.integers {
            Some(integers) => &*integers.predictor,
            None => self.floats(),
        }
    }

    /// The weights packed for inference in floating point, including those that integers stand for. They are packed
    /// outside the lock: a thread that packs them on a pool may take up another prediction meanwhile, and would wait
    /// there for itself.
    pub(super) fn floats(&self) -> &Predictor<T, FloatBody<T>> {
        self.floats.get().unwrap_or_else(|| {
            let floats = match &self.integers {
                None => Predictor::of_floats(&self.weights, self.math_mode),
                Some(integers) => {
                    let weights = Weights {
                        architecture: self.weights.architecture.clone(),
                        parameters: integers.parameters(&self.weights).to_vec(),
                        running: self.weights.running.clone(),
                    };
                    Predictor::of_floats(&weights, self.math_mode)
                }
            };
            self.floats.get_or_init(|| floats)
        })
    }

    /// Extents of `images`, if the network accepts that many channels.
    pub(super) fn check(&self, images: &ArrayView4<'_, T>) -> Result<Grid> {
        let (count, channels, height, width) = images.dim();
        let wanted = self.architecture().config.in_channels;
        if channels != wanted {
            return Err(Error::Config(format!(
                "pictures have {channels} channels, but the network's in_channels is {wanted}"
            )));
        }
        if count == 0 {
            return Err(Error::Config("no pictures; at least one is needed".into()));
        }
        // In floating point such a value shows in the logits; a byte would hide it. There is no early exit: this way it
        // is fast.
        if self.integers.is_some() && !images.iter().fold(true, |all, value| all & value.f64().is_finite()) {
            return Err(Error::Config(
                "pictures contain a value that is not finite, which 8 bits cannot represent".into(),
            ));
        }
        Ok(Grid { images: count, height, width })
    }
}

/// A network's activations before the classifier.
#[derive(Clone, Debug)]
pub struct Features<T> {
    /// `(N, C)`: after the last batch-norm, its ReLU if it has one, and the global pooling; without pooling `(N, C * H
    /// * W)`. The classifier's input.
    pub pooled: Array2<T>,
    /// After each block, `(N, C, H, W)`: the concatenation of all its maps (dense), or its last map.
    pub blocks: Vec<Array4<T>>,
}

/// Copies maps, channels last, to `(N, C, H, W)`.
pub(super) fn copy_maps<T: Real>(maps: FeatureMaps<'_, T>, mut to: ArrayViewMut4<'_, T>) {
    let Grid { images, height, width } = maps.grid();
    for FeatureMap { first, channels, data } in maps.iter() {
        let map = ArrayView4::from_shape((images, height, width, channels), data).expect("a map of its extents");
        to.slice_mut(s![.., first..first + channels, .., ..]).assign(&map.permuted_axes([0, 3, 1, 2]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Method;
    use densenet_kernels::random::Stream;

    /// The network in that mode, be it fast here or not.
    fn network(preset: &str, math_mode: MathMode) -> DenseNet {
        let config = Config { input_size: 16, ..Config::preset(preset).unwrap() };
        DenseNet { math_mode, ..DenseNet::new(&config, 1).unwrap() }
    }

    #[test]
    fn products_of_bfloat16_are_near_those_of_single_precision() {
        let (stream, mut index) = (Stream::new(2, 0), 0);
        let images = Array4::from_shape_simple_fn((3, 3, 16, 16), || {
            index += 1;
            2.0 * stream.uniform(index) as f32 - 1.0
        });
        for preset in ["densenet-bc-22-12", "densenet-22-12"] {
            let [strict, rounding] = [MathMode::Strict, MathMode::Bf16].map(|mode| network(preset, mode));
            let count = |network: &DenseNet| {
                network.steps(16, 16).unwrap().iter().filter(|step| step.method == Method::Bf16).count()
            };
            assert!(count(&strict) == 0 && count(&rounding) > 0, "{preset}");
            let [strict, rounding] = [strict, rounding].map(|network| network.logits(images.view()).unwrap());
            let norm = |values: &Array2<f32>| values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let distance = norm(&(&rounding - &strict)) / norm(&strict);
            assert!(distance > 0.0 && distance < 0.02, "{preset}: {distance}");
        }
    }

    #[test]
    fn strict_products_are_always_to_be_had() {
        let network = network("densenet-bc-22-12", MathMode::Bf16);
        assert_eq!(network.with_math_mode(MathMode::Strict).math_mode(), MathMode::Strict);
    }
}
