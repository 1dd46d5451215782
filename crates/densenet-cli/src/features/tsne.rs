//! t-SNE of points in many dimensions (van der Maaten 2014).

use anyhow::{Result, bail};
use bhtsne::{Neighbor, tSNE};
use ndarray::ArrayView2;
use rayon::ThreadPoolBuilder;

use super::components::Plane;
use super::nearest::nearest;

/// How many neighbours count for a point, as in scikit-learn; fewer where there are few points.
const PERPLEXITY: usize = 30;

/// The fewest points of which a third can be meaningful neighbours.
pub const FEWEST: usize = 16;

/// How coarsely forces of far points are summed up, as in scikit-learn.
const THETA: f64 = 0.5;

/// Standard deviation of the places that the search begins with.
const BEGINNING: f64 = 1e-4;

/// Places of `points` `(N, values)`, all finite, where those that point in similar directions are near each other,
/// found from their principal plane; and the perplexity.
///
/// # Errors
/// Fewer points than [`FEWEST`].
pub fn tsne(points: ArrayView2<'_, f32>, plane: &Plane) -> Result<(Vec<[f64; 2]>, usize)> {
    let count = points.nrows();
    if count < FEWEST {
        bail!("--map tsne needs at least {FEWEST} inputs; {count} could be read");
    }
    let perplexity = PERPLEXITY.min((count - 1) / 3);
    let Some(beginning) = beginning(plane) else { return Ok((plane.places.clone(), perplexity)) };
    let neighbours = neighbours(points, 3 * perplexity);
    // On one thread, sums are added in one order, so the places are the same on any number of cores.
    let alone = ThreadPoolBuilder::new().num_threads(1).build()?;
    let rows: Vec<usize> = (0..count).collect();
    let places = alone.install(|| {
        let mut search = tSNE::<f64, usize, 2>::new(&rows);
        search.perplexity(perplexity as f64).initial_embedding(beginning);
        search.barnes_hut_with_neighbors(THETA, &neighbours).embedding()
    });
    Ok((places.chunks_exact(2).map(|place| [place[0], place[1]]).collect(), perplexity))
}

/// The `count` points nearest to each, itself left out, and how far they are when all are brought to length 1.
fn neighbours(points: ArrayView2<'_, f32>, count: usize) -> Vec<Vec<Neighbor<f64>>> {
    let others = |(point, near): (usize, Vec<(usize, f32)>)| {
        let others = near.into_iter().filter(|(other, _)| *other != point).take(count);
        let far = |cosine: f32| (2.0 - 2.0 * f64::from(cosine)).max(0.0).sqrt();
        others.map(|(index, cosine)| Neighbor { index, distance: far(cosine) }).collect()
    };
    nearest(points, points, count + 1).into_iter().enumerate().map(others).collect()
}

/// Places in the principal `plane`, close together; none where all points are the same.
fn beginning(plane: &Plane) -> Option<Vec<f64>> {
    let squares: f64 = plane.places.iter().map(|place| place[0] * place[0]).sum();
    let deviation = (squares / plane.places.len() as f64).sqrt();
    (deviation > 0.0).then(|| plane.places.iter().flatten().map(|along| along / deviation * BEGINNING).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::components::principal_plane;
    use super::*;

    /// Ten points in each of six directions, which no plane can separate.
    fn directions() -> Array2<f32> {
        Array2::from_shape_fn((60, 6), |(point, axis)| {
            let noise = ((point * point * 31 + axis * 17 * (point + 3) + axis * axis * 5) % 101) as f32 / 202.0;
            noise + if point / 10 == axis { 1.0 } else { 0.0 }
        })
    }

    fn places(points: &Array2<f32>) -> Vec<[f64; 2]> {
        tsne(points.view(), &principal_plane(points.view())).unwrap().0
    }

    /// The share of points whose nearest place is one of the same ten.
    fn together(places: &[[f64; 2]]) -> f64 {
        let squared = |one: [f64; 2], other: [f64; 2]| (one[0] - other[0]).powi(2) + (one[1] - other[1]).powi(2);
        let is_near_its_own = |&point: &usize| {
            let others = (0..places.len()).filter(|other| *other != point);
            let nearest = others.min_by(|one, other| {
                squared(places[point], places[*one]).total_cmp(&squared(places[point], places[*other]))
            });
            nearest.unwrap() / 10 == point / 10
        };
        (0..places.len()).filter(is_near_its_own).count() as f64 / places.len() as f64
    }

    #[test]
    fn clusters_that_a_plane_cannot_part_are_parted() {
        let points = directions();
        let (flat, found) = (principal_plane(points.view()).places, places(&points));
        assert!(together(&flat) < 0.8, "{}", together(&flat));
        assert_eq!(together(&found), 1.0, "{found:?}");
    }

    #[test]
    fn places_are_the_same_each_time() {
        let points = directions();
        let four = ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        assert_eq!(places(&points), four.install(|| places(&points)));
    }

    #[test]
    fn few_points_are_refused_and_equal_ones_are_not() {
        let few = Array2::<f32>::ones((FEWEST - 1, 4));
        let error = tsne(few.view(), &principal_plane(few.view())).unwrap_err();
        assert_eq!(error.to_string(), "--map tsne needs at least 16 inputs; 15 could be read");
        for same in [Array2::<f32>::ones((FEWEST, 4)), Array2::zeros((40, 4))] {
            assert!(places(&same).iter().flatten().all(|along| along.is_finite()));
        }
    }
}
