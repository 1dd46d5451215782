//! The network on the fast operations: against the reference for every kind in `f64`, and against PyTorch.

use densenet::Architecture;
use densenet::network::{Backprop, DenseNet, Loss, Memory, StepOptions};
use densenet::reference::{self, Batch, Step, Training};
use densenet_kernels::Real;
use ndarray::{Array2, ArrayView4};

use crate::differences::{LABELS, TRAINING, example, examples, other_running, random};
use crate::distance::distance;
use crate::golden::{Golden, Network};
use crate::sets::on_every_set;

struct Fast(Memory);

impl<T: Real> Network<T> for Fast {
    fn logits(&self, arch: &Architecture, parameters: &[T], running: &[T], batch: &Batch<'_, T>) -> Vec<T> {
        let network = DenseNet::from_arenas(&arch.config, parameters.to_vec(), running.to_vec()).unwrap();
        network.logits(view(batch)).unwrap().into_raw_vec_and_offset().0
    }

    fn train(
        &self,
        arch: &Architecture,
        parameters: &[T],
        running: &mut [T],
        batch: &Batch<'_, T>,
        training: Training,
    ) -> Step<T> {
        let mut network = DenseNet::from_arenas(&arch.config, parameters.to_vec(), running.to_vec()).unwrap();
        let mut backprop = Backprop::new(&network);
        let labels: Vec<u32> = batch.labels.iter().map(|&label| label as u32).collect();
        let Training { label_smoothing, dropout_seed } = training;
        let loss = Loss::CrossEntropy { label_smoothing, class_weights: None };
        let options = StepOptions { loss, dropout_seed, memory: self.0, ..StepOptions::default() };
        let outcome = backprop.run(&mut network, view(batch), &labels, &options).unwrap();
        running.copy_from_slice(network.running());
        Step {
            logits: outcome.logits.into_raw_vec_and_offset().0,
            loss: T::of(outcome.loss),
            gradients: backprop.gradients().to_vec(),
        }
    }
}

fn view<'a, T>(batch: &Batch<'a, T>) -> ArrayView4<'a, T> {
    let shape = batch.shape;
    ArrayView4::from_shape((shape.n, shape.c, shape.h, shape.w), batch.images).unwrap()
}

fn assert_near(what: &str, ours: &[f64], theirs: &[f64]) {
    let distance = distance(ours.iter().copied(), theirs, 1e-3);
    assert!(distance <= 1e-11, "{what} is {distance:.1e} from the reference");
}

/// Shared statistics and the single correction are the textbook's two passes at every reader.
#[test]
fn every_kind_equals_the_textbook_form() {
    for (kind, config, size) in examples() {
        let (arch, parameters, running, shape, images) = example(&config, size);
        let batch = Batch { shape, images: &images, labels: &LABELS };
        let expected = reference::forward(&arch, &parameters, &running, shape, &images).unwrap();
        assert_near(
            &format!("{kind}: logits"),
            &Fast(Memory::Normal).logits(&arch, &parameters, &running, &batch),
            &expected,
        );
        let mut theirs = running.clone();
        let expected = reference::train(&arch, &parameters, &mut theirs, &batch, TRAINING).unwrap();
        for memory in [Memory::Normal, Memory::Low] {
            let (kind, mut ours) = (format!("{kind}, {memory:?}"), running.clone());
            let step = Fast(memory).train(&arch, &parameters, &mut ours, &batch, TRAINING);
            assert_near(&format!("{kind}: training logits"), &step.logits, &expected.logits);
            assert_near(&format!("{kind}: loss"), &[step.loss], &[expected.loss]);
            assert_near(&format!("{kind}: running statistics"), &ours, &theirs);
            for tensor in &arch.parameters {
                let range = tensor.range.clone();
                let what = format!("{kind}: gradient of {}", tensor.name);
                assert_near(&what, &step.gradients[range.clone()], &expected.gradients[range]);
            }
        }
    }
}

/// Gradients of inference, of the pictures and of every block's maps, whose values are those of the forward pass.
#[test]
fn gradients_of_inference_equal_the_textbook_form() {
    for (kind, config, size) in examples() {
        let (arch, parameters, running, shape, images) = example(&config, size);
        let running = other_running(&running);
        let dlogits: Vec<f64> = random(3).take(shape.n * config.num_classes).collect();
        let expected = reference::gradients(&arch, &parameters, &running, shape, &images, &dlogits).unwrap();
        let maps = reference::block_maps(&arch, &parameters, &running, shape, &images).unwrap();
        let network = DenseNet::from_arenas(&config, parameters, running).unwrap();
        let images = view(&Batch { shape, images: &images, labels: &LABELS });
        let dlogits = Array2::from_shape_vec((shape.n, config.num_classes), dlogits).unwrap();
        let found = network.image_gradients(images, dlogits.view()).unwrap();
        assert_near(&format!("{kind}: gradient of the pictures"), found.as_slice().unwrap(), &expected.images);
        for (block, expected) in expected.blocks.iter().enumerate() {
            let found = network.block_gradients(images, dlogits.view(), block).unwrap();
            let what = format!("{kind}: gradient of block {block}");
            assert_near(&what, found.gradients.as_slice().unwrap(), expected);
            let activated = block + 1 == arch.blocks.len();
            let maps = match activated {
                true => network.logits_and_activations(images).unwrap().1.into_raw_vec_and_offset().0,
                false => maps[block].1.clone(),
            };
            assert_near(&format!("{kind}: maps of block {block}"), found.maps.as_slice().unwrap(), &maps);
        }
    }
}

#[test]
fn gradients_that_there_are_not_are_refused() {
    let (_, config, size) = examples().swap_remove(0);
    let (_, parameters, running, shape, images) = example(&config, size);
    let images = view(&Batch { shape, images: &images, labels: &LABELS });
    let network = DenseNet::from_arenas(&config, parameters, running).unwrap();
    let dlogits = Array2::zeros((shape.n, config.num_classes));
    let error = network.block_gradients(images, dlogits.view(), 2).unwrap_err().to_string();
    assert!(error.contains("block 2 of 2"), "{error}");
    let error = network.image_gradients(images, dlogits.slice(ndarray::s![.., 1..])).unwrap_err().to_string();
    assert!(error.contains("gradients of (3, 3) logits; the logits are (3, 4)"), "{error}");
}

#[test]
fn small_bc() {
    Golden::small_bc().assert_step::<f64>(1e-9, &Fast(Memory::Normal));
    Golden::small_bc().assert_ten_steps::<f64>(1e-9, &Fast(Memory::Normal));
    on_every_set(|| {
        Golden::small_bc().assert_step::<f32>(1e-4, &Fast(Memory::Normal));
        Golden::small_bc().assert_ten_steps::<f32>(1e-4, &Fast(Memory::Normal));
    });
}

#[test]
fn article() {
    Golden::article().assert_step::<f64>(1e-9, &Fast(Memory::Normal));
    Golden::article().assert_ten_steps::<f64>(1e-9, &Fast(Memory::Normal));
    on_every_set(|| {
        Golden::article().assert_step::<f32>(1e-4, &Fast(Memory::Normal));
        Golden::article().assert_ten_steps::<f32>(1e-4, &Fast(Memory::Normal));
    });
}

#[test]
fn other_stems_and_heads() {
    for golden in [Golden::flat(), Golden::maxima()] {
        golden.assert_step::<f64>(1e-9, &Fast(Memory::Normal));
        golden.assert_ten_steps::<f64>(1e-9, &Fast(Memory::Low));
        on_every_set(|| {
            golden.assert_step::<f32>(1e-4, &Fast(Memory::Normal));
            golden.assert_ten_steps::<f32>(1e-4, &Fast(Memory::Normal));
        });
    }
}
