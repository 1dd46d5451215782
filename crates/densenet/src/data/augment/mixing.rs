//! Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of batches.

use std::ops::Range;

use ndarray::{Array, Array2, Array4, ArrayView, ArrayViewMut, Axis, RemoveAxis, Slice};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use super::{Augmentation, draws};

impl Augmentation {
    /// Mixes each picture of `images`, `(N, C, H, W)`, and its row of `targets`, `(N, classes)`, with the picture before it in
    /// the batch, the first with the last, as torchvision's `MixUp` and `CutMix` do.
    ///
    /// With mixup, both become `share x own + (1 - share) x other`, with one share for the batch, drawn from
    /// Beta(alpha, alpha). With CutMix, a rectangle of `1 - share` of the area, clipped to the picture, is replaced by
    /// the other picture's, and targets are mixed by area. If both are enabled, each batch uses one of them with equal
    /// probability. A target that is not known, NaN, makes the targets that it is mixed into NaN. All random values
    /// depend on `seed` alone: give every batch its own.
    ///
    /// # Panics
    /// If the numbers of targets and images differ, or values are not [valid](Self::validate).
    pub fn mix(&self, images: &mut Array4<f32>, targets: &mut Array2<f32>, seed: u64) {
        assert_eq!(images.len_of(Axis(0)), targets.len_of(Axis(0)), "a row of targets for each image");
        let mut rng = draws(seed, 0);
        let cut = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return,
            (true, true) => rng.random_bool(0.5),
            (_, cut) => cut,
        };
        let alpha = if cut { self.cutmix } else { self.mixup };
        let share = Beta::new(alpha, alpha).expect("alpha is above 0").sample(&mut rng);
        let share = if cut {
            paste(images, share, &mut rng)
        } else {
            blend(images, share);
            share
        };
        blend(targets, share);
    }
}

/// Each item becomes `share` of itself plus the rest of the one before it. A share of 0 contributes nothing, even of
/// NaN.
pub(super) fn blend<D: RemoveAxis>(batch: &mut Array<f32, D>, share: f64) {
    let (own, other) = (share as f32, (1.0 - share) as f32);
    let part = |share: f32, value: f32| if share == 0.0 { 0.0 } else { share * value };
    with_previous(batch, |mut item, previous| {
        item.zip_mut_with(&previous, |value, &before| *value = part(own, *value) + part(other, before));
    });
}

/// Pastes a rectangle of `1 - share` of the area from each image's predecessor into it, centred anywhere, and returns
/// the share that the image actually keeps.
fn paste(images: &mut Array4<f32>, share: f64, rng: &mut ChaCha8Rng) -> f64 {
    let (_, _, height, width) = images.dim();
    let side = 0.5 * (1.0 - share).sqrt();
    let mut extent = |length: usize| around(rng.random_range(0..length), (side * length as f64) as usize, length);
    let (columns, rows) = (extent(width), extent(height));
    let pasted = (rows.len() * columns.len()) as f64 / (height * width) as f64;
    with_previous(images, |mut image, previous| {
        let slice = |axis: ndarray::AxisDescription| match axis.axis.index() {
            0 => Slice::from(..),
            1 => Slice::from(rows.clone()),
            _ => Slice::from(columns.clone()),
        };
        image.slice_each_axis_mut(slice).assign(&previous.slice_each_axis(slice));
    });
    1.0 - pasted
}

/// `half` on either side of `centre`, clipped to `0..length`.
fn around(centre: usize, half: usize, length: usize) -> Range<usize> {
    centre.saturating_sub(half)..(centre + half).min(length)
}

/// Calls `change` with each item and the original of the one before it; the last comes before the first.
fn with_previous<D: RemoveAxis>(
    batch: &mut Array<f32, D>,
    change: impl Fn(ArrayViewMut<'_, f32, D::Smaller>, ArrayView<'_, f32, D::Smaller>),
) {
    let Some(end) = batch.len_of(Axis(0)).checked_sub(1) else { return };
    let last = batch.index_axis(Axis(0), end).to_owned();
    for i in (1..=end).rev() {
        let (before, mut from) = batch.view_mut().split_at(Axis(0), i);
        change(from.index_axis_mut(Axis(0), 0), before.index_axis(Axis(0), i - 1));
    }
    change(batch.index_axis_mut(Axis(0), 0), last.view());
}
