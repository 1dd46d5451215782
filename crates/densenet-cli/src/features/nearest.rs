//! The pictures whose features are most similar to those of an input.

use std::fmt::Write;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::Serialize;

/// Inputs that are compared together.
const TOGETHER: usize = 64;

/// An input and the pictures that are most similar to it.
#[derive(Serialize)]
pub struct Neighbours {
    /// What is compared.
    pub input: String,
    /// Nearest first.
    pub nearest: Vec<Neighbour>,
}

/// A picture that is similar to an input.
#[derive(Serialize)]
pub struct Neighbour {
    /// Its path, or its place in a data set without files.
    pub picture: String,
    /// Its labels; nothing in a folder without classes.
    pub labels: Vec<String>,
    /// The cosine of the angle between the two pictures' features, from -1 to 1.
    pub similarity: f32,
    /// A small JPEG in Base64, for a page.
    #[serde(skip)]
    pub thumbnail: Option<String>,
}

/// For each row of `queries`, the `count` rows of `among` (with as many values) with the greatest cosine, greatest
/// first; of equal ones, the first comes first.
pub fn nearest(queries: ArrayView2<'_, f32>, among: ArrayView2<'_, f32>, count: usize) -> Vec<Vec<(usize, f32)>> {
    let (queries, among) = (units(queries), units(among));
    let chunks: Vec<_> = queries.axis_chunks_iter(Axis(0), TOGETHER).collect();
    let of_chunk = |chunk: ArrayView2<'_, f32>| {
        chunk.dot(&among.t()).rows().into_iter().map(|row| greatest(row, count)).collect::<Vec<_>>()
    };
    chunks.into_par_iter().flat_map_iter(of_chunk).collect()
}

/// Rows scaled to length 1; a row of zeros stays, at right angles to all others.
fn units(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.rows_mut() {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
    }
    rows
}

/// The places and values of the `count` greatest.
fn greatest(values: ArrayView1<'_, f32>, count: usize) -> Vec<(usize, f32)> {
    let mut order: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    let greater = |one: &(usize, f32), other: &(usize, f32)| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0));
    if count < order.len() {
        order.select_nth_unstable_by(count, greater);
        order.truncate(count);
    }
    order.sort_unstable_by(greater);
    order
}

/// A line for each, for people.
pub fn lines(neighbours: &[Neighbours]) -> String {
    let mut text = String::new();
    for Neighbours { input, nearest } in neighbours {
        let named = nearest.iter().map(Neighbour::in_words).collect::<Vec<_>>();
        let _ = writeln!(text, "{input}: {}", named.join(", "));
    }
    text
}

impl Neighbour {
    /// As `train/coat/1.png (coat) 0.9812`.
    fn in_words(&self) -> String {
        let labels = if self.labels.is_empty() { String::new() } else { format!(" ({})", self.labels.join(" + ")) };
        format!("{}{labels} {:.4}", self.picture, self.similarity)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn nearest_by_hand() {
        let among = array![[0.0, 2.0], [5.0, 0.0], [0.0, 0.0], [3.0, 3.0], [1.0, 0.0]];
        let queries = array![[7.0f32, 0.0], [3.0, 4.0]];
        let found = nearest(queries.view(), among.view(), 3);
        let rows = |row: usize| found[row].iter().map(|near| near.0).collect::<Vec<_>>();
        assert_eq!([rows(0), rows(1)], [[1, 4, 3], [3, 0, 1]]);
        let wanted = [1.4 / 2f32.sqrt(), 0.8, 0.6];
        assert!(found[1].iter().zip(wanted).all(|(near, wanted)| (near.1 - wanted).abs() < 1e-6), "{found:?}");
        assert_eq!(nearest(queries.view(), among.view(), 99)[0].len(), 5, "no more than there are");
    }

    #[test]
    fn chunks_do_not_change_an_answer() {
        let rows = Array2::from_shape_fn((3 * TOGETHER + 1, 5), |(i, j)| ((i * 31 + j * 17) % 97) as f32 - 40.0);
        let all = nearest(rows.view(), rows.view(), 4);
        for (row, found) in all.iter().enumerate() {
            let alone = nearest(rows.slice(ndarray::s![row..=row, ..]), rows.view(), 4).remove(0);
            assert_eq!((found, found[0].1 > 0.999), (&alone, true));
        }
    }
}
