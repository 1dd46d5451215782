//! What is kept of the training pictures, and the distance of a picture from it.

use half::f16;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

/// How far a picture's features are from those of the training pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// To the mean of the nearest class, in standard deviations of the training pictures from the means of their
    /// classes: the Mahalanobis distance with a covariance shared by all classes (Lee et al., NeurIPS 2018, arXiv
    /// 1807.03888).
    pub mahalanobis: f64,
    /// To the nearest of the embeddings, with features normalised to length 1, so from 0 to 2 (Sun et al., ICML 2022,
    /// arXiv 2204.06507).
    pub neighbour: f64,
}

impl Distances {
    /// The greater of the two distances relative to `other`; a distance that is 0 in both does not count.
    pub(super) fn relative_to(&self, other: &Self) -> f64 {
        let relative = |own: f64, other: f64| if own == 0.0 { 0.0 } else { own / other };
        relative(self.mahalanobis, other.mahalanobis).max(relative(self.neighbour, other.neighbour))
    }
}

/// What a reference was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The pictures' data set.
    pub data: String,
    /// Number of training pictures behind means, covariance and embeddings.
    pub pictures: usize,
    /// Number of other pictures behind the reach.
    pub held_out: usize,
    /// The [`fingerprint`](crate::DenseNet::fingerprint) of the network.
    pub weights: String,
}

/// What is kept of the training pictures of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    parts: Parts,
    origin: Origin,
    reach: Distances,
}

/// The numbers of a reference.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    /// The mean of all features.
    pub mean: Vec<f32>,
    /// The lower triangle, row by row, of the matrix `W` that turns Mahalanobis distances into Euclidean ones: the
    /// inverse of the covariance is `W^T W`.
    pub whitening: Vec<f32>,
    /// `W` times the difference between each class's mean and the mean of all features.
    pub class_means: Vec<f32>,
    /// Features of some of the pictures, normalised to length 1.
    pub embeddings: Vec<f16>,
}

impl Reference {
    /// Assembles stored parts.
    pub(crate) fn new(parts: Parts, origin: Origin, reach: Distances) -> Self {
        Self { parts, origin, reach }
    }

    /// The numbers, for storing.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What it was made from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The pair of distances within which 99 % of the held-out pictures lie.
    pub fn reach(&self) -> Distances {
        self.reach
    }

    /// A picture's distance relative to the reach, for whichever of the two distances is greater.
    pub fn relative(&self, distances: &Distances) -> f64 {
        distances.relative_to(&self.reach)
    }

    /// Whether a picture at these distances is marked as unlike the training pictures: beyond the reach in either
    /// distance. Each finds pictures that the other does not (`docs/unlike.md`).
    pub fn is_unlike(&self, distances: &Distances) -> bool {
        self.relative(distances) > 1.0
    }

    /// Its number of features.
    pub fn num_features(&self) -> usize {
        self.parts.mean.len()
    }

    /// The distances of pictures whose features are the rows of `features`.
    ///
    /// # Panics
    /// If there are not as many features as the network has.
    pub fn distances(&self, features: ArrayView2<'_, f32>) -> Vec<Distances> {
        features.rows().into_iter().map(|row| self.parts.distances(row)).collect()
    }
}

impl Parts {
    /// The distances of a picture with these features.
    pub(super) fn distances(&self, features: ArrayView1<'_, f32>) -> Distances {
        assert_eq!(features.len(), self.mean.len(), "features of a picture");
        Distances { mahalanobis: self.mahalanobis(features), neighbour: self.neighbour(features) }
    }

    fn mahalanobis(&self, features: ArrayView1<'_, f32>) -> f64 {
        let centred: Vec<f64> =
            features.iter().zip(&self.mean).map(|(&x, &mean)| f64::from(x) - f64::from(mean)).collect();
        let (mut white, mut rest) = (Vec::with_capacity(centred.len()), &*self.whitening);
        for length in 1..=centred.len() {
            let (row, after) = rest.split_at(length);
            white.push(row.iter().zip(&centred).map(|(&w, x)| f64::from(w) * x).sum::<f64>());
            rest = after;
        }
        let squared =
            |class: &[f32]| white.iter().zip(class).map(|(x, &mean)| (x - f64::from(mean)).powi(2)).sum::<f64>();
        self.class_means.chunks_exact(white.len()).map(squared).fold(f64::INFINITY, f64::min).sqrt()
    }

    fn neighbour(&self, features: ArrayView1<'_, f32>) -> f64 {
        let unit = unit(features);
        let squared =
            |other: &[f16]| unit.iter().zip(other).map(|(x, other)| (x - other.to_f64()).powi(2)).sum::<f64>();
        self.embeddings.chunks_exact(unit.len()).map(squared).fold(f64::INFINITY, f64::min).sqrt()
    }
}

/// `features` normalised to length 1; zeros stay zeros.
pub(super) fn unit(features: ArrayView1<'_, f32>) -> Vec<f64> {
    let length = features.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { length.recip() } else { 0.0 };
    features.iter().map(|&x| f64::from(x) * scale).collect()
}
