//! A reference from features.

use std::collections::BTreeMap;

use half::f16;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::reference::{Distances, Origin, Parts, Reference, unit};
use super::whitening::{covariance, whitening};

/// Number of embeddings that are kept, unless there are many classes: more hardly improve the distance.
pub const EMBEDDINGS: usize = 200;

/// Number of embeddings that are kept per class if there are many classes.
const EMBEDDINGS_OF_CLASS: usize = 4;

/// The share of held-out pictures that should be within the reach.
pub const WITHIN: f64 = 0.99;

/// More features than a network with pooling has; the covariance of this many takes 128 MiB.
pub const MOST_FEATURES: usize = 4096;

/// Features of pictures from which a reference is made.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// One row per training picture.
    pub features: ArrayView2<'a, f32>,
    /// The class of each training picture; empty if pictures have any number of labels, which counts as one class.
    pub classes: &'a [usize],
    /// One row per picture that the network was not trained on.
    pub held_out: ArrayView2<'a, f32>,
}

impl Reference {
    /// The reference of a network whose weights have this [`fingerprint`](crate::DenseNet::fingerprint), from pictures
    /// of `data`.
    ///
    /// # Errors
    /// Why none can be made from the `sample`.
    ///
    /// # Panics
    /// If the number of classes, or the width of the held-out features, does not match the features.
    pub fn fit(sample: &Sample<'_>, data: &str, weights: String) -> Result<Self, String> {
        let &Sample { features, classes, held_out } = sample;
        check(sample)?;
        let group = groups(classes, features.nrows());
        if group.iter().max().is_some_and(|&last| last + 1 == group.len()) {
            return Err(
                "each class has one picture; some class needs two, to show how pictures of a class differ".into()
            );
        }
        let (means, mean) = (means(features, &group), features.mapv(f64::from).mean_axis(Axis(0)).expect("rows"));
        let flat = || "the network computes the same features for all these pictures".to_string();
        let whitening = whitening(covariance(features, &group, &means)).ok_or_else(flat)?;
        let parts = Parts {
            class_means: whitened(&means, &mean, &whitening),
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            whitening: whitening.rows().into_iter().enumerate().flat_map(|(i, row)| lower(row.to_vec(), i)).collect(),
            embeddings: embeddings(features, EMBEDDINGS.max(EMBEDDINGS_OF_CLASS * means.nrows())),
        };
        let found: Vec<Distances> = held_out.rows().into_iter().map(|row| parts.distances(row)).collect();
        let reach = reach(&found);
        let origin = Origin { data: data.into(), pictures: features.nrows(), held_out: held_out.nrows(), weights };
        Ok(Self::new(parts, origin, reach))
    }
}

fn check(sample: &Sample<'_>) -> Result<(), String> {
    let &Sample { features, classes, held_out } = sample;
    let (pictures, width) = features.dim();
    assert!(classes.is_empty() || classes.len() == pictures, "a class a picture");
    assert_eq!(held_out.ncols(), width, "features of held-out pictures");
    if width > MOST_FEATURES {
        return Err(format!("the network has {width} features; a reference can have at most {MOST_FEATURES}"));
    }
    if pictures < 2 || held_out.nrows() == 0 {
        return Err(format!(
            "{pictures} training and {} other pictures; at least 2 and 1 are needed",
            held_out.nrows()
        ));
    }
    match features.iter().chain(held_out).all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err("the network's features of some pictures are not finite".into()),
    }
}

/// The group of each of the `pictures`: classes without a picture are not groups.
fn groups(classes: &[usize], pictures: usize) -> Vec<usize> {
    if classes.is_empty() {
        return vec![0; pictures];
    }
    let mut numbers: BTreeMap<usize, usize> = classes.iter().map(|&class| (class, 0)).collect();
    numbers.values_mut().enumerate().for_each(|(i, number)| *number = i);
    classes.iter().map(|class| numbers[class]).collect()
}

/// The mean of each group, one per row.
fn means(features: ArrayView2<'_, f32>, group: &[usize]) -> Array2<f64> {
    let groups = group.iter().max().expect("a picture") + 1;
    let (mut sums, mut counts) = (Array2::<f64>::zeros((groups, features.ncols())), vec![0u64; groups]);
    for (row, &group) in features.rows().into_iter().zip(group) {
        sums.row_mut(group).zip_mut_with(&row, |sum, &value| *sum += f64::from(value));
        counts[group] += 1;
    }
    sums.rows_mut().into_iter().zip(counts).for_each(|(mut row, count)| row /= count as f64);
    sums
}

/// Whitened means, for comparison with whitened features.
fn whitened(means: &Array2<f64>, mean: &Array1<f64>, whitening: &Array2<f64>) -> Vec<f32> {
    (means - mean).dot(&whitening.t()).into_iter().map(|value| value as f32).collect()
}

/// Row `i` of a lower triangle.
fn lower(row: Vec<f64>, i: usize) -> impl Iterator<Item = f32> {
    row.into_iter().take(i + 1).map(|value| value as f32)
}

/// `count` of the rows, or all, spread evenly.
fn embeddings(features: ArrayView2<'_, f32>, count: usize) -> Vec<f16> {
    let (rows, count) = (features.nrows(), features.nrows().min(count));
    (0..count).flat_map(|i| unit(features.row(i * rows / count))).map(f16::from_f64).collect()
}

/// The distances within both of which [`WITHIN`] of `found` are: the quantile of each distance, scaled by a common
/// factor.
fn reach(found: &[Distances]) -> Distances {
    let each = |of: fn(&Distances) -> f64| quantile(found.iter().map(of).collect());
    let alone = Distances { mahalanobis: each(|d| d.mahalanobis), neighbour: each(|d| d.neighbour) };
    let factor = quantile(found.iter().map(|distances| distances.relative_to(&alone)).collect());
    Distances { mahalanobis: factor * alone.mahalanobis, neighbour: factor * alone.neighbour }
}

/// The value that [`WITHIN`] of `values` do not exceed.
fn quantile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let inside = (WITHIN * values.len() as f64).ceil() as usize;
    values[inside.clamp(1, values.len()) - 1]
}
