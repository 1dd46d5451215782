//! The two principal components of points in many dimensions.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Rounds of power iteration, at most.
const ROUNDS: usize = 300;

/// What two directions may differ by and still count as one: 1 minus their cosine.
const SAME: f64 = 1e-12;

/// Points in the plane in which they differ most.
pub struct Plane {
    /// Where each point is, from the mean of all.
    pub places: Vec<[f64; 2]>,
    /// Share of the variance that is along each axis, from 0 to 1.
    pub shares: [f64; 2],
}

/// The plane of the two principal components of `points` `(N, values)`, all finite, N from 1. The point that is farthest
/// along an axis is on its positive side.
pub fn principal_plane(points: ArrayView2<'_, f32>) -> Plane {
    let wide = points.mapv(f64::from);
    let mean = wide.mean_axis(Axis(0)).expect("there is a point");
    let centred = wide - &mean;
    let across = centred.t().as_standard_layout().into_owned();
    let first = direction(&centred, &across, None);
    let second = direction(&centred, &across, Some(first.view()));
    let along = [first, second].map(|direction| upright(centred.dot(&direction)));
    let variance = centred.iter().map(|value| value * value).sum::<f64>().max(f64::MIN_POSITIVE);
    let shares = [0, 1].map(|axis| along[axis].dot(&along[axis]) / variance);
    Plane { places: (0..points.nrows()).map(|point| [along[0][point], along[1][point]]).collect(), shares }
}

/// The unit vector along which `centred` points vary most, at right angles to `other`, by power iteration; zeros where
/// they do not vary. `across` is their transpose.
fn direction(centred: &Array2<f64>, across: &Array2<f64>, other: Option<ArrayView1<'_, f64>>) -> Array1<f64> {
    let unit = |mut vector: Array1<f64>| {
        if let Some(other) = other {
            let along = vector.dot(&other);
            vector.scaled_add(-along, &other);
        }
        let length = vector.dot(&vector).sqrt();
        vector / if length > 0.0 { length } else { 1.0 }
    };
    let residual = |row: ArrayView1<'_, f64>| {
        let beside = other.map_or(0.0, |other| row.dot(&other));
        row.dot(&row) - beside * beside
    };
    let rows = centred.rows().into_iter();
    let farthest = rows.max_by(|one, another| residual(*one).total_cmp(&residual(*another)));
    let mut found = unit(farthest.expect("there is a point").to_owned());
    for _ in 0..ROUNDS {
        let next = unit(across.dot(&centred.dot(&found)));
        let cosine = next.dot(&found);
        found = next;
        if 1.0 - cosine < SAME {
            break;
        }
    }
    found
}

/// The same values, with the sign that makes the largest of them positive.
fn upright(values: Array1<f64>) -> Array1<f64> {
    let largest = values.iter().copied().max_by(|one, another| one.abs().total_cmp(&another.abs()));
    if largest.is_some_and(|largest| largest < 0.0) { -values } else { values }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    /// sklearn.decomposition.PCA(2).fit_transform(points), its explained_variance_ratio_
    #[test]
    fn components_are_those_of_scikit_learn() {
        let points = Array2::from_shape_fn((7, 4), |(i, j)| ((i * 7 + j * j * 3 + i * j) % 11) as f32);
        let plane = principal_plane(points.view());
        let first = [-3.797747, 7.338149, -0.294668, 3.413145, 1.964672, -5.668145, -2.955408];
        let second = [-0.801868, -0.460559, -3.293520, 1.166172, -1.034436, -3.867397, 8.291609];
        for (found, wanted) in plane.places.iter().zip(first.into_iter().zip(second).map(<[f64; 2]>::from)) {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", plane.places);
        }
        assert!(
            plane.shares.iter().zip([0.403_843_5, 0.316_780_6]).all(|(a, b)| (a - b).abs() < 1e-6),
            "{:?}",
            plane.shares
        );
    }

    #[test]
    fn points_that_do_not_differ_are_at_the_origin() {
        for points in [array![[1.0f32, 2.0, 3.0]], array![[0.5f32], [0.5]]] {
            let plane = principal_plane(points.view());
            assert_eq!((plane.places, plane.shares), (vec![[0.0; 2]; points.nrows()], [0.0; 2]));
        }
        let line = principal_plane(array![[0.0f32, 0.0], [3.0, 4.0]].view());
        assert!((line.places[0][0].abs() - 2.5).abs() < 1e-9 && line.places[0][1].abs() < 1e-9, "{:?}", line.places);
    }
}
