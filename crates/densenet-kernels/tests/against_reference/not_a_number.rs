//! PyTorch's ReLU passes the gradient of a pre-activation that is not a number.

use densenet_kernels::Real;
use densenet_kernels::batch_norm::NormGradient;
use densenet_kernels::reference::relu;

use crate::block::Reader;
use crate::check::{assert_close, doubles};
use crate::layout::from_maps;

/// Gradients below this may be zero but for rounding.
const SMALL: f64 = 1e-3;

/// Runs a backward pass for `reader`, and again for one whose pre-activation is NaN in a pixel of each channel where the ReLU
/// passed nothing; checks that it passes the gradient there, and that all other gradients keep their bits.
///
/// `da` is the gradient after the ReLU, `(N, C, H, W)`; `run` makes that of the maps and of the batch-norm.
pub fn assert_passes<T: Real>(
    name: &str,
    reader: &Reader,
    da: &[f64],
    run: impl Fn(&Reader) -> (Vec<T>, NormGradient<T>),
) {
    let (z, mut broken, mut broken_z) = (reader.z(), reader.clone(), reader.z());
    let mut places = Vec::new();
    for c in 0..reader.shape.c {
        let mut pixels = reader.shape.planes().filter(|&(_, channel)| channel == c);
        places.extend(pixels.find_map(|(start, _)| {
            (start..start + reader.shape.plane()).find(|&place| z[place] < 0.0 && da[place].abs() > SMALL)
        }));
    }
    assert!(2 * places.len() > reader.shape.c, "{name}: the ReLU stops a gradient in {} channels", places.len());
    for &place in &places {
        (broken.x[place], broken_z[place]) = (f64::NAN, f64::NAN);
    }
    let gradient = |reader: &Reader| {
        let (dx, sums) = run(reader);
        (from_maps(reader.shape, &reader.widths, &dx), sums)
    };
    let ((before, _), (after, sums)) = (gradient(reader), gradient(&broken));
    for (place, (before, after)) in before.iter().zip(&after).enumerate() {
        let passes = places.contains(&place);
        assert!(passes || before.to_bits() == after.to_bits(), "{name}: element {place} was {before}, is {after}");
        assert!(!passes || (*before == 0.0 && *after != 0.0), "{name}: the NaN's element {place} is {after}");
    }
    let dz = relu::backward(&broken_z, da);
    assert_close::<T>(name, "gradient of the maps", &after, &reader.scaled(&dz));
    assert_close::<T>(name, "gradient of beta", &doubles(&sums.beta), &reader.backward(&dz).dbeta);
}
