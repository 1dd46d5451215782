//! Batch statistics of feature maps.

use rayon::prelude::*;

use crate::parallel::{Partition, RowBlock};
use crate::scalar::Scalar;
use crate::simd::strided::MatrixMut;
use crate::simd::{Dispatch, Operation, Simd};

/// Added to a variance before taking its root, as in PyTorch.
pub const EPSILON: f64 = 1e-5;

/// Share of the batch's statistics in the updated running statistics, as in PyTorch.
pub const MOMENTUM: f64 = 0.1;

/// Number of channels whose statistics a thread merges at a time.
const MERGED_TOGETHER: usize = 32;

/// Batch statistics, one of each per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments<T> {
    /// Means.
    pub mean: Vec<T>,
    /// Biased variances, which are used to normalise.
    pub variance: Vec<T>,
}

/// Runs `work`, which computes feature maps, on every row block of `output`, and computes the batch statistics of the
/// result block by block, while it is still in the cache.
pub(crate) fn run_with_moments<T: Dispatch>(
    partition: &Partition,
    mut output: MatrixMut<'_, T>,
    work: &(impl Fn(RowBlock, MatrixMut<'_, T>) + Sync),
) -> Moments<T> {
    let channels = output.columns();
    let mut slots = vec![T::zero(); partition.len() * 2 * channels];
    partition.run_with_slots(output.reborrow(), &mut slots, 2 * channels, &|block, mut output, slot| {
        work(block, output.reborrow());
        block_moments(output.contiguous(), slot);
    });
    Moments::merge(&slots, channels, (0..partition.len()).map(|i| partition.pixels(&partition.get(i)).len()))
}

/// Mean and sum of squared deviations of a row block, `[pixel][channel]`, into `[2][channel]`: in two passes while it
/// is in the cache, so that large means cause no cancellation.
fn block_moments<T: Dispatch>(pixels: &[T], slot: &mut [T]) {
    struct Block<'a, T>(&'a [T], &'a mut [T]);
    impl<T: Scalar> Operation<T> for Block<'_, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T = T>>(self, simd: S) {
            let Self(pixels, slot) = self;
            let channels = slot.len() / 2;
            let mut start = 0;
            while start < channels {
                start += S::LANES
                    * match (channels - start).div_ceil(S::LANES) {
                        1 => moments_of::<S, 1>(simd, pixels, start, slot),
                        2 | 3 => moments_of::<S, 2>(simd, pixels, start, slot),
                        _ => moments_of::<S, 4>(simd, pixels, start, slot),
                    };
            }
        }
    }
    T::dispatch(Block(pixels, slot));
}

/// [`block_moments`] for `V` neighbouring vectors of channels from `start` on, interleaved, so that the additions to
/// one sum need not wait for each other. Returns the number of channels.
#[inline(always)]
fn moments_of<S: Simd, const V: usize>(simd: S, pixels: &[S::T], start: usize, slot: &mut [S::T]) -> usize {
    let channels = slot.len() / 2;
    let (means, squares) = slot.split_at_mut(channels);
    let (zero, scale) = (simd.splat(S::T::default()), simd.splat(S::T::of(1.0 / (pixels.len() / channels) as f64)));
    let mut mean = [zero; V];
    for pixel in pixels.chunks_exact(channels) {
        for (v, sum) in mean.iter_mut().enumerate() {
            *sum = simd.add(*sum, simd.load(&pixel[start + v * S::LANES..]));
        }
    }
    for mean in &mut mean {
        *mean = simd.mul(*mean, scale);
    }
    let (mut rests, mut sums) = ([zero; V], [zero; V]);
    for pixel in pixels.chunks_exact(channels) {
        for v in 0..V {
            let deviation = simd.sub(simd.load(&pixel[start + v * S::LANES..]), mean[v]);
            rests[v] = simd.add(rests[v], deviation);
            sums[v] = simd.mul_add(deviation, deviation, sums[v]);
        }
    }
    for v in 0..V {
        let from = start + v * S::LANES;
        // Deviations from the true mean sum to zero; the remainder shows how far off the rounded mean is.
        let off = simd.mul(rests[v], scale);
        simd.store(simd.add(mean[v], off), &mut means[from..]);
        simd.store(simd.sub(sums[v], simd.mul(rests[v], off)), &mut squares[from..]);
    }
    V
}

impl<T: Scalar> Moments<T> {
    /// Merges the means and squared deviations of row blocks, `[row block][2][channel]`, where block `i` has
    /// `pixels[i]` pixels (Chan, Golub and LeVeque 1979), in order and in double precision.
    fn merge(slots: &[T], channels: usize, pixels: impl Iterator<Item = usize> + Clone + Sync) -> Self {
        let channel = |c: usize| {
            let (mut count, mut mean, mut square) = (0.0, 0.0, 0.0);
            for (slot, pixels) in slots.chunks_exact(2 * channels).zip(pixels.clone()) {
                let here = pixels as f64;
                let delta = slot[c].f64() - mean;
                count += here;
                mean += delta * here / count;
                square += slot[channels + c].f64() + delta * delta * (count - here) * here / count;
            }
            (T::of(mean), T::of(square / count))
        };
        let (mean, variance) = (0..channels).into_par_iter().with_min_len(MERGED_TOGETHER).map(channel).unzip();
        Self { mean, variance }
    }

    /// Appends the statistics of another map.
    pub fn extend(&mut self, other: &Self) {
        self.mean.extend_from_slice(&other.mean);
        self.variance.extend_from_slice(&other.variance);
    }
}

/// `1 / sqrt(variance + EPSILON)`.
pub fn inv_std<T: Scalar>(variance: &[T]) -> Vec<T> {
    variance.iter().map(|v| T::of(1.0 / (v.f64() + EPSILON).sqrt())).collect()
}

/// Scale and shift of `gamma * (x - mean) * inv_std + beta`, one of each per channel.
pub fn affine<T: Scalar>(gamma: &[T], beta: &[T], mean: &[T], inv_std: &[T]) -> (Vec<T>, Vec<T>) {
    let scale: Vec<T> = gamma.iter().zip(inv_std).map(|(&g, &s)| g * s).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((&b, &m), &s)| b - m * s).collect();
    (scale, shift)
}
