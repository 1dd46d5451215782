//! Views of a picture whose predictions are averaged: test-time augmentation.

use fast_image_resize::Resizer;
use ndarray::Array4;
use rayon::prelude::*;

use super::{Picture, Preprocessing, Resize, Split};
use crate::{Error, Result};

/// The views of a picture that a network sees; by default, only the one that it is [prepared](Preprocessing) as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Each view also mirrored left to right.
    pub flip: bool,
    /// The four corners of the resized picture in addition to its centre, as torchvision's `FiveCrop` cuts them.
    pub crops: bool,
}

impl Views {
    /// Number of views per picture: 1, 2, 5 or 10.
    pub fn count(self) -> usize {
        (if self.crops { 5 } else { 1 }) * (if self.flip { 2 } else { 1 })
    }

    /// Checks that the crops differ with this `preprocessing`.
    ///
    /// # Errors
    /// A preprocessing that resizes pictures to exactly the size of the input.
    pub fn validate(self, preprocessing: &Preprocessing) -> Result<()> {
        let size = preprocessing.size;
        if self.crops && preprocessing.resize == Resize::Squash && preprocessing.resized_side() == size {
            return Err(Error::Preprocessing(format!(
                "pictures are resized to {size}x{size}, so every crop of {size}x{size} is the whole picture; a \
                 crop_fraction below 1, as 0.875, resizes them to more than the input"
            )));
        }
        Ok(())
    }

    /// Writes the views of `picture` into `out`, `[count, channels, size, size]`.
    fn write(
        self,
        preprocessing: &Preprocessing,
        picture: Picture<'_>,
        resizer: &mut Resizer,
        out: &mut [f32],
    ) -> Result<()> {
        let resized = preprocessing.resized(preprocessing.converted(picture), resizer)?;
        let size = preprocessing.size;
        let (bottom, right) = ((resized.height() - size) as isize, (resized.width() - size) as isize);
        let mut corners = vec![preprocessing.centre(&resized)];
        if self.crops {
            corners.extend([(0, 0), (0, right), (bottom, 0), (bottom, right)]);
        }
        let mirrored: &[bool] = if self.flip { &[false, true] } else { &[false] };
        let views = corners.iter().flat_map(|corner| mirrored.iter().map(move |flip| (corner, *flip)));
        for (out, (&(top, left), flip)) in out.chunks_exact_mut(preprocessing.elements()).zip(views) {
            preprocessing.normalise(&resized.view().crop(top, left, size, size), flip, out);
        }
        Ok(())
    }
}

impl Split {
    /// The `views` of the pictures `indices`, `(N * views, C, H, W)`, and a result for each picture; the elements of
    /// one that cannot be read are unspecified.
    pub(crate) fn views(
        &self,
        indices: &[usize],
        preprocessing: &Preprocessing,
        views: Views,
    ) -> Result<(Array4<f32>, Vec<Result<()>>)> {
        preprocessing.validate()?;
        let (count, size) = (views.count(), preprocessing.size);
        let mut images = Array4::zeros((indices.len() * count, preprocessing.channels(), size, size));
        let out = images.as_slice_mut().expect("a new array is contiguous");
        let places = out.par_chunks_exact_mut(count * preprocessing.elements()).zip(indices);
        let outcomes = places.map_init(Resizer::new, |resizer, (out, &index)| {
            views.write(preprocessing, self.picture(index)?, resizer, out)
        });
        let outcomes = outcomes.collect();
        Ok((images, outcomes))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A grey picture of 3 rows of 5 pixels, whose values are their numbers.
    fn views(preprocessing: &Preprocessing, views: Views) -> Vec<Vec<f32>> {
        let classes = vec!["one".into()];
        let split = Split::in_memory(Path::new("noise"), [3, 5, 1], (0..15).collect(), vec![0], classes).unwrap();
        let (images, outcomes) = split.views(&[0], preprocessing, views).unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
        images.outer_iter().map(|image| image.iter().map(|value| (value * 255.0).round()).collect()).collect()
    }

    #[test]
    fn corners_and_mirrored_pictures_are_seen() {
        let preprocessing = Preprocessing::new(2, [0.0], [1.0]).with_short_side(3);
        let all = views(&preprocessing, Views { flip: true, crops: true });
        let seen = [[2, 3, 7, 8], [0, 1, 5, 6], [3, 4, 8, 9], [5, 6, 10, 11], [8, 9, 13, 14]];
        let both = seen.into_iter().flat_map(|[a, b, c, d]| [[a, b, c, d], [b, a, d, c]]);
        let both: Vec<Vec<f32>> = both.map(|view| view.map(|value| value as f32).to_vec()).collect();
        assert_eq!(all.len(), Views { flip: true, crops: true }.count());
        assert_eq!(all[1..], both[1..]);
        assert_eq!(views(&preprocessing, Views::default()), both[..1]);
        assert_eq!(views(&preprocessing, Views { flip: true, crops: false }), both[..2]);
    }

    #[test]
    fn crops_that_do_not_differ_are_refused() {
        let (whole, crops) = (Preprocessing::new(2, [0.0], [1.0]), Views { flip: false, crops: true });
        assert!(crops.validate(&whole).unwrap_err().to_string().contains("a crop_fraction below 1"));
        crops.validate(&whole.clone().with_short_side(2)).unwrap();
        Views { flip: true, crops: false }.validate(&whole).unwrap();
    }
}
