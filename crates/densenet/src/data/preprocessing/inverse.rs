//! From a network's input back to a picture.

use super::Preprocessing;
use crate::data::Picture;
use crate::data::framing::ChannelOrder;

impl Preprocessing {
    /// The picture for an input `[channels, size, size]`, row-major, normalised by this preprocessing: values between
    /// two levels are rounded, and values beyond black and white are clipped.
    ///
    /// # Panics
    /// If the length of `input` is not [`elements`](Self::elements).
    pub fn picture_of(&self, input: &[f32]) -> Picture<'static> {
        assert_eq!(input.len(), self.elements(), "elements of the input");
        let (channels, [low, high]) = (self.channels(), self.value_range);
        let mut pixels = vec![0; input.len()];
        for (c, plane) in input.chunks_exact(self.size * self.size).enumerate() {
            let place = if self.channel_order == ChannelOrder::Bgr { channels - 1 - c } else { c };
            for (pixel, value) in pixels.iter_mut().skip(place).step_by(channels).zip(plane) {
                *pixel = ((value * self.std[c] + self.mean[c] - low) / (high - low) * 255.0).round() as u8;
            }
        }
        Picture::new(self.size, self.size, channels, pixels).expect("as many pixels as the extents say")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back_as_they_were() {
        let pixels: Vec<u8> = (0..75).map(|i| (i * 53 % 256) as u8).collect();
        for name in ["imagenet", "cifar10", "xray", "mnist"] {
            let order = ChannelOrder::Bgr;
            let named = Preprocessing::named(name).unwrap().with_size(5).with_channels(3);
            let preprocessing = Preprocessing { channel_order: order, crop_fraction: 1.0, ..named };
            let (picture, mut input) = (Picture::new(5, 5, 3, &pixels[..]).unwrap(), vec![0.0; 75]);
            preprocessing.apply(&picture, &mut input).unwrap();
            assert_eq!(preprocessing.picture_of(&input).pixels(), pixels, "{name}");
            assert!(preprocessing.picture_of(&[-1e9; 75]).pixels().iter().all(|&pixel| pixel == 0));
        }
    }
}
