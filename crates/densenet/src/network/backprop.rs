//! Training steps: the forward pass, the loss, and all gradients.

use densenet_kernels::isa::Dispatch;
use densenet_kernels::maps::Grid;
use ndarray::{Array2, ArrayView4};

use super::arena::Arena;
use super::block::{BlockState, Step};
use super::ends::{HeadState, StemState, loss};
use super::memory::{Memory, Plan};
use super::pre_activation::{self as pre_act, Arenas, Values};
use super::{DenseNet, in_pool};
use crate::profile::{Pass, Probe, Profile};
use crate::{Architecture, Error, Result};
use densenet_kernels::conv::Epilogue;
use densenet_kernels::norm::Mode;

/// How to take a training step's loss.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepOptions<'a> {
    /// Share of the target that is spread over all classes, from 0 to 1.
    pub label_smoothing: f64,
    /// Where dropout's masks come from; another one every step.
    pub dropout_seed: u64,
    /// What is kept for the backward pass.
    pub memory: Memory,
    /// Where the step's time goes to be told; by `stem`, `block 1`, `transition 1`, ..., `head`.
    pub profile: Option<&'a Profile>,
}

/// What a training step found.
#[derive(Clone, Debug)]
pub struct StepOutcome<T> {
    /// Mean over the batch.
    pub loss: f64,
    /// `(N, classes)`.
    pub logits: Array2<T>,
}

/// Working memory of training steps, and the gradients of the last one.
#[derive(Debug)]
pub struct Backprop<T: Dispatch = f32> {
    pub(super) gradients: Vec<T>,
    /// Sums of the gradients of a step in micro-batches.
    pub(super) accumulated: Vec<T>,
    stem: StemState<T>,
    blocks: Vec<BlockState<T>>,
    head: HeadState<T>,
    /// What [`Plan`] lays out.
    arena: Arena<T>,
    /// Gradient of the input of the block that the backward pass left last.
    passed: Vec<T>,
}

impl<T: Dispatch> Backprop<T> {
    /// Working memory for steps of `network`; it grows to the largest batch seen.
    pub fn new(network: &DenseNet<T>) -> Self {
        Self {
            gradients: vec![T::zero(); network.parameters().len()],
            accumulated: Vec::new(),
            stem: StemState::new(),
            blocks: Vec::new(),
            head: HeadState::new(),
            arena: Arena::empty(),
            passed: Vec::new(),
        }
    }

    /// Gradients of the last step, laid out as the network's parameters.
    pub fn gradients(&self) -> &[T] {
        &self.gradients
    }

    /// Forward and backward in training mode: batch-norms take the statistics of `images` `(N, C, H, W)` and move the
    /// network's running ones.
    ///
    /// # Errors
    /// Pictures that the network cannot take, labels out of range or not as many as pictures, batches with a single value a
    /// channel, which have no variance, and batches for which there is no memory.
    pub fn run(
        &mut self,
        network: &mut DenseNet<T>,
        images: ArrayView4<'_, T>,
        labels: &[u32],
        options: &StepOptions<'_>,
    ) -> Result<StepOutcome<T>> {
        let grid = network.check(&images)?;
        let labels = check_labels(network.architecture(), grid, labels)?;
        network.predictor.take();
        let images = images.as_standard_layout();
        let pixels = images.as_slice().expect("standard layout");
        let config = &network.architecture.config;
        let step = Step {
            joining: config.joining,
            drop_rate: config.drop_rate,
            dropout_seed: options.dropout_seed,
            probe: Probe::new(options.profile, "head"),
        };
        let shape = (grid.images, config.num_classes);
        let sizes = network.architecture.block_sizes(grid.height, grid.width)?;
        let plan = Plan::new(&network.architecture, grid, &sizes, options.memory);
        self.make_room(plan.len)?;
        let (loss, logits) = in_pool(|| {
            let logits = self.forward(network, &plan, (pixels, grid), &step);
            let loss = || loss(&logits, &labels, options.label_smoothing);
            let (loss, logits_gradient) = step.probe.time(Pass::Rest, 0, loss);
            self.backward(network, &plan, (pixels, grid), &step, &logits_gradient);
            (loss, logits)
        });
        Ok(StepOutcome { loss, logits: Array2::from_shape_vec(shape, logits).expect("one logit an image and class") })
    }

    /// Sees to an arena of `len` elements; what it holds is not kept.
    fn make_room(&mut self, len: usize) -> Result<()> {
        if self.arena.len() < len {
            // What is too short goes before more is taken.
            self.arena = Arena::empty();
            self.arena = Arena::zeros(len)?;
        }
        Ok(())
    }

    fn forward(&mut self, network: &mut DenseNet<T>, plan: &Plan, pictures: (&[T], Grid), step: &Step<'_>) -> Vec<T> {
        let DenseNet { architecture: arch, parameters, running, .. } = network;
        self.blocks = arch.blocks.iter().zip(&plan.blocks).map(|(b, room)| BlockState::new(b, room.clone())).collect();
        let mut layers = 0;
        for (b, block) in arch.blocks.iter().enumerate() {
            let names = (format!("transition {b}"), format!("block {}", b + 1));
            let mut values = Values { parameters, running, probe: step.probe };
            let (before, behind) = self.blocks.split_at_mut(b);
            let state = &mut behind[0];
            let (kept, arena) = self.arena.split_at_mut(state.room.start);
            let (maps, bottlenecks) = state.room.kept_parts(arena);
            let first = &mut maps[state.elements(&(0..1))];
            let moments = match before.last() {
                None => {
                    values.probe = step.probe.at("stem");
                    self.stem.forward(arch, &mut values, pictures, kept, first)
                }
                Some(before) => {
                    values.probe = step.probe.at(&names.0);
                    let transition = arch.blocks[b - 1].transition.as_ref().expect("all but the last have one");
                    let reads = before.reads(&kept[before.room.start..], before.last(step));
                    pre_act::forward(transition, &mut values, &reads, true, Epilogue::default(), first)
                }
            };
            state.statistics.push(&moments);
            values.probe = step.probe.at(&names.1);
            state.forward(block, layers, step, (maps, bottlenecks), &mut values);
            layers += block.layers.len();
        }
        let last = self.blocks.last().expect("at least one block");
        let reads = last.reads(&self.arena[last.room.start..], last.last(step));
        self.head.forward(arch, &mut Values { parameters, running, probe: step.probe }, &reads)
    }

    fn backward(
        &mut self,
        network: &DenseNet<T>,
        plan: &Plan,
        pictures: (&[T], Grid),
        step: &Step<'_>,
        logits_gradient: &[T],
    ) {
        let DenseNet { architecture: arch, parameters, .. } = network;
        let mut layers: usize = arch.blocks.iter().map(|block| block.layers.len()).sum();
        for (b, (block, state)) in arch.blocks.iter().zip(&mut self.blocks).enumerate().rev() {
            let names = (format!("transition {}", b + 1), format!("block {}", b + 1));
            let mut arenas = Arenas { parameters, gradients: &mut self.gradients, probe: step.probe };
            let mut parts = state.room.parts(&mut self.arena);
            let last = state.last(step);
            let elements = state.elements(&last);
            let reads = state.reads(parts.maps, last);
            let (first, gradient) = (reads.first, &mut parts.gradient[elements]);
            let (norm, sums) = match &block.transition {
                None => (&arch.final_norm, self.head.backward(arch, &mut arenas, &reads, logits_gradient, gradient)),
                Some(transition) => {
                    arenas.probe = step.probe.at(&names.0);
                    let target = (Mode::Set, gradient);
                    pre_act::bias_gradient(&transition.conv, arenas.gradients, None);
                    (&transition.norm, pre_act::backward(transition, &mut arenas, &reads, true, &self.passed, target))
                }
            };
            state.statistics.add_reader(first, &parameters[norm.weight.clone()], &sums);
            layers -= block.layers.len();
            arenas.probe = step.probe.at(&names.1);
            state.backward(block, layers, step, &mut arenas, &mut parts);
            self.passed.clear();
            self.passed.extend_from_slice(&parts.gradient[state.elements(&(0..1))]);
        }
        let (raw, raw_gradient) = plan.stem(&mut self.arena);
        let mut arenas = Arenas { parameters, gradients: &mut self.gradients, probe: step.probe.at("stem") };
        self.stem.backward(arch, &mut arenas, pictures, (raw, raw_gradient), &self.passed);
    }
}

/// Labels as indices, if there is one a picture and each is a class.
pub(super) fn check_labels(arch: &Architecture, grid: Grid, labels: &[u32]) -> Result<Vec<usize>> {
    let classes = arch.config.num_classes;
    if labels.len() != grid.images {
        return Err(Error::Config(format!("{} labels for {} pictures", labels.len(), grid.images)));
    }
    if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &label)| label as usize >= classes) {
        return Err(Error::Config(format!("label {i} is {label}; this network has classes 0 to {}", classes - 1)));
    }
    let (height, width) = *arch.block_sizes(grid.height, grid.width)?.last().expect("at least one block");
    if grid.images * height * width < 2 {
        let reason = "one picture leaves a single value a channel in the last block, which has no variance; \
                      train with larger batches or pictures";
        return Err(Error::PictureSize { height: grid.height, width: grid.width, reason: reason.into() });
    }
    Ok(labels.iter().map(|&label| label as usize).collect())
}
