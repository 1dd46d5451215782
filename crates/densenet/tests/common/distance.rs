//! How far values are from those that they should be.

/// `|ours - theirs| / |theirs|` in the Euclidean norm; for the quotient, `theirs` counts as at least `floor` long.
pub fn distance(ours: impl IntoIterator<Item = f64>, theirs: &[f64], floor: f64) -> f64 {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "values to compare");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b)) / norm(&mut theirs.iter().copied()).max(floor)
}
