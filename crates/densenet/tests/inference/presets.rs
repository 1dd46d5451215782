//! Every preset in `f32` against the reference in `f64`, with batch-norm statistics that are not the identity.

use densenet::config::{PRESETS, Stem};
use densenet::{Config, reference};
use densenet_kernels::reference::Shape4;

use crate::distance::distance;
use crate::made_up::{Values, pictures};
use crate::sets::on_every_set;

/// Largest distance of the logits, relative in norm.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_preset_is_the_reference() {
    for name in PRESETS {
        let config = Config::preset(name).unwrap();
        // Small, since the reference is slow: two pixels are left at the end, or one.
        let size = if config.stem == Stem::ImageNet { 40 } else { 8 };
        let values = Values::new(&config);
        let shape = Shape4::new(2, config.in_channels, size, size);
        let images = pictures(shape);
        let Values { arch, parameters, running } = &values;
        let expected = reference::forward(arch, parameters, running, shape, images.as_slice().unwrap()).unwrap();
        let images = images.mapv(|value| value as f32);
        on_every_set(|| {
            let found = values.network::<f32>().logits(images.view()).unwrap();
            let distance = distance(found.iter().map(|&logit| f64::from(logit)), &expected, 0.0);
            println!("{name}: {distance:.1e}");
            assert!(distance <= TOLERANCE, "{name}: logits are {distance:.1e} from the reference");
        });
    }
}
