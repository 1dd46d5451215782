//! Class weights, and sampling for data in which some classes or labels are rare.

use densenet_kernels::random::Stream;

use super::{Split, Targets};

/// The weight `n / (classes * n_c)` for each class, as scikit-learn's `compute_class_weight("balanced")`; 0 for a class
/// without pictures. The total weight of all pictures stays the same.
///
/// # Panics
/// Pictures with any number of labels; use [`pos_weight`] for those.
pub fn class_weights(split: &Split) -> Vec<f32> {
    let counts = counts(split);
    let seen = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| if count == 0 { 0.0 } else { split.len() as f32 / (seen * count) as f32 };
    counts.iter().map(weight).collect()
}

/// For each label, the number of pictures without it divided by the number with it, which `torch.nn.BCEWithLogitsLoss`
/// calls `pos_weight`. Pictures for which the label is not known are not counted; a label that no picture or every
/// picture has gets weight 1.
///
/// # Panics
/// Pictures with one class each.
pub fn pos_weight(split: &Split) -> Vec<f32> {
    let Targets::Labels(labels) = split.targets() else { panic!("pictures of one class each") };
    let names = split.classes().len();
    let count =
        |name: usize, wanted| labels.iter().skip(name).step_by(names).filter(|&&has| has == Some(wanted)).count();
    let weight = |name| match (count(name, true), count(name, false)) {
        (0, _) | (_, 0) => 1.0,
        (with, without) => without as f32 / with as f32,
    };
    (0..names).map(weight).collect()
}

/// As many pictures as there are, drawn with replacement so that every class is equally likely, as PyTorch's
/// `WeightedRandomSampler` draws them. The draws depend on `seed` alone.
///
/// # Panics
/// Pictures with any number of labels.
pub(crate) fn balanced_order(split: &Split, seed: u64) -> Vec<usize> {
    let mut of_class = vec![Vec::new(); split.classes().len()];
    split.labels().iter().enumerate().for_each(|(index, &class)| of_class[class].push(index));
    of_class.retain(|indices| !indices.is_empty());
    assert!(!of_class.is_empty(), "pictures of one class each");
    let random = Stream::new(seed, 0);
    let draw = |i: usize| {
        let class = &of_class[(random.bits(2 * i as u64) % of_class.len() as u64) as usize];
        class[(random.bits(2 * i as u64 + 1) % class.len() as u64) as usize]
    };
    (0..split.len()).map(draw).collect()
}

/// The number of pictures of each class.
fn counts(split: &Split) -> Vec<usize> {
    assert!(!split.labels().is_empty(), "pictures of one class each");
    let mut counts = vec![0; split.classes().len()];
    split.labels().iter().for_each(|&class| counts[class] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn split(labels: &[usize]) -> Split {
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Split::in_memory(Path::new("made-up"), [1, 1, 1], vec![0; labels.len()], labels.to_vec(), classes).unwrap()
    }

    /// sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1], y=[0] * 6 + [1] * 2) = 2/3, 2
    #[test]
    fn class_weights_are_those_of_scikit_learn() {
        assert_eq!(class_weights(&split(&[0, 0, 1, 0, 0, 1, 0, 0])), [8.0 / 12.0, 2.0, 0.0]);
    }

    #[test]
    fn a_balanced_order_takes_each_class_as_often() {
        let labels: Vec<usize> = (0..4000).map(|i| usize::from(i % 10 == 0)).collect();
        let split = split(&labels);
        let order = balanced_order(&split, 3);
        let rare = order.iter().filter(|&&index| labels[index] == 1).count();
        assert!(order.len() == 4000 && (1900..2100).contains(&rare), "{rare}");
        assert_eq!(order, balanced_order(&split, 3));
        assert_ne!(order, balanced_order(&split, 4));
    }
}
