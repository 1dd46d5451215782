//! The reference network against PyTorch: 1e-9 in `f64`, 1e-4 in `f32`.

use densenet::Architecture;
use densenet::reference::{self, Batch, Step, Training};
use densenet_kernels::Scalar;

use crate::golden::{Golden, Network};

struct Reference;

impl<T: Scalar> Network<T> for Reference {
    fn logits(&self, arch: &Architecture, parameters: &[T], running: &[T], batch: &Batch<'_, T>) -> Vec<T> {
        reference::forward(arch, parameters, running, batch.shape, batch.images).unwrap()
    }

    fn train(
        &self,
        arch: &Architecture,
        parameters: &[T],
        running: &mut [T],
        batch: &Batch<'_, T>,
        training: Training,
    ) -> Step<T> {
        reference::train(arch, parameters, running, batch, training).unwrap()
    }
}

#[test]
fn small_bc() {
    Golden::small_bc().assert_step::<f64>(1e-9, &Reference);
    Golden::small_bc().assert_step::<f32>(1e-4, &Reference);
}

#[test]
fn small_bc_ten_steps() {
    Golden::small_bc().assert_ten_steps::<f64>(1e-9, &Reference);
    Golden::small_bc().assert_ten_steps::<f32>(1e-4, &Reference);
}

#[test]
fn article() {
    Golden::article().assert_step::<f64>(1e-9, &Reference);
    // One pre-activation of this batch is within the rounding of its plain sums, see `networks.py`.
    Golden::article().assert_step::<f32>(1e-3, &Reference);
}

#[test]
fn article_ten_steps() {
    Golden::article().assert_ten_steps::<f64>(1e-9, &Reference);
}

#[test]
fn other_stems_and_heads() {
    for golden in [Golden::flat(), Golden::maxima()] {
        golden.assert_step::<f64>(1e-9, &Reference);
        golden.assert_step::<f32>(1e-4, &Reference);
        golden.assert_ten_steps::<f64>(1e-9, &Reference);
    }
}
