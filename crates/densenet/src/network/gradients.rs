//! Gradients of the logits in inference: what a prediction depends on.

use densenet_kernels::{FeatureMaps, Real};
use ndarray::{Array2, Array4, ArrayView2, ArrayView4, s};

use super::backward::Backward;
use super::batch::Batch;
use super::densenet::{DenseNet, copy_maps};
use super::pool::in_pool;
use crate::config::HeadPool;
use crate::{Error, Result};

/// A block's output, and how the logits depend on it.
#[derive(Clone, Debug)]
pub struct BlockGradients<T> {
    /// `(N, C, H, W)`: the maps that the transition after the block reads, before its batch-norm. Those of the last
    /// block are what the head pools: after the last batch-norm, and the final ReLU if there is one.
    pub maps: Array4<T>,
    /// `(N, C, H, W)`: the gradients of the maps.
    pub gradients: Array4<T>,
}

impl<T: Real> DenseNet<T> {
    /// The gradient, `(N, C, H, W)`, of the sum of `dlogits` times the logits, both `(N, classes)`, with respect to
    /// `images` `(N, C, H, W)`. As in [`DenseNet::logits`], batch-norms use the running statistics. The maps of all
    /// blocks are kept in the process, so memory grows with the batch: for DenseNet-121 and 224x224 by some 20 MB per
    /// image.
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`], and `dlogits` with another shape.
    pub fn image_gradients(&self, images: ArrayView4<'_, T>, dlogits: ArrayView2<'_, T>) -> Result<Array4<T>> {
        let gradients = self.backward(images, dlogits, |mut pass, dlogits| pass.images(dlogits))?;
        Ok(Array4::from_shape_vec(images.dim(), gradients).expect("a gradient a value"))
    }

    /// The maps at the end of block number `block`, from 0, and the gradients with respect to them of the sum of
    /// `dlogits` times the logits, both `(N, classes)`; see [`DenseNet::image_gradients`].
    ///
    /// # Errors
    /// Those of [`DenseNet::logits`], `dlogits` with another shape, and a block that does not exist.
    pub fn block_gradients(
        &self,
        images: ArrayView4<'_, T>,
        dlogits: ArrayView2<'_, T>,
        block: usize,
    ) -> Result<BlockGradients<T>> {
        let blocks = self.architecture().blocks.len();
        if block >= blocks {
            return Err(Error::Config(format!("block {block} of {blocks}; blocks are counted from 0")));
        }
        self.backward(images, dlogits, |mut pass, dlogits| {
            if block + 1 == blocks {
                return head_gradients(&pass, self.architecture().config.head_pool, dlogits);
            }
            let gradients = pass.block(block, dlogits);
            BlockGradients { maps: array(pass.maps(block)), gradients: array(pass.laid_out(block, &gradients)) }
        })
    }

    /// Runs the network, and then `work` on the pass with `dlogits` in standard layout.
    fn backward<R: Send>(
        &self,
        images: ArrayView4<'_, T>,
        dlogits: ArrayView2<'_, T>,
        work: impl FnOnce(Backward<'_, T>, &[T]) -> R + Send,
    ) -> Result<R> {
        let arch = self.architecture();
        arch.check_classifier()?;
        let grid = self.check(&images)?;
        let (found, wanted) = (dlogits.dim(), (grid.images, arch.config.num_classes));
        if found != wanted {
            return Err(Error::Config(format!("gradients of {found:?} logits; the logits are {wanted:?}")));
        }
        let sizes = arch.block_sizes(grid.height, grid.width)?;
        let (images, dlogits) = (images.as_standard_layout(), dlogits.as_standard_layout());
        let batch = Batch { pictures: images.as_slice().expect("standard layout"), grid };
        let dlogits = dlogits.as_slice().expect("standard layout");
        Ok(in_pool(|| work(Backward::new(self, batch, &sizes), dlogits)))
    }
}

/// Maps as `(N, C, H, W)`.
fn array<T: Real>(maps: FeatureMaps<'_, T>) -> Array4<T> {
    let grid = maps.grid();
    let mut array = Array4::zeros((grid.images, maps.channels(), grid.height, grid.width));
    copy_maps(maps, array.view_mut());
    array
}

/// The head's input and its gradient.
fn head_gradients<T: Real>(pass: &Backward<'_, T>, pool: HeadPool, dlogits: &[T]) -> BlockGradients<T> {
    let (maps, dfeatures) = (pass.activations(), pass.features(dlogits));
    let dim @ (images, channels, height, width) = maps.dim();
    if pool == HeadPool::None {
        let gradients = Array4::from_shape_vec(dim, dfeatures).expect("a feature a pixel");
        return BlockGradients { maps, gradients };
    }
    let dfeatures = Array2::from_shape_vec((images, channels), dfeatures).expect("a feature a channel");
    let (mut gradients, share) = (Array4::zeros(dim), T::of(1.0 / (height * width) as f64));
    for ((image, channel), &dfeature) in dfeatures.indexed_iter() {
        let mut gradient = gradients.slice_mut(s![image, channel, .., ..]);
        if pool == HeadPool::Average {
            gradient.fill(dfeature * share);
            continue;
        }
        let map = maps.slice(s![image, channel, .., ..]);
        let larger = |best, (place, &value): (_, &T)| if value > map[best] { place } else { best };
        gradient[map.indexed_iter().fold((0, 0), larger)] = dfeature;
    }
    BlockGradients { maps, gradients }
}
