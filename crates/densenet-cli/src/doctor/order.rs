//! The order of a network's classes, inferred from its predictions of labelled pictures.

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

/// Pictures of each label, on average, that are needed: with fewer, some order explains any outcome.
const FEWEST: usize = 4;

/// A label and the class that a network takes a picture of it for.
pub type Taken = (usize, usize);

/// The class of each label where another order than `known` explains far more of what pictures are `taken` for, and how many
/// it explains; `classes` are the network's, at least as many as labels.
///
/// Half of the pictures set the order and the other half must confirm it, so that one found by chance is rejected.
pub fn other_order(taken: &[Taken], known: &[usize], classes: usize) -> Option<(Vec<usize>, usize)> {
    let mut labels: Vec<usize> = taken.iter().map(|&(label, _)| label).collect();
    labels.sort_unstable();
    labels.dedup();
    if taken.len() < FEWEST * labels.len() {
        return None;
    }
    let half = |rest: usize| -> Vec<Taken> { taken.iter().copied().skip(rest).step_by(2).collect() };
    let (makes, bears_out) = (half(0), half(1));
    let explained = right(&bears_out, &matched(&makes, known, classes));
    let explains =
        2 * explained > bears_out.len() && is_far_above(explained, right(&bears_out, known), bears_out.len());
    let found = explains.then(|| matched(taken, known, classes)).filter(|found| found != known)?;
    let explained = right(taken, &found);
    Some((found, explained))
}

/// Whether that many of `pictures` are more than chance adds to `before`.
pub fn is_far_above(right: usize, before: usize, pictures: usize) -> bool {
    right > before + pictures / 5
}

/// How many pictures are taken for the class of their label in that `order`.
fn right(taken: &[Taken], order: &[usize]) -> usize {
    taken.iter().filter(|&&(label, class)| order[label] == class).count()
}

/// The class of each label, no two of them the same, that explains most; where there is no evidence, that of `known`.
fn matched(taken: &[Taken], known: &[usize], classes: usize) -> Vec<usize> {
    let mut weights = Matrix::new(known.len(), classes, 0i64);
    // One picture counts more than everything known together.
    let picture = known.len() as i64 + 1;
    taken.iter().for_each(|&place| weights[place] += picture);
    known.iter().enumerate().for_each(|place| weights[(place.0, *place.1)] += 1);
    kuhn_munkres(&weights).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of each of five labels in turn, each taken for what `class` says of its label and number.
    fn taken(pictures: usize, class: impl Fn(usize, usize) -> usize) -> Vec<Taken> {
        (0..pictures).map(|i| (i * 5 / pictures, class(i * 5 / pictures, i))).collect()
    }

    const KNOWN: [usize; 5] = [0, 1, 2, 3, 4];

    #[test]
    fn a_permutation_is_found_among_mistakes() {
        let order = [2, 0, 5, 3, 1];
        let taken = taken(60, |label, i| if i % 4 == 0 { i % 6 } else { order[label] });
        let (found, explained) = other_order(&taken, &KNOWN, 6).unwrap();
        assert_eq!(found, order);
        assert!((45..60).contains(&explained), "{explained}");
        assert_eq!(other_order(&taken, &order, 6), None, "known already");
    }

    #[test]
    fn labels_without_pictures_keep_their_class() {
        let taken: Vec<Taken> = taken(40, |label, _| 1 - label % 2).iter().map(|&(l, c)| (l % 2, c)).collect();
        let swapped: Vec<Taken> = taken.iter().map(|&(label, _)| (label, 1 - label)).collect();
        assert_eq!(other_order(&swapped, &KNOWN, 5).unwrap().0, [1, 0, 2, 3, 4]);
    }

    #[test]
    fn chance_one_answer_for_all_and_few_pictures_tell_no_order() {
        let order = [2, 0, 4, 3, 1];
        assert_eq!(other_order(&taken(200, |label, i| (label * 31 + i * i * 7 + i / 3) % 5), &KNOWN, 5), None);
        assert_eq!(other_order(&taken(200, |_, _| 3), &KNOWN, 5), None);
        assert_eq!(other_order(&taken(15, |label, _| order[label]), &KNOWN, 5), None);
        assert!(other_order(&taken(20, |label, _| order[label]), &KNOWN, 5).is_some());
    }
}
