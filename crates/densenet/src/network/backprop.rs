//! Training steps: the forward pass, the loss, and all gradients.

use densenet_kernels::batch_norm::Write;
use densenet_kernels::conv::Epilogue;
use densenet_kernels::loss::Loss;
use densenet_kernels::{Grid, Pooling, Real};
use ndarray::{Array2, ArrayView2, ArrayView4, CowArray, Ix4};

use super::arena::Arena;
use super::block::{BlockState, Step};
use super::densenet::DenseNet;
use super::head::HeadState;
use super::memory::{Memory, Plan};
use super::pool::in_pool;
use super::pre_activation::{self, BackwardArenas, ForwardArenas, store_bias_gradient};
use super::stem::{Pictures, StemState};
use super::step_targets::StepTargets;
use super::sum::copy;
use crate::profile::{Pass, Probe, Profile};
use crate::{Architecture, Config, Error, Result};

/// Options of a training step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepOptions<'a> {
    /// The loss to minimise.
    pub loss: Loss<'a>,
    /// Seed of dropout's masks; use another one every step.
    pub dropout_seed: u64,
    /// What is kept for the backward pass.
    pub memory: Memory,
    /// Whether the backward pass ends at the classifier: all gradients before it are 0.
    pub classifier_only: bool,
    /// Records the step's time as `stem`, `block 1`, `transition 1`, ..., `head`.
    pub profile: Option<&'a Profile>,
}

/// The result of a training step.
#[derive(Clone, Debug)]
pub struct StepOutcome<T> {
    /// Mean loss over the batch.
    pub loss: f64,
    /// `(N, classes)`.
    pub logits: Array2<T>,
}

/// What a step works with.
struct StepPass<'a, T> {
    plan: Plan,
    pictures: Pictures<'a, T>,
    step: Step<'a>,
}

/// Working memory for training steps, and the gradients of the last one.
#[derive(Debug)]
pub struct Backprop<T: Real = f32> {
    pub(super) gradients: Vec<T>,
    /// The accumulated gradients of a step in micro-batches.
    pub(super) accumulated: Vec<T>,
    stem: StemState<T>,
    blocks: Vec<BlockState<T>>,
    pub(super) head: HeadState<T>,
    /// The memory that [`Plan`] lays out.
    arena: Arena<T>,
    /// Gradient of the input of the block that the backward pass last finished.
    block_input_gradient: Vec<T>,
}

impl<T: Real> Backprop<T> {
    /// Working memory for steps of `network`; it grows with the largest batch so far.
    pub fn new(network: &DenseNet<T>) -> Self {
        Self {
            gradients: vec![T::zero(); network.parameters().len()],
            accumulated: Vec::new(),
            stem: StemState::new(),
            blocks: Vec::new(),
            head: HeadState::new(),
            arena: Arena::empty(),
            block_input_gradient: Vec::new(),
        }
    }

    /// Gradients of the last step, laid out like the network's parameters.
    pub fn gradients(&self) -> &[T] {
        &self.gradients
    }

    /// Runs forward and backward in training mode: batch-norms use the statistics of `images` `(N, C, H, W)` and update
    /// the network's running statistics. `targets` are classes, `(N)`, or the loss's target for each, `(N, classes)`.
    ///
    /// # Errors
    /// Pictures that the network cannot take; targets that are out of range or do not match the number of pictures;
    /// batches with a single value per channel, which has no variance; batches for which there is not enough memory; a
    /// network without a classifier.
    pub fn run<'a>(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        targets: impl Into<StepTargets<'a, T>>,
        options: &StepOptions<'_>,
    ) -> Result<StepOutcome<T>> {
        let grid = network.check(&images)?;
        let targets = targets.into().checked(network.architecture(), grid)?;
        self.run_checked(network, images, &targets, options)
    }

    /// [`Backprop::run`] with `targets` `(N, classes)` that have already been checked.
    pub(super) fn run_checked(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        targets: &[T],
        options: &StepOptions<'_>,
    ) -> Result<StepOutcome<T>> {
        let images = images.as_standard_layout();
        let pass = self.pass(network, &images, options)?;
        let shape = (pass.pictures.grid.images, network.architecture().config.num_classes);
        let (loss, logits) = in_pool(|| {
            let logits = self.forward(network, &pass);
            let loss = || options.loss.evaluate(&logits, targets, shape.1);
            let (loss, dlogits) = pass.step.probe.time(Pass::Rest, 0, loss);
            match options.classifier_only {
                true => self.classifier_backward(network, &dlogits, pass.step.probe),
                false => self.backward(network, &pass, &dlogits),
            }
            (loss.f64(), logits)
        });
        Ok(StepOutcome { loss, logits: Array2::from_shape_vec(shape, logits).expect("one logit an image and class") })
    }

    /// The forward pass of [`Backprop::run`], for a loss that is computed elsewhere: the logits `(N, classes)`, or for
    /// a backbone, which has no classifier, the features `(N, C)`. What [`Backprop::run_backward`] needs is kept until
    /// the next pass; the loss in `options` is ignored.
    ///
    /// # Errors
    /// Those of [`Backprop::run`], except for targets and the lack of a classifier.
    pub fn run_forward(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        options: &StepOptions<'_>,
    ) -> Result<Array2<T>> {
        let images = images.as_standard_layout();
        let pass = self.pass(network, &images, options)?;
        let outputs = in_pool(|| self.forward(network, &pass));
        let shape = (pass.pictures.grid.images, network.architecture().num_outputs());
        Ok(Array2::from_shape_vec(shape, outputs).expect("a row an image"))
    }

    /// The backward pass for a [`Backprop::run_forward`] with the same `network`, `images` and `options`:
    /// [`Backprop::gradients`] become those of the sum of `doutputs` times the outputs.
    ///
    /// # Errors
    /// Those of [`Backprop::run_forward`], `doutputs` whose shape is not that of the outputs, or no preceding forward
    /// pass on as many pictures of that size.
    pub fn run_backward(
        &mut self,
        network: &DenseNet<T>,
        images: ArrayView4<'_, T>,
        doutputs: ArrayView2<'_, T>,
        options: &StepOptions<'_>,
    ) -> Result<()> {
        let images = images.as_standard_layout();
        let pass = self.pass(network, &images, options)?;
        let wanted = (pass.pictures.grid.images, network.architecture().num_outputs());
        if doutputs.dim() != wanted {
            return Err(Error::Config(format!(
                "gradients of {:?} outputs; the outputs are {wanted:?}",
                doutputs.dim()
            )));
        }
        if !self.blocks.iter().map(|state| &state.room).eq(&pass.plan.blocks) {
            let Grid { images, height, width } = pass.pictures.grid;
            let reason = format!("a backward pass of {images} pictures of {height}x{width} without its forward pass");
            return Err(Error::Config(reason));
        }
        let doutputs = doutputs.as_standard_layout();
        let doutputs = doutputs.as_slice().expect("standard layout");
        in_pool(|| match options.classifier_only {
            true => self.classifier_backward(network, doutputs, pass.step.probe),
            false => self.backward(network, &pass, doutputs),
        });
        Ok(())
    }

    /// What a step of `network` on `images` works with, once there is memory for it.
    fn pass<'a>(
        &mut self,
        network: &DenseNet<T>,
        images: &'a CowArray<'_, T, Ix4>,
        options: &StepOptions<'a>,
    ) -> Result<StepPass<'a, T>> {
        let grid = network.check(&images.view())?;
        let arch = network.architecture();
        check_variance(arch, grid)?;
        let Config { joining, drop_rate, .. } = arch.config;
        let probe = Probe::new(options.profile, "head");
        let step = Step { joining, drop_rate, dropout_seed: options.dropout_seed, probe };
        let sizes = arch.block_sizes(grid.height, grid.width)?;
        let plan = Plan::new(arch, grid, &sizes, options.memory);
        self.make_room(plan.len)?;
        Ok(StepPass { plan, pictures: Pictures { data: images.as_slice().expect("standard layout"), grid }, step })
    }

    /// Makes the arena at least `len` elements long; its content may be lost.
    fn make_room(&mut self, len: usize) -> Result<()> {
        if self.arena.len() < len {
            // Memory that is too short is released before more is allocated.
            self.blocks.clear();
            self.arena = Arena::empty();
            self.arena = Arena::zeros(len)?;
        }
        Ok(())
    }

    fn forward(&mut self, network: &mut DenseNet<T>, pass: &StepPass<'_, T>) -> Vec<T> {
        let StepPass { plan, pictures, step } = pass;
        let (arch, parameters, running) = network.training_arenas();
        self.blocks = arch.blocks.iter().zip(&plan.blocks).map(|(b, room)| BlockState::new(b, room.clone())).collect();
        let stages = Stages::new(arch);
        let mut arenas = ForwardArenas { parameters, running, probe: step.probe };
        let mut layers = 0;
        for (b, block) in arch.blocks.iter().enumerate() {
            let (before, rest) = self.blocks.split_at_mut(b);
            let state = &mut rest[0];
            let (kept, arena) = self.arena.split_at_mut(state.room.start);
            let (maps, bottlenecks) = state.room.kept_parts(arena);
            let first = &mut maps[state.elements(&(0..1))];
            let moments = match before.last() {
                None => {
                    arenas.probe = step.probe.at("stem");
                    self.stem.forward(arch, &mut arenas, *pictures, kept, first)
                }
                Some(before) => {
                    arenas.probe = step.probe.at(&stages.transitions[b - 1]);
                    let transition = arch.blocks[b - 1].transition.as_ref().expect("all but the last have one");
                    let reads = before.reads(&kept[before.room.start..], before.last(step), Pooling::Average2x2);
                    pre_activation::forward(transition, &mut arenas, &reads, Epilogue::default(), first)
                }
            };
            state.statistics.push(&moments);
            arenas.probe = step.probe.at(&stages.blocks[b]);
            state.forward(block, layers, step, maps, bottlenecks, &mut arenas);
            layers += block.layers.len();
        }
        let last = self.blocks.last().expect("at least one block");
        let reads = last.reads(&self.arena[last.room.start..], last.last(step), Pooling::None);
        arenas.probe = step.probe;
        self.head.forward(arch, &mut arenas, &reads)
    }

    fn backward(&mut self, network: &DenseNet<T>, pass: &StepPass<'_, T>, dlogits: &[T]) {
        let StepPass { plan, pictures, step } = pass;
        let (arch, parameters) = (network.architecture(), network.parameters());
        let stages = Stages::new(arch);
        let mut arenas = BackwardArenas { parameters, gradients: &mut self.gradients, probe: step.probe };
        let mut layers: usize = arch.blocks.iter().map(|block| block.layers.len()).sum();
        for (b, (block, state)) in arch.blocks.iter().zip(&mut self.blocks).enumerate().rev() {
            let mut parts = state.room.parts(&mut self.arena);
            let last = state.last(step);
            let elements = state.elements(&last);
            let pooling = if block.transition.is_some() { Pooling::Average2x2 } else { Pooling::None };
            let reads = state.reads(parts.maps, last, pooling);
            let (first, dx) = (reads.first, &mut parts.dx[elements]);
            let (norm, sums) = match &block.transition {
                None => (&arch.final_norm, self.head.backward(arch, &mut arenas, &reads, dlogits, dx)),
                Some(transition) => {
                    arenas.probe = step.probe.at(&stages.transitions[b]);
                    store_bias_gradient(&transition.conv, arenas.gradients, None);
                    let (dy, write) = (&self.block_input_gradient, Write::Overwrite);
                    (&transition.norm, pre_activation::backward(transition, &mut arenas, &reads, dy, write, dx))
                }
            };
            state.statistics.add_reader(first, &parameters[norm.weight.clone()], &sums);
            layers -= block.layers.len();
            arenas.probe = step.probe.at(&stages.blocks[b]);
            state.backward(block, layers, step, &mut arenas, &mut parts);
            copy(&mut self.block_input_gradient, &parts.dx[state.elements(&(0..1))]);
        }
        let (raw, raw_gradient) = plan.stem(&mut self.arena);
        arenas.probe = step.probe.at("stem");
        self.stem.backward(arch, &mut arenas, *pictures, raw, raw_gradient, &self.block_input_gradient);
    }
}

/// Names of the stages whose times are recorded.
struct Stages {
    blocks: Vec<String>,
    transitions: Vec<String>,
}

impl Stages {
    fn new(arch: &Architecture) -> Self {
        let names = |stage: &str| (1..=arch.blocks.len()).map(|number| format!("{stage} {number}")).collect();
        Self { blocks: names("block"), transitions: names("transition") }
    }
}

/// Rejects batches with a single value per channel.
fn check_variance(arch: &Architecture, grid: Grid) -> Result<()> {
    let (height, width) = *arch.block_sizes(grid.height, grid.width)?.last().expect("at least one block");
    if grid.images * height * width < 2 {
        let reason = "one picture leaves a single value per channel in the last block, which has no variance; \
                      train with larger batches or pictures";
        return Err(Error::PictureSize { height: grid.height, width: grid.width, reason: reason.into() });
    }
    Ok(())
}
