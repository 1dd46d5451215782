//! Maps as colours.

use std::io::Cursor;

use anyhow::Result;
use colorous::{Color, Gradient};
use image::{ImageFormat, Rgb, RgbImage};
use ndarray::Array2;

/// Pixels across a drawn map, unless it has more.
const SIDE: usize = 224;

/// Share of the pixels, farthest from 0, that do not stretch a clipped scale.
const OUTLIERS: f64 = 0.02;

/// How a map is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Viridis, which is perceptually even, from the lowest to the highest value.
    Sequential,
    /// From purple over white, for 0, to orange, as far below 0 as above.
    Diverging,
    /// The same up to the value that few pixels exceed, which have the colours of the ends: in maps of gradients, some
    /// pixels have many times the value of the rest.
    Clipped,
}

/// Colours between a lowest and a highest value, both readable with any kind of colour vision.
pub struct Scale {
    /// The lowest value.
    pub low: f32,
    /// The highest value, above the lowest.
    pub high: f32,
    gradient: Gradient,
}

impl Scale {
    /// The scale of `map` in these colours.
    pub fn new(colours: Colours, map: &Array2<f32>) -> Self {
        match colours {
            Colours::Sequential => Self::sequential(map),
            Colours::Diverging => Self::diverging(map, 0.0),
            Colours::Clipped => Self::diverging(map, OUTLIERS),
        }
    }

    fn sequential(map: &Array2<f32>) -> Self {
        let (low, high) = map.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let high = if high > low { high } else { (low + 1.0).max(low.next_up()) };
        Self { low, high, gradient: colorous::VIRIDIS }
    }

    /// Leaves a share of `outliers` out.
    fn diverging(map: &Array2<f32>, outliers: f64) -> Self {
        let mut sizes: Vec<f32> = map.iter().map(|value| value.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let largest = sizes[((1.0 - outliers) * (sizes.len() - 1) as f64).round() as usize];
        let high = if largest > 0.0 { largest } else { 1.0 };
        Self { low: -high, high, gradient: colorous::PURPLE_ORANGE }
    }

    /// The scale from left to right, as a background of CSS.
    pub fn css(&self) -> String {
        let stops = 16;
        let colours = (0..=stops).map(|stop| format!("#{:x}", self.gradient.eval_rational(stop, stops + 1)));
        format!("linear-gradient(90deg, {})", colours.collect::<Vec<_>>().join(", "))
    }

    /// The map as a PNG, as large as it is seen, smooth between the centres of its values.
    pub fn png(&self, map: &Array2<f32>) -> Result<Vec<u8>> {
        let (height, width) = map.dim();
        let factor = SIDE.div_ceil(height.max(width));
        let drawn = RgbImage::from_fn((width * factor) as u32, (height * factor) as u32, |x, y| {
            let value = between(map, centre(y, factor, height), centre(x, factor, width));
            let share = f64::from((value - self.low) / (self.high - self.low));
            let Color { r, g, b } = self.gradient.eval_continuous(share.clamp(0.0, 1.0));
            Rgb([r, g, b])
        });
        let mut png = Cursor::new(Vec::new());
        drawn.write_to(&mut png, ImageFormat::Png)?;
        Ok(png.into_inner())
    }
}

/// The place among `count` values of the centre of a drawn `pixel`.
fn centre(pixel: u32, factor: usize, count: usize) -> f32 {
    ((pixel as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, (count - 1) as f32)
}

/// The value at a place between those of `map`, bilinear.
fn between(map: &Array2<f32>, y: f32, x: f32) -> f32 {
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(map.nrows() - 1), (left + 1).min(map.ncols() - 1));
    let across = |row: usize| map[[row, left]] + (x - left as f32) * (map[[row, right]] - map[[row, left]]);
    across(top) + (y - top as f32) * (across(bottom) - across(top))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn values_between_are_bilinear() {
        let map = array![[0.0, 1.0], [2.0, 3.0]];
        assert_eq!((between(&map, 0.5, 0.5), between(&map, 1.0, 0.25)), (1.5, 2.25));
        assert_eq!([0, 1, 2, 7].map(|pixel| centre(pixel, 4, 2)), [0.0, 0.0, 0.125, 1.0]);
    }

    #[test]
    fn the_lowest_and_highest_values_have_the_ends_of_the_scale() {
        let map = array![[-1.0, 0.0], [0.0, 3.0]];
        let corners = |scale: Scale| {
            let picture = image::load_from_memory(&scale.png(&map).unwrap()).unwrap().to_rgb8();
            assert_eq!(picture.dimensions(), (224, 224));
            [picture.get_pixel(0, 0).0, picture.get_pixel(223, 223).0]
        };
        assert_eq!(corners(Scale::new(Colours::Sequential, &map)), [[0x44, 0x01, 0x54], [0xfd, 0xe7, 0x25]]);
        let [below, above] = corners(Scale::new(Colours::Diverging, &map));
        assert!(below[2] > below[1] && above[0] > above[2] + 50, "purple {below:?}, orange {above:?}");
    }

    #[test]
    fn a_few_pixels_do_not_stretch_a_clipped_scale() {
        let map =
            Array2::from_shape_fn((10, 10), |(y, x)| if y == 9 && x == 9 { -1000.0 } else { (10 * y + x) as f32 });
        let high = |colours| Scale::new(colours, &map).high;
        assert_eq!((high(Colours::Diverging), high(Colours::Clipped)), (1000.0, 97.0));
    }

    #[test]
    fn a_map_of_one_value_is_drawn_too() {
        for flat in [array![[0.0]], array![[-1e9]]] {
            for colours in [Colours::Sequential, Colours::Diverging, Colours::Clipped] {
                let scale = Scale::new(colours, &flat);
                assert!(scale.low < scale.high && !scale.png(&flat).unwrap().is_empty());
            }
        }
        assert!(Scale::new(Colours::Sequential, &array![[0.0]]).css().starts_with("linear-gradient(90deg, #440154, "));
    }
}
