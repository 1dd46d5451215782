//! Random erasing (Zhong et al. 2020).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Writes 0 into a random rectangle of `image`, `[channels, size, size]`, drawn as torchvision's
/// `RandomErasing.get_params` does; if ten draws do not fit, the image stays as it is.
pub(super) fn erase(image: &mut [f32], size: usize, rng: &mut ChaCha8Rng) {
    for _ in 0..10 {
        let area = (size * size) as f64 * rng.random_range(0.02..=0.33);
        let shape = rng.random_range(0.3f64.ln()..=3.3f64.ln()).exp();
        let (h, w) = ((area * shape).sqrt().round() as usize, (area / shape).sqrt().round() as usize);
        if h < size && w < size {
            let (top, left) = (rng.random_range(0..=size - h), rng.random_range(0..=size - w));
            for plane in image.chunks_exact_mut(size * size) {
                plane.chunks_exact_mut(size).skip(top).take(h).for_each(|row| row[left..left + w].fill(0.0));
            }
            return;
        }
    }
}
