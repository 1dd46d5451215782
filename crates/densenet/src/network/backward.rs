//! The backward pass in inference: from the logits to a block's maps and to the pictures.
//!
//! Here the statistics of batch-norms are constants, so a reader passes back `scale * dz`, which needs no correction
//! and is not a parameter's gradient. [`conv::backward_data`] computes this if it is given the scale as gamma. The
//! forward pass is that of every prediction, with all maps kept; the bottlenecks' outputs are recomputed.

use std::borrow::Cow;
use std::ops::Range;

use densenet_kernels::batch_norm::{Normalised, Write};
use densenet_kernels::conv;
use densenet_kernels::{Affine, Aligned, FeatureMaps, Grid, Pooling, Real, head, stem};
use ndarray::Array4;

use super::batch::Batch;
use super::body::Body;
use super::densenet::DenseNet;
use super::float_body::FloatBody;
use super::head::HeadState;
use super::predictor::Predictor;
use super::shape::{conv_shape, stem_pool};
use super::sum::add_scaled;
use super::weights::RunningAffine;
use crate::architecture::PreAct;
use crate::config::Joining;
use crate::profile::Probe;

/// A forward pass with everything that a backward pass needs from it.
pub(super) struct Backward<'a, T: Real> {
    network: &'a DenseNet<T>,
    predictor: &'a Predictor<T, FloatBody<T>>,
    joining: Joining,
    batch: Batch<'a, T>,
    /// Extents of each block's maps.
    grids: Vec<Grid>,
    /// Output of the stem's convolution, where the stem pools.
    raw: Aligned<T>,
    /// All maps of each block.
    maps: Vec<Aligned<T>>,
    /// Output of a bottleneck, and its gradient.
    bottleneck: [Aligned<T>; 2],
}

impl<'a, T: Real> Backward<'a, T> {
    /// Runs the network, whose blocks' maps have `sizes`.
    pub fn new(network: &'a DenseNet<T>, batch: Batch<'a, T>, sizes: &[(usize, usize)]) -> Self {
        let (predictor, joining) = (network.floats(), network.architecture().config.joining);
        let images = batch.grid.images;
        let grids: Vec<Grid> = sizes.iter().map(|&(height, width)| Grid { images, height, width }).collect();
        let (mut raw, mut bottleneck) = (Aligned::default(), Aligned::default());
        let mut maps: Vec<Aligned<T>> = Vec::new();
        for (b, (block, &grid)) in predictor.body.blocks.iter().zip(&grids).enumerate() {
            let mut buffer = Aligned::zeros(block.channels() * grid.pixels());
            let first = &mut buffer[block.elements(&(0..1), grid)];
            match maps.last() {
                None => predictor.body.stem(batch, &mut raw, first, Probe::default()),
                Some(before) => {
                    let transition =
                        predictor.body.blocks[b - 1].transition.as_ref().expect("all but the last have one");
                    let maps = predictor.body.blocks[b - 1].output(before, grids[b - 1], joining);
                    let input = transition.input(maps, Pooling::Average2x2);
                    transition.conv.run(&input, false, None, first, Probe::default());
                }
            }
            block.run(&mut buffer, grid, joining, &mut bottleneck, Probe::default());
            maps.push(buffer);
        }
        Self { network, predictor, joining, batch, grids, raw, maps, bottleneck: [bottleneck, Aligned::default()] }
    }

    /// The maps of block `b` that the next operation reads.
    pub fn maps(&self, b: usize) -> FeatureMaps<'_, T> {
        self.laid_out(b, &self.maps[b])
    }

    /// The same for `values` that are laid out like all maps of the block.
    pub fn laid_out<'b>(&'b self, b: usize, values: &'b [T]) -> FeatureMaps<'b, T> {
        self.predictor.body.blocks[b].output(values, self.grids[b], self.joining)
    }

    /// The head's input, `(N, C, H, W)`.
    pub fn activations(&self) -> Array4<T> {
        let maps = self.maps(self.maps.len() - 1);
        let Grid { images, height, width } = maps.grid();
        let dim = (images, maps.channels(), height, width);
        Array4::from_shape_vec(dim, self.pooled(head::Pool::Flatten)).expect("all pixels")
    }

    /// The output of a head with this `pool` for the last maps, one row per picture.
    fn pooled(&self, pool: head::Pool) -> Vec<T> {
        let Predictor { final_affine, final_relu, .. } = self.predictor;
        let maps = self.maps(self.maps.len() - 1);
        let plane = if pool == head::Pool::Flatten { maps.grid().pixels() } else { maps.grid().images };
        let mut features = vec![T::zero(); plane * maps.channels()];
        head::forward(&maps, final_affine.affine(), *final_relu, pool, &mut features);
        features
    }

    /// The features' gradient, one row per picture, from that of the logits.
    pub fn features(&self, dlogits: &[T]) -> Vec<T> {
        let (arch, parameters) = (self.network.architecture(), self.network.parameters());
        let mut head = HeadState::new();
        head.classify(arch, parameters, self.pooled(self.predictor.head_pool), Probe::default());
        head.classifier_backward_data(arch, parameters, dlogits)
    }

    /// The gradient of the maps of block `b` from the next operation, laid out like the maps, given that of the logits.
    pub fn block(&mut self, b: usize, dlogits: &[T]) -> Vec<T> {
        let last = self.maps.len() - 1;
        let mut dx = self.head(dlogits);
        for after in (b + 1..=last).rev() {
            let dy = self.layers(after, dx);
            dx = self.transition(after - 1, &dy);
        }
        dx
    }

    /// The gradient of the pictures, `(N, C, H, W)`, given that of the logits.
    pub fn images(&mut self, dlogits: &[T]) -> Vec<T> {
        let dx = self.block(0, dlogits);
        let dy = self.layers(0, dx);
        self.stem(&dy)
    }

    /// Gradient of the last block's maps.
    fn head(&self, dlogits: &[T]) -> Vec<T> {
        let Predictor { final_affine: affine, final_relu, head_pool, .. } = self.predictor;
        let (last, dfeatures) = (self.maps.len() - 1, self.features(dlogits));
        let mut dx = vec![T::zero(); self.maps[last].len()];
        let reader = constant(self.maps(last), affine.affine(), &affine.scale, Pooling::None);
        let read = self.read_by(last, self.predictor.body.blocks[last].layers.len());
        head::backward(&reader, *final_relu, *head_pool, &dfeatures, &mut dx[read]);
        dx
    }

    /// Gradient of the maps of block `b`, given that of the next block's first map.
    fn transition(&self, b: usize, dy: &[T]) -> Vec<T> {
        let op = self.network.architecture().blocks[b].transition.as_ref().expect("all but the last have one");
        let packed = self.predictor.body.blocks[b].transition.as_ref().expect("all but the last have one");
        let mut dx = vec![T::zero(); self.maps[b].len()];
        let read = self.read_by(b, self.predictor.body.blocks[b].layers.len());
        let reader = constant(self.maps(b), packed.affine.affine(), &packed.affine.scale, Pooling::Average2x2);
        self.convolution(op, dy, &reader, Write::Overwrite, &mut dx[read]);
        dx
    }

    /// Propagates the gradient `dx` of the maps of block `b` back through all layers, last first; returns that of the
    /// first map.
    fn layers(&mut self, b: usize, mut dx: Vec<T>) -> Vec<T> {
        for i in (0..self.predictor.body.blocks[b].layers.len()).rev() {
            let output = self.predictor.body.blocks[b].elements(&(i + 1..i + 2), self.grids[b]);
            let read = self.read_by(b, i);
            let (before, rest) = dx.split_at_mut(output.start);
            self.layer(b, i, &rest[..output.len()], &mut before[read]);
        }
        dx.truncate(self.predictor.body.blocks[b].elements(&(0..1), self.grids[b]).end);
        dx
    }

    /// Propagates the gradient `dy` of the output of layer `i` of block `b` back to `dx`, that of the maps that it
    /// reads.
    fn layer(&mut self, b: usize, i: usize, dy: &[T], dx: &mut [T]) {
        let layer = &self.network.architecture().blocks[b].layers[i];
        let (block, grid) = (&self.predictor.body.blocks[b], self.grids[b]);
        let first = &block.layers[i].first;
        let [mut rectified, mut gradient] = std::mem::take(&mut self.bottleneck);
        let maps = block.maps(&self.maps[b], grid, self.joining, i);
        let reader = constant(maps, first.affine.affine(), &first.affine.scale, Pooling::None);
        let write = if self.joining == Joining::Dense { Write::Accumulate } else { Write::Overwrite };
        match &layer.bottleneck {
            None => self.convolution(&layer.conv, dy, &reader, write, dx),
            Some(bottleneck) => {
                let channels = bottleneck.conv.out_channels;
                let rectified = rectified.at_least(channels * grid.pixels());
                first.conv.run(&first.input(maps, Pooling::None), true, None, rectified, Probe::default());
                let gradient = gradient.at_least(rectified.len());
                // The batch-norm after it is already part of what was rectified; its scale is not in the backward
                // weights.
                let (same, map_channels) = (RunningAffine::identity(channels), [channels]);
                let scale = self.network.running_affine(&layer.conv.norm).scale;
                let rectified = FeatureMaps::new(rectified, grid, &map_channels);
                let second = constant(rectified, same.affine(), &scale, Pooling::None);
                self.convolution(&layer.conv, dy, &second, Write::Overwrite, gradient);
                self.convolution(bottleneck, gradient, &reader, write, dx);
            }
        }
        self.bottleneck = [rectified, gradient];
        if self.joining == Joining::Residual {
            add_scaled(dx, dy, T::one());
        }
    }

    /// Gradient of the pictures, given that of the first map, `dy`.
    fn stem(&self, dy: &[T]) -> Vec<T> {
        let (arch, grid) = (self.network.architecture(), self.batch.grid);
        let (conv, window) = (&arch.stem_conv, conv_shape(&arch.stem_conv).window);
        let mut dy = Cow::from(dy);
        if let Some(norm) = &arch.stem_norm {
            let (affine, map_channels) = (self.network.running_affine(norm), [conv.out_channels]);
            let same = RunningAffine::identity(conv.out_channels);
            // Without pooling, the first map is what was normalised and rectified.
            let (map, taken, pool) = match arch.stem_pool {
                Some(pool) => (&self.raw, &affine, stem_pool(pool)),
                None => (&self.maps[0], &same, stem::Pool::NONE),
            };
            let output = window.output(grid);
            let map = FeatureMaps::new(&map[..output.pixels() * conv.out_channels], output, &map_channels);
            let reader = constant(map, taken.affine(), &affine.scale, Pooling::None);
            let mut dx = vec![T::zero(); output.pixels() * conv.out_channels];
            stem::backward(&reader, pool, &dy, &mut dx);
            dy = dx.into();
        }
        let mut dx = vec![T::zero(); self.batch.pictures.len()];
        let weight = &self.network.parameters()[conv.weight.clone()];
        conv::backward_pictures(&dy, weight, window, grid, &mut dx);
        dx
    }

    /// Propagates the gradient `dy` of the output of `op` back to `dx`, that of the maps that its batch-norm reads.
    fn convolution(&self, op: &PreAct, dy: &[T], reader: &Normalised<'_, T>, write: Write, dx: &mut [T]) {
        let weight = &self.network.parameters()[op.conv.weight.clone()];
        conv::backward_data(conv_shape(&op.conv), dy, weight, reader, write, dx);
    }

    /// Where the maps read by layer `i` are in the memory of block `b`.
    fn read_by(&self, b: usize, i: usize) -> Range<usize> {
        self.predictor.body.blocks[b].elements(&self.joining.read_by(i), self.grids[b])
    }
}

/// A batch-norm with constant statistics: it passes back `scale * dz`. Its mean and deviation would only affect the
/// gradients of its parameters, which nobody needs.
fn constant<'a, T>(
    maps: FeatureMaps<'a, T>,
    affine: Affine<'a, T>,
    scale: &'a [T],
    pooling: Pooling,
) -> Normalised<'a, T> {
    Normalised { maps, mean: scale, inv_std: scale, gamma: scale, affine, pooling }
}
