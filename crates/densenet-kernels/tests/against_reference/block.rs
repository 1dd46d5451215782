//! The feature maps of a dense block, their batch statistics, and the batch-norms that read them.

use densenet_kernels::batch_norm::{Normalised, affine, inv_std};
use densenet_kernels::reference::Shape4;
use densenet_kernels::reference::batch_norm::{self, Source, Statistics};
use densenet_kernels::{Affine, FeatureMaps, Grid, Pooling, Real};

use crate::check::elements;
use crate::draw::{Draw, single};
use crate::layout::to_maps;

/// Feature maps. The values of a channel are evenly spaced and in random order, so that ReLU's and the maximum's choices
/// are the same in every precision.
pub struct Block {
    pub shape: Shape4,
    pub widths: Vec<usize>,
    /// `(N, C, H, W)`.
    pub x: Vec<f64>,
    pub statistics: Statistics<f64>,
    /// Lower end of each channel's values, and how far they span.
    ranges: Vec<(f64, f64)>,
}

/// A batch-norm with ReLU that reads the first maps of a block.
#[derive(Clone)]
pub struct Reader {
    /// Shape of what it reads.
    pub shape: Shape4,
    pub widths: Vec<usize>,
    /// `(N, C, H, W)`.
    pub x: Vec<f64>,
    pub statistics: Statistics<f64>,
    pub gamma: Vec<f64>,
    pub beta: Vec<f64>,
}

impl Block {
    /// Random maps of `widths` channels.
    pub fn new(draw: &mut Draw, (n, h, w): (usize, usize, usize), widths: &[usize]) -> Self {
        let shape = Shape4::new(n, widths.iter().sum(), h, w);
        let ranges: Vec<_> = (0..shape.c).map(|_| (draw.uniform() * 3.0 - 2.0, 1.0 + draw.uniform() * 3.0)).collect();
        let count = n * shape.plane();
        let mut x = vec![0.0; shape.len()];
        for (c, (low, span)) in ranges.iter().enumerate() {
            for (i, place) in draw.order(count).into_iter().enumerate() {
                let at = shape.index(i / shape.plane(), c, 0, 0) + i % shape.plane();
                x[at] = single(low + span * (place as f64 + 0.5) / count as f64);
            }
        }
        let statistics = batch_norm::statistics(shape, &x);
        Self { shape, widths: widths.to_vec(), x, statistics, ranges }
    }

    /// A random batch-norm over the first `maps` maps, whose zeros lie half-way between neighbouring values.
    pub fn reader(&self, draw: &mut Draw, maps: usize) -> Reader {
        let widths = self.widths[..maps].to_vec();
        let shape = Shape4 { c: widths.iter().sum(), ..self.shape };
        let images = self.x.chunks_exact(self.shape.c * shape.plane());
        let x = images.flat_map(|image| &image[..shape.c * shape.plane()]).copied().collect();
        let (mean, variance) = (self.statistics.mean[..shape.c].to_vec(), self.statistics.variance[..shape.c].to_vec());
        let count = shape.n * shape.plane();
        let (mut gamma, mut beta) = (Vec::new(), Vec::new());
        for c in 0..shape.c {
            let size = 0.5 + draw.uniform();
            let scale = single(if draw.coin() { size } else { -size });
            let (low, span) = self.ranges[c];
            let zero = low + span * draw.between(0, count) as f64 / count as f64;
            beta.push(scale * (mean[c] - zero) / (variance[c] + batch_norm::EPSILON).sqrt());
            gamma.push(scale);
        }
        Reader { shape, widths, x, statistics: Statistics { mean, variance }, gamma, beta }
    }
}

impl Reader {
    /// A random batch-norm over random maps.
    pub fn new(draw: &mut Draw, extents: (usize, usize, usize), widths: &[usize]) -> Self {
        Block::new(draw, extents, widths).reader(draw, widths.len())
    }

    /// What ReLU is applied to, `(N, C, H, W)`.
    pub fn z(&self) -> Vec<f64> {
        batch_norm::forward(self.shape, &self.x, &self.statistics, &self.gamma, &self.beta)
    }

    /// Gradients in training for `dz` `(N, C, H, W)`, masked by ReLU: the textbook's two passes.
    pub fn backward(&self, dz: &[f64]) -> batch_norm::Gradients<f64> {
        batch_norm::backward(Source::Batch, self.shape, &self.x, &self.statistics, &self.gamma, dz)
    }

    /// `gamma * dz`, `(N, C, H, W)`.
    pub fn scaled(&self, dz: &[f64]) -> Vec<f64> {
        per_channel(self.shape, dz, |value, c| self.gamma[c] * value)
    }
}

/// `f(value, channel)` of `values` `(N, C, H, W)`.
pub fn per_channel(shape: Shape4, values: &[f64], f: impl Fn(f64, usize) -> f64) -> Vec<f64> {
    values.iter().enumerate().map(|(i, &value)| f(value, i / shape.plane() % shape.c)).collect()
}

/// The extents of `shape`.
pub fn grid(shape: Shape4) -> Grid {
    Grid { images: shape.n, height: shape.h, width: shape.w }
}

/// A [`Reader`] as the fast operations take it.
pub struct Typed<T> {
    grid: Grid,
    widths: Vec<usize>,
    pub data: Vec<T>,
    pub mean: Vec<T>,
    pub inv_std: Vec<T>,
    gamma: Vec<T>,
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Real> Typed<T> {
    pub fn new(reader: &Reader) -> Self {
        let Statistics { mean, variance } = &reader.statistics;
        let (mean, inv_std) = (elements(mean), inv_std(&elements::<T>(variance)));
        let gamma: Vec<T> = elements(&reader.gamma);
        let (scale, shift) = affine(&gamma, &elements(&reader.beta), &mean, &inv_std);
        let data = to_maps(reader.shape, &reader.widths, &reader.x);
        Self { grid: grid(reader.shape), widths: reader.widths.clone(), data, mean, inv_std, gamma, scale, shift }
    }

    pub fn maps(&self) -> FeatureMaps<'_, T> {
        FeatureMaps::new(&self.data, self.grid, &self.widths)
    }

    pub fn affine(&self) -> Affine<'_, T> {
        Affine { scale: &self.scale, shift: &self.shift }
    }

    /// The maps as a batch-norm normalises them whose reader does not pool them.
    pub fn normalised(&self) -> Normalised<'_, T> {
        let Self { mean, inv_std, gamma, .. } = self;
        Normalised { maps: self.maps(), mean, inv_std, gamma, affine: self.affine(), pooling: Pooling::None }
    }
}
