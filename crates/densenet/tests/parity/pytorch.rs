//! The reference network against PyTorch: 1e-9 in `f64`, 1e-4 in `f32`.

use densenet::reference;
use densenet_kernels::Element;

use crate::golden::Golden;

fn hold_step<T: Element>(golden: &Golden, tolerance: f64) {
    let (parameters, mut running) = (golden.parameters::<T>(), golden.running());
    let (images, labels) = (golden.images(golden.first), golden.labels(golden.first));
    let logits = reference::forward(&golden.arch, &parameters, &running, golden.shape, &images).unwrap();
    golden.assert_inference(&logits, tolerance);
    let batch = reference::Batch { shape: golden.shape, images: &images, labels: &labels };
    let step = reference::train(&golden.arch, &parameters, &mut running, &batch, golden.training).unwrap();
    golden.assert_training(&step, &running, tolerance);
}

fn hold_ten_steps<T: Element>(golden: &Golden, tolerance: f64) {
    golden.assert_ten_steps::<T>(tolerance, |parameters, running, batch| {
        reference::train(&golden.arch, parameters, running, batch, golden.training).unwrap()
    });
}

#[test]
fn small_bc() {
    hold_step::<f64>(&Golden::small_bc(), 1e-9);
    hold_step::<f32>(&Golden::small_bc(), 1e-4);
}

#[test]
fn small_bc_ten_steps() {
    hold_ten_steps::<f64>(&Golden::small_bc(), 1e-9);
    hold_ten_steps::<f32>(&Golden::small_bc(), 1e-4);
}

#[test]
fn article() {
    hold_step::<f64>(&Golden::article(), 1e-9);
    hold_step::<f32>(&Golden::article(), 1e-4);
}

#[test]
fn article_ten_steps() {
    hold_ten_steps::<f64>(&Golden::article(), 1e-9);
}
