//! The network in its textbook form, against which the fast one is checked: real concatenation, a two-pass batch-norm
//! at every reader, nothing shared, everything kept. It is generic so that it can be checked in `f64`.

mod backward;
mod forward;
#[cfg(test)]
mod tests;
mod types;

use densenet_kernels::Scalar;
use densenet_kernels::loss::one_hot;
use densenet_kernels::reference::{Shape4, cross_entropy};

use crate::{Architecture, Result};
use backward::Backward;
pub use backward::Gradients;
use forward::{Forward, Mode};
pub use types::Batch;

/// Options of a training step.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// From 0 (none) to 1.
    pub label_smoothing: f64,
    /// Seed of the dropout masks; the layer's number, counted over the whole network from 0, is the stream.
    pub dropout_seed: u64,
}

/// The result of a training step.
#[derive(Clone, Debug)]
pub struct Step<T> {
    /// `(N, classes)`.
    pub logits: Vec<T>,
    /// Mean loss over the batch.
    pub loss: T,
    /// Gradients of every parameter, in the order of the parameter arena.
    pub gradients: Vec<T>,
}

/// Logits `(N, classes)` for `images` `(N, C, H, W)` of `shape` in inference, where batch-norms use the `running`
/// statistics. Panics if the lengths of the slices do not fit `arch` and `shape`.
///
/// # Errors
/// A picture size that the network cannot take, or a network without a classifier.
pub fn forward<T: Scalar>(
    arch: &Architecture,
    parameters: &[T],
    running: &[T],
    shape: Shape4,
    images: &[T],
) -> Result<Vec<T>> {
    arch.check_classifier()?;
    check(arch, parameters, running, shape, images)?;
    Ok(Forward::new(arch, parameters, Mode::Inference { running }).logits(shape, images))
}

/// The input of the classifier in [`forward`], `(N, features)`.
///
/// # Errors
/// A picture size that the network cannot take.
pub fn features<T: Scalar>(
    arch: &Architecture,
    parameters: &[T],
    running: &[T],
    shape: Shape4,
    images: &[T],
) -> Result<Vec<T>> {
    check(arch, parameters, running, shape, images)?;
    Ok(Forward::new(arch, parameters, Mode::Inference { running }).features(shape, images))
}

/// The output of each block in [`forward`], before any transition: its shape and its values.
///
/// # Errors
/// A picture size that the network cannot take.
pub fn block_maps<T: Scalar>(
    arch: &Architecture,
    parameters: &[T],
    running: &[T],
    shape: Shape4,
    images: &[T],
) -> Result<Vec<(Shape4, Vec<T>)>> {
    check(arch, parameters, running, shape, images)?;
    let mut forward = Forward::new(arch, parameters, Mode::Inference { running });
    forward.features(shape, images);
    let transitions = arch.blocks.iter().filter_map(|block| block.transition.as_ref());
    let readers: Vec<&str> =
        transitions.map(|transition| &transition.norm).chain([&arch.final_norm]).map(|norm| &*norm.name).collect();
    let inputs = arch.norms().zip(forward.tape.inputs).filter(|(norm, _)| readers.contains(&&*norm.name));
    Ok(inputs.map(|(_, map)| (map.shape, map.values)).collect())
}

/// The gradients of the sum of `dlogits` times the logits, both `(N, classes)`, in inference, where batch-norms use the
/// `running` statistics. Panics if the lengths of the slices do not fit `arch` and `shape`.
///
/// # Errors
/// A picture size that the network cannot take, or a network without a classifier.
pub fn gradients<T: Scalar>(
    arch: &Architecture,
    parameters: &[T],
    running: &[T],
    shape: Shape4,
    images: &[T],
    dlogits: &[T],
) -> Result<Gradients<T>> {
    arch.check_classifier()?;
    check(arch, parameters, running, shape, images)?;
    let mut forward = Forward::new(arch, parameters, Mode::Inference { running });
    let logits = forward.logits(shape, images);
    assert_eq!(logits.len(), dlogits.len(), "gradients of the logits");
    let backward = Backward::new(arch, parameters, forward.tape, backward::Mode::Inference { running });
    Ok(backward.gradients(shape, images, dlogits))
}

/// Logits, loss and gradients of a training step, where batch-norms use the batch's statistics and update the `running`
/// ones. Panics if the lengths of the slices do not fit `arch` and the batch, or labels are out of range.
///
/// # Errors
/// A picture size that the network cannot take, or a network without a classifier.
pub fn train<T: Scalar>(
    arch: &Architecture,
    parameters: &[T],
    running: &mut [T],
    batch: &Batch<'_, T>,
    training: Training,
) -> Result<Step<T>> {
    arch.check_classifier()?;
    check(arch, parameters, running, batch.shape, batch.images)?;
    assert_eq!(batch.labels.len(), batch.shape.n, "labels and pictures differ in number");
    assert!(batch.labels.iter().all(|&label| label < arch.config.num_classes), "a label is out of range");
    let Training { label_smoothing, dropout_seed } = training;
    let mut forward = Forward::new(arch, parameters, Mode::Training { running, dropout_seed });
    let logits = forward.logits(batch.shape, batch.images);
    let classes = arch.config.num_classes;
    let targets = one_hot(batch.labels, classes);
    let loss = cross_entropy::forward(&logits, &targets, classes, label_smoothing, None);
    let dlogits = cross_entropy::backward(&logits, &targets, classes, label_smoothing, None);
    let mode = backward::Mode::Training { dropout_seed };
    let backward = Backward::new(arch, parameters, forward.tape, mode);
    let gradients = backward.gradients(batch.shape, batch.images, &dlogits).parameters;
    Ok(Step { logits, loss, gradients })
}

fn check<T>(arch: &Architecture, parameters: &[T], running: &[T], shape: Shape4, images: &[T]) -> Result<()> {
    assert_eq!(parameters.len(), arch.num_parameters(), "parameters");
    assert_eq!(running.len(), arch.num_running(), "running statistics");
    assert_eq!(shape.c, arch.config.in_channels, "channels of the pictures");
    assert_eq!(images.len(), shape.len(), "values of the pictures");
    arch.block_sizes(shape.h, shape.w).map(|_| ())
}
