//! What a network gives before it classifies.

use densenet::config::HeadPool;
use densenet::network::{Backprop, Features, StepOptions};
use densenet::{Architecture, Config, DenseNet, reference};
use densenet_kernels::reference::Shape4;
use ndarray::{Array2, Array4, ArrayView1, ArrayView2, Axis, s};

use crate::distance::distance;
use crate::kinds::size;
use crate::made_up::{Values, pictures, small};

const TOLERANCE: f64 = 1e-11;

#[test]
fn maps_after_each_block_are_the_references() {
    for (kind, config) in small() {
        let values = Values::new(&config);
        let (height, width) = size(&config, (43, 38));
        let shape = Shape4::new(3, config.in_channels, height, width);
        let images = pictures(shape);
        let found = values.network::<f64>().features(images.view()).unwrap();
        let Values { arch, parameters, running } = &values;
        let expected = reference::block_maps(arch, parameters, running, shape, images.as_slice().unwrap()).unwrap();
        assert_eq!(found.blocks.len(), expected.len(), "{kind}");
        for (i, (map, (shape, expected))) in found.blocks.iter().zip(&expected).enumerate() {
            assert_eq!(map.dim(), (shape.n, shape.c, shape.h, shape.w), "{kind}: block {}", i + 1);
            let distance = distance(map.iter().copied(), expected, 0.0);
            assert!(distance < TOLERANCE, "{kind}: block {} is {distance:.1e} from the reference", i + 1);
        }
    }
}

#[test]
fn the_embedding_is_the_pooled_last_map_and_what_the_classifier_reads() {
    for (kind, config) in small() {
        let values = Values::new(&config);
        let (height, width) = size(&config, (43, 38));
        let images = pictures(Shape4::new(3, config.in_channels, height, width));
        let network = values.network::<f64>();
        let found = network.features(images.view()).unwrap();
        let distance_to = |what: &str, ours: &Array2<f64>, theirs: &Array2<f64>| {
            let distance = distance(ours.iter().copied(), theirs.as_slice().unwrap(), 0.0);
            assert!(distance < TOLERANCE, "{kind}: {what} is {distance:.1e} from what it should be");
        };
        distance_to("the embedding", &found.pooled, &pooled(&values, &found));
        let logits = network.logits(images.view()).unwrap();
        distance_to("the classifier's output", &classified(&values, &found.pooled), &logits);
    }
}

/// The last map after batch-norm, ReLU if there is one, and the pooling.
fn pooled(values: &Values, features: &Features<f64>) -> Array2<f64> {
    let Values { arch: Architecture { config, final_norm: norm, .. }, parameters, running } = values;
    let last = features.blocks.last().unwrap();
    let (images, channels, height, width) = last.dim();
    let normalised = Array4::from_shape_fn(last.dim(), |(image, c, y, x)| {
        let at = |range: &std::ops::Range<usize>, arena: &[f64]| arena[range.start + c];
        let scale = at(&norm.weight, parameters) / (at(&norm.variance, running) + 1e-5).sqrt();
        let (mean, shift) = (at(&norm.mean, running), at(&norm.bias, parameters));
        let floor = if config.final_relu { 0.0 } else { f64::NEG_INFINITY };
        ((last[[image, c, y, x]] - mean) * scale + shift).max(floor)
    });
    let pixels = normalised.into_shape_with_order((images, channels, height * width)).unwrap();
    match config.head_pool {
        HeadPool::Average => pixels.mean_axis(Axis(2)).unwrap(),
        HeadPool::Max => pixels.fold_axis(Axis(2), f64::NEG_INFINITY, |most, &value| most.max(value)),
        HeadPool::None => pixels.into_shape_with_order((images, channels * height * width)).unwrap(),
    }
}

/// What the linear layers make.
fn classified(values: &Values, pooled: &Array2<f64>) -> Array2<f64> {
    let Values { arch, parameters, .. } = values;
    arch.classifier.iter().fold(pooled.clone(), |x, layer| {
        let shape = (layer.out_features, layer.in_features);
        let weight = ArrayView2::from_shape(shape, &parameters[layer.weight.clone()]).unwrap();
        let y = x.dot(&weight.t()) + ArrayView1::from(&parameters[layer.bias.clone()]);
        if layer.relu { y.mapv(|value| value.max(0.0)) } else { y }
    })
}

/// A network without a classifier makes the features that it makes with one, and says what it lacks where logits are asked
/// for.
#[test]
fn a_backbone_makes_features_and_no_logits() {
    for head_pool in HeadPool::ALL {
        let (_, config) = small().swap_remove(0);
        let whole = Values::new(&Config { head_pool, ..config });
        let config = Config { num_classes: 0, ..whole.arch.config.clone() };
        let parameters = whole.arch.classifier[0].weight.start;
        let (parameters, running) = (whole.parameters[..parameters].to_vec(), whole.running.clone());
        let mut backbone = DenseNet::from_arenas(&config, parameters, running).unwrap();
        let images = pictures(Shape4::new(3, config.in_channels, 24, 24));
        let (found, expected) =
            (backbone.features(images.view()).unwrap(), whole.network::<f64>().features(images.view()).unwrap());
        assert_eq!((&found.pooled, &found.blocks), (&expected.pooled, &expected.blocks));
        let Values { arch, parameters, running } = &whole;
        let shape = Shape4::new(3, config.in_channels, 24, 24);
        let expected = reference::features(arch, parameters, running, shape, images.as_slice().unwrap()).unwrap();
        let distance = distance(found.pooled.iter().copied(), &expected, 0.0);
        assert!(distance < TOLERANCE, "{head_pool}: the embedding is {distance:.1e} from the reference");
        assert_eq!(backbone.steps(24, 24).unwrap().last().unwrap().name, "features.norm5");
        let step = Backprop::new(&backbone).run(&mut backbone, images.view(), &[0; 3], &StepOptions::default());
        for error in [backbone.logits(images.view()).unwrap_err(), step.unwrap_err()] {
            assert!(error.to_string().contains("no classifier (num_classes is 0)"), "{error}");
        }
    }
}

/// Blocks take as many pictures at a time as fit the cache: of these the first takes one, the second six, the last all.
#[test]
fn a_batch_answers_as_its_pictures_do_one_by_one() {
    let (_, config) = small().swap_remove(0);
    let network = Values::new(&config).network::<f32>();
    let images = pictures(Shape4::new(9, config.in_channels, 190, 188)).mapv(|value| value as f32);
    let together = network.features(images.view()).unwrap();
    let logits = network.logits(images.view()).unwrap();
    for i in 0..images.dim().0 {
        let image = images.slice(s![i..=i, .., .., ..]);
        let alone = network.features(image).unwrap();
        assert_eq!(alone.pooled.row(0), together.pooled.row(i), "picture {i}");
        assert_eq!(network.logits(image).unwrap().row(0), logits.row(i), "picture {i}");
        for (alone, together) in alone.blocks.iter().zip(&together.blocks) {
            assert_eq!(alone.slice(s![0, .., .., ..]), together.slice(s![i, .., .., ..]), "picture {i}");
        }
    }
}

#[test]
fn pictures_and_room_of_the_wrong_shape() {
    let (_, config) = small().swap_remove(0);
    let network = Values::new(&config).network::<f32>();
    let images = |n, c, h| pictures(Shape4::new(n, c, h, 20)).mapv(|value| value as f32);
    let error = |n, c, h| network.features(images(n, c, h).view()).unwrap_err().to_string();
    assert!(error(1, 3, 20).contains("3 channels, but the network's in_channels is 2"), "{}", error(1, 3, 20));
    assert!(error(0, 2, 20).contains("no pictures"), "{}", error(0, 2, 20));
    assert!(error(1, 2, 3).contains("smallest picture"), "{}", error(1, 2, 3));
    let mut room = Array2::zeros((2, 4));
    let error = network.logits_into(images(2, 2, 20).view(), room.view_mut()).unwrap_err().to_string();
    assert!(error.contains("(2, 4)") && error.contains("(2, 5)"), "{error}");
    let mut room = Array2::zeros((5, 2));
    assert!(network.logits_into(images(2, 2, 20).view(), room.view_mut().reversed_axes()).is_err());
}
