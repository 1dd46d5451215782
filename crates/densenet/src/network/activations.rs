//! The head's input, kept beside the logits.

use densenet_kernels::{FeatureMaps, Real};
use ndarray::{Array2, Array4, ArrayView4, Axis, s};

use super::densenet::{DenseNet, copy_maps};
use super::predictor::{Outputs, Watch};
use crate::Result;
use crate::profile::Probe;

impl<T: Real> DenseNet<T> {
    /// [`DenseNet::logits`], and the activations `(N, C, H, W)` that were pooled for them: the last block's maps,
    /// normalised, and rectified if the network has a final ReLU. A single pass computes both.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`].
    pub fn logits_and_activations(&self, images: ArrayView4<'_, T>) -> Result<(Array2<T>, Array4<T>)> {
        self.outputs_and_activations(images).map(|(_, logits, activations)| (logits, activations))
    }

    /// The same with the classifier's input before them.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`].
    pub(crate) fn outputs_and_activations(
        &self,
        images: ArrayView4<'_, T>,
    ) -> Result<(Array2<T>, Array2<T>, Array4<T>)> {
        let arch = self.architecture();
        arch.check_classifier()?;
        let grid = self.check(&images)?;
        let sizes = arch.block_sizes(grid.height, grid.width)?;
        let last = sizes.len() - 1;
        let mut maps = Array4::zeros((grid.images, arch.final_norm.weight.len(), sizes[last].0, sizes[last].1));
        let widths = [arch.num_features, arch.config.num_classes];
        let [mut pooled, mut logits] = widths.map(|width| Array2::zeros((grid.images, width)));
        let mut copy = |block: usize, images, found: FeatureMaps<'_, T>| {
            if block == last {
                copy_maps(found, maps.slice_mut(s![images, .., .., ..]));
            }
        };
        let outputs = Outputs { features: pooled.as_slice_mut(), logits: logits.as_slice_mut() };
        self.predict(&images, grid, outputs, Watch { maps: Some(&mut copy), probe: Probe::default() })?;
        self.activate(&mut maps);
        Ok((pooled, logits, maps))
    }

    /// The last batch-norm, and its ReLU where there is one.
    fn activate(&self, maps: &mut Array4<T>) {
        let arch = self.architecture();
        let affine = self.running_affine(&arch.final_norm);
        let lowest = if arch.config.final_relu { T::zero() } else { T::neg_infinity() };
        for ((mut channel, &scale), &shift) in maps.axis_iter_mut(Axis(1)).zip(&affine.scale).zip(&affine.shift) {
            channel.mapv_inplace(|value| (value * scale + shift).max(lowest));
        }
    }
}
