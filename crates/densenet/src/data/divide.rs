//! Holding pictures out of a part: a share of every class, without splitting groups.

use std::collections::BTreeMap;

use densenet_kernels::random::Stream;
use sha2::{Digest, Sha256};

use super::{Split, Targets};

/// The indices of `split`'s pictures to keep and to hold out: `fraction` of every class, rounded up, but never all of
/// it, in their original order. Which ones depends on `seed` alone.
///
/// Pictures with any number of labels count as one class; a group belongs to the class of most of its pictures. Groups
/// that are too large for what remains to be held out are skipped; if all are, the smallest is used.
pub(super) fn at_random(split: &Split, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let random = Stream::new(seed, 0);
    held_out(split.targets(), split.groups(), split.len(), fraction, |index| random.bits(index as u64))
}

/// The same for a tenth, by the hash of each picture's or group's name: the same pictures each time, on any machine.
pub(super) fn by_name<'a>(split: &Split, name: impl Fn(usize) -> &'a [u8]) -> (Vec<usize>, Vec<usize>) {
    held_out(split.targets(), split.groups(), split.len(), 0.1, |index| Sha256::digest(name(index)).to_vec())
}

/// The same in the order of `key`, smallest keys held out first.
fn held_out<K: Ord>(
    targets: &Targets,
    groups: &[usize],
    count: usize,
    fraction: f64,
    key: impl Fn(usize) -> K,
) -> (Vec<usize>, Vec<usize>) {
    let mut held = vec![false; count];
    for mut units in strata(targets, units(groups, count)).into_values() {
        units.sort_by_cached_key(|unit| key(unit[0]));
        for unit in share(&units, fraction) {
            unit.iter().for_each(|&index| held[index] = true);
        }
    }
    (0..count).partition(|&index| !held[index])
}

/// Pictures that must stay together: the groups, or else each picture on its own.
fn units(groups: &[usize], count: usize) -> Vec<Vec<usize>> {
    if groups.is_empty() {
        return (0..count).map(|index| vec![index]).collect();
    }
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(index, &group)| units.entry(group).or_default().push(index));
    units.into_values().collect()
}

/// The units of each class.
fn strata(targets: &Targets, units: Vec<Vec<usize>>) -> BTreeMap<usize, Vec<Vec<usize>>> {
    let mut strata: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
    for unit in units {
        let class = match targets {
            Targets::Classes(classes) => commonest(unit.iter().map(|&index| classes[index])),
            Targets::Labels(_) => 0,
        };
        strata.entry(class).or_default().push(unit);
    }
    strata
}

/// The most frequent of some classes; of equally frequent ones the smallest.
fn commonest(classes: impl Iterator<Item = usize>) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    classes.for_each(|class| *counts.entry(class).or_default() += 1);
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map_or(0, |(class, _)| class)
}

/// The first units that together make up `fraction` of all pictures: at least one unit, and never all.
fn share(units: &[Vec<usize>], fraction: f64) -> Vec<&Vec<usize>> {
    if units.len() < 2 {
        return Vec::new();
    }
    let pictures: usize = units.iter().map(Vec::len).sum();
    // A tenth of 70 pictures is 7, whatever the rounding of the product.
    let wanted = (pictures as f64 * fraction - 1e-9).ceil() as usize;
    let (mut taken, mut held) = (0, Vec::new());
    for unit in units {
        if held.len() + 1 < units.len() && taken + unit.len() <= wanted {
            taken += unit.len();
            held.push(unit);
        }
    }
    if held.is_empty() { units.iter().min_by_key(|unit| unit.len()).into_iter().collect() } else { held }
}

/// Why none of `split`'s pictures, which the message calls `pictures`, could be held out.
pub(super) fn too_few(split: &Split, pictures: &str) -> String {
    let units = match split.groups() {
        [] => pictures.to_owned(),
        _ => format!("groups of {pictures} (--group-by)"),
    };
    match split.targets() {
        Targets::Classes(_) => format!("no class has two {units}, one of which could be held out"),
        Targets::Labels(_) => format!("there are no two {units}, one of which could be held out"),
    }
}

#[cfg(test)]
mod tests;
