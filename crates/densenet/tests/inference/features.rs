//! What a network gives before it classifies.

use densenet::network::Features;
use densenet::{Architecture, reference};
use densenet_kernels::reference::Shape4;
use ndarray::{Array2, ArrayView1, ArrayView2, s};

use crate::distance::distance;
use crate::made_up::{Values, pictures, small};

const TOLERANCE: f64 = 1e-11;

#[test]
fn maps_after_each_block_are_the_references() {
    for (kind, config) in small() {
        let values = Values::new(&config);
        let shape = Shape4::new(3, config.in_channels, 43, 38);
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
        let images = pictures(Shape4::new(3, config.in_channels, 43, 38));
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

/// The last map after batch-norm, ReLU if there is one, and global pooling.
fn pooled(values: &Values, features: &Features<f64>) -> Array2<f64> {
    let Values { arch: Architecture { config, final_norm: norm, .. }, parameters, running } = values;
    let last = features.blocks.last().unwrap();
    Array2::from_shape_fn((last.dim().0, norm.channels), |(image, c)| {
        let at = |range: &std::ops::Range<usize>, arena: &[f64]| arena[range.start + c];
        let scale = at(&norm.weight, parameters) / (at(&norm.variance, running) + 1e-5).sqrt();
        let (mean, shift) = (at(&norm.mean, running), at(&norm.bias, parameters));
        let floor = if config.final_relu { 0.0 } else { f64::NEG_INFINITY };
        last.slice(s![image, c, .., ..]).mapv(|x| ((x - mean) * scale + shift).max(floor)).mean().unwrap()
    })
}

/// The linear layer's output.
fn classified(values: &Values, pooled: &Array2<f64>) -> Array2<f64> {
    let Values { arch, parameters, .. } = values;
    let shape = (arch.config.num_classes, arch.final_norm.channels);
    let weight = ArrayView2::from_shape(shape, &parameters[arch.classifier_weight.clone()]).unwrap();
    pooled.dot(&weight.t()) + ArrayView1::from(&parameters[arch.classifier_bias.clone()])
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
