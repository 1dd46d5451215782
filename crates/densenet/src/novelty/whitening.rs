//! The covariance of features, and the matrix that transforms it into the identity.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, s};

/// Number of rows that are centred and multiplied at a time.
const ROWS: usize = 256;

/// The least shrinkage, so that a constant feature has a variance, too.
const LEAST_SHRINKAGE: f64 = 1e-6;

/// The covariance of `features` about the `means` of their groups, where `group` is the group of each row, shrunk
/// towards a multiple of the identity by the amount that is optimal according to Ledoit and Wolf (2004, "A
/// well-conditioned estimator for large-dimensional covariance matrices").
pub(super) fn covariance(features: ArrayView2<'_, f32>, group: &[usize], means: &Array2<f64>) -> Array2<f64> {
    let (rows, columns) = features.dim();
    let mut sum = Array2::zeros((columns, columns));
    let mut fourth = 0.0;
    for (features, group) in features.axis_chunks_iter(Axis(0), ROWS).zip(group.chunks(ROWS)) {
        let mut centred = features.mapv(f64::from);
        centred.rows_mut().into_iter().zip(group).for_each(|(mut row, &group)| row -= &means.row(group));
        fourth += centred.rows().into_iter().map(|row| row.dot(&row).powi(2)).sum::<f64>();
        general_mat_mul(1.0, &centred.t(), &centred, 1.0, &mut sum);
    }
    sum /= rows as f64;
    shrunk(sum, fourth / rows as f64, rows)
}

/// Shrinks the covariance of `rows` rows, where `fourth` is the mean square of their squared lengths.
fn shrunk(mut covariance: Array2<f64>, fourth: f64, rows: usize) -> Array2<f64> {
    let columns = covariance.nrows() as f64;
    let variance = covariance.diag().sum() / columns;
    let squares = covariance.iter().map(|value| value * value).sum::<f64>();
    let spread = squares / columns - variance * variance;
    let error = ((fourth - squares) / (columns * rows as f64)).clamp(0.0, spread.max(0.0));
    let shrinkage = if error > 0.0 { error / spread } else { 0.0 }.max(LEAST_SHRINKAGE);
    covariance *= 1.0 - shrinkage;
    covariance.diag_mut().iter_mut().for_each(|value| *value += shrinkage * variance);
    covariance
}

/// The inverse of the lower Cholesky factor of `covariance`; `None` if it is not positive definite.
pub(super) fn whitening(covariance: Array2<f64>) -> Option<Array2<f64>> {
    let factor = cholesky(covariance)?;
    let size = factor.nrows();
    let mut inverse = Array2::zeros((size, size));
    for i in 0..size {
        let (done, mut rest) = inverse.view_mut().split_at(Axis(0), i);
        let mut row = rest.row_mut(0);
        row[i] = 1.0;
        for k in 0..i {
            row.slice_mut(s![..=k]).scaled_add(-factor[[i, k]], &done.slice(s![k, ..=k]));
        }
        row /= factor[[i, i]];
    }
    Some(inverse)
}

/// The lower Cholesky factor in the lower triangle.
fn cholesky(mut matrix: Array2<f64>) -> Option<Array2<f64>> {
    for i in 0..matrix.nrows() {
        for j in 0..=i {
            let rest = matrix[[i, j]] - matrix.slice(s![i, ..j]).dot(&matrix.slice(s![j, ..j]));
            matrix[[i, j]] = match i == j {
                true if rest > 0.0 && rest.is_finite() => rest.sqrt(),
                true => return None,
                false => rest / matrix[[j, j]],
            };
        }
    }
    Some(matrix)
}
