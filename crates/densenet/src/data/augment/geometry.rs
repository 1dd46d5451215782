//! Shears, translations and rotations with nearest-neighbour sampling and black outside, as PIL's `transform` in 16-bit
//! fixed point.

use crate::data::Picture;

/// Shifts each row by `slope` pixels more than the one before.
pub(super) fn shear_x(picture: &mut Picture<'_>, slope: f64) {
    affine(picture, [1.0, slope, 0.0, 0.0, 1.0, 0.0]);
}

/// Shifts each column by `slope` pixels more than the one before.
pub(super) fn shear_y(picture: &mut Picture<'_>, slope: f64) {
    affine(picture, [1.0, 0.0, 0.0, slope, 1.0, 0.0]);
}

/// Shifts to the right by whole `pixels`.
pub(super) fn translate_x(picture: &mut Picture<'_>, pixels: f64) {
    affine(picture, [1.0, 0.0, -pixels.trunc(), 0.0, 1.0, 0.0]);
}

/// Shifts down by whole `pixels`.
pub(super) fn translate_y(picture: &mut Picture<'_>, pixels: f64) {
    affine(picture, [1.0, 0.0, 0.0, 0.0, 1.0, -pixels.trunc()]);
}

/// Rotates around the centre, counter-clockwise, by `degrees`.
pub(super) fn rotate(picture: &mut Picture<'_>, degrees: f64) {
    let (x, y) = (picture.width() as f64 / 2.0, picture.height() as f64 / 2.0);
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    affine(picture, [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]);
}

/// Sets the pixel at `(x, y)` to that at `(a x + b y + c, d x + e y + f)`.
fn affine(picture: &mut Picture<'_>, [a, b, c, d, e, f]: [f64; 6]) {
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let starts = [fixed(c + (a + b) * 0.5), fixed(f + (d + e) * 0.5)];
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let source = picture.pixels().to_vec();
    for (i, pixel) in picture.pixels_mut().chunks_exact_mut(channels).enumerate() {
        let (x, y) = ((i % width) as i64, (i / width) as i64);
        let [x, y] = [starts[0] + a * x + b * y, starts[1] + d * x + e * y].map(|at| usize::try_from(at >> 16));
        match (x, y) {
            (Ok(x), Ok(y)) if x < width && y < height => {
                pixel.copy_from_slice(&source[(y * width + x) * channels..][..channels]);
            }
            _ => pixel.fill(0),
        }
    }
}
