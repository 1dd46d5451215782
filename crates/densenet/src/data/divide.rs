//! Holding pictures out of a training part, to choose by.

use densenet_kernels::random::Stream;

use super::{Split, Targets};

/// Of `split`'s pictures the indices to keep and those to hold out: `fraction` of every class, rounded up, but never all
/// of it, in the order in which they stood. Which ones depends on `seed` alone.
///
/// Pictures with any number of labels are taken as one class.
pub(super) fn divided(split: &Split, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let class_of = |index: usize| match split.targets() {
        Targets::Classes(classes) => classes[index],
        Targets::Labels(_) => 0,
    };
    let mut of_class = vec![Vec::new(); split.classes().len().max(1)];
    (0..split.len()).for_each(|index| of_class[class_of(index)].push(index));
    let random = Stream::new(seed, 0);
    let (mut kept, mut held) = (Vec::new(), Vec::new());
    for mut indices in of_class {
        indices.sort_by_key(|&index| random.bits(index as u64));
        let count = ((indices.len() as f64 * fraction).ceil() as usize).min(indices.len().saturating_sub(1));
        kept.extend(indices.split_off(count));
        held.extend(indices);
    }
    kept.sort_unstable();
    held.sort_unstable();
    (kept, held)
}
