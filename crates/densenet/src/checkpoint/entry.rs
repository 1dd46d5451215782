//! Which part of a file is the network: training programs keep it in a dictionary together with an optimiser, an
//! average of the weights and counters.

use std::collections::BTreeMap;

/// Keys under which training programs keep a network, in order of preference. An average of the weights is what its
/// author evaluated, so it comes first, as in timm.
const USUAL: [&str; 17] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "swa_model",
    "averaged_model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "_orig_mod",
    "best_model",
];

/// How many of [`USUAL`] are averages.
const AVERAGES: usize = 6;

/// What optimisers keep for each parameter.
const OPTIMISER: [&str; 7] =
    ["momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "acc_delta", "sum"];

/// A tensor's name and its number of axes.
pub(super) type Named<'a> = (&'a str, usize);

/// The network's place in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// What stands before the names of its tensors: the keys of the dictionaries around them, each with a dot.
    pub prefix: String,
    /// Notes on the choice.
    pub notes: Vec<String>,
}

/// What a key of a dictionary holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Kernels and a matrix: a whole network.
    Network,
    /// Kernels, matrices or running statistics, but no whole network.
    Part,
    /// State of an optimiser.
    Optimiser,
    /// Nothing that belongs to a network.
    Else,
}

/// Finds the network among `tensors`; with `wanted`, the keys of a network joined by dots, uses that one.
///
/// # Errors
/// Several networks of which none is the usual choice, or no tensor under `wanted`; the message lists the keys.
pub(super) fn find(tensors: &[Named<'_>], wanted: Option<&str>) -> Result<Entry, String> {
    let mut entry = Entry::default();
    if let Some(wanted) = wanted {
        entry.prefix = format!("{wanted}.");
        if !tensors.iter().any(|(name, _)| name.starts_with(&entry.prefix)) {
            let keys: Vec<&str> = level(tensors, "").into_keys().collect();
            return Err(format!("no entry {wanted} in it; it has {}", keys.join(", ")));
        }
    }
    loop {
        let keys = level(tensors, &entry.prefix);
        let Some(key) = choose(&keys, &mut entry.notes)? else { return Ok(entry) };
        entry.prefix += &format!("{key}.");
    }
}

/// The keys of the dictionary after `prefix`, with what each holds.
fn level<'a>(tensors: &[Named<'a>], prefix: &str) -> BTreeMap<&'a str, Holds> {
    let mut keys: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
    for &(name, rank) in tensors {
        let Some(inside) = name.strip_prefix(prefix) else { continue };
        let (key, rest) = inside.split_once('.').unwrap_or((inside, ""));
        keys.entry(key).or_default().push((rest, rank));
    }
    keys.into_iter().map(|(key, inside)| (key, holds(&inside))).collect()
}

fn holds(inside: &[Named<'_>]) -> Holds {
    let has = |wanted: usize| inside.iter().any(|&(rest, rank)| rank == wanted && !rest.is_empty());
    let carried = |(rest, _): &Named<'_>| rest.rsplit('.').next().is_some_and(|last| OPTIMISER.contains(&last));
    let statistics = |(rest, _): &Named<'_>| rest.ends_with("running_mean");
    match () {
        () if inside.iter().any(carried) => Holds::Optimiser,
        () if has(4) && has(2) => Holds::Network,
        () if inside.iter().any(|&(_, rank)| rank > 1) || inside.iter().any(statistics) => Holds::Part,
        () => Holds::Else,
    }
}

/// The key to descend into; `None` where the dictionary is the network itself.
fn choose<'a>(keys: &BTreeMap<&'a str, Holds>, notes: &mut Vec<String>) -> Result<Option<&'a str>, String> {
    let of = |wanted: Holds| keys.iter().filter(move |(_, holds)| **holds == wanted).map(|(key, _)| *key);
    let networks: Vec<&str> = of(Holds::Network).collect();
    if let Some(at) = USUAL.iter().position(|usual| networks.contains(usual)) {
        let others: Vec<&str> = networks.iter().copied().filter(|key| *key != USUAL[at]).collect();
        if at < AVERAGES && !others.is_empty() {
            let (average, others) = (USUAL[at], others.join(", "));
            notes.push(format!("{average}, the average of the weights, is used; --entry selects another ({others})"));
        }
        return Ok(networks.into_iter().find(|key| *key == USUAL[at]));
    }
    // A backbone has no matrix, so its dictionary is recognised by having no part of a network beside it.
    let parts: Vec<&str> = of(Holds::Part).collect();
    match (&*networks, &*parts) {
        (&[one], []) => Ok(Some(one)),
        ([], &[one]) if USUAL.contains(&one) => Ok(Some(one)),
        ([], _) | (_, [_, ..]) => Ok(None),
        (several, []) => Err(format!("it holds several networks: {}; choose one with --entry", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: [Named<'static>; 4] =
        [("conv.weight", 4), ("norm.running_mean", 1), ("fc.weight", 2), ("fc.bias", 1)];

    fn under(key: &str) -> Vec<(String, usize)> {
        NETWORK.iter().map(|(name, rank)| (format!("{key}{name}"), *rank)).collect()
    }

    fn prefix(tensors: &[(String, usize)], wanted: Option<&str>) -> Result<String, String> {
        let named: Vec<Named<'_>> = tensors.iter().map(|(name, rank)| (name.as_str(), *rank)).collect();
        find(&named, wanted).map(|entry| entry.prefix)
    }

    fn told(parts: &[Vec<(String, usize)>]) -> Result<String, String> {
        prefix(&parts.concat(), None)
    }

    #[test]
    fn a_network_is_found_under_any_key() {
        let buffer =
            vec![("optimizer.state.0.momentum_buffer".into(), 4), ("optimizer.state.1.momentum_buffer".into(), 2)];
        let adam = vec![("opt.0.exp_avg".to_string(), 4), ("opt.1.exp_avg".into(), 2)];
        let loss = vec![("criterion.weight".to_string(), 1)];
        assert_eq!(told(&[under("")]).unwrap(), "");
        assert_eq!(told(&[under("module.")]).unwrap(), "module.");
        assert_eq!(told(&[under("weight."), buffer]).unwrap(), "weight.");
        assert_eq!(told(&[under("what.ever.module."), adam, loss]).unwrap(), "what.ever.module.");
    }

    #[test]
    fn an_average_is_taken_before_what_it_is_the_average_of() {
        assert_eq!(told(&[under("model."), under("model_ema.module.")]).unwrap(), "model_ema.module.");
        assert_eq!(told(&[under("state_dict."), under("state_dict_ema.")]).unwrap(), "state_dict_ema.");
        let both = [under("model."), under("model_ema.module.")].concat();
        assert_eq!(prefix(&both, Some("model")).unwrap(), "model.");
        assert!(prefix(&both, Some("net")).unwrap_err().contains("it has model, model_ema"));
    }

    #[test]
    fn of_several_networks_one_must_be_named() {
        let error = told(&[under("student."), under("teacher.")]).unwrap_err();
        assert!(error.contains("student, teacher"), "{error}");
    }

    #[test]
    fn parts_of_a_network_are_no_network() {
        let backbone = vec![("features.conv.weight".to_string(), 4), ("features.fc.weight".into(), 2)];
        assert_eq!(told(&[backbone, vec![("classifier.weight".into(), 2)]]).unwrap(), "");
        let kernels = |key: &str| vec![(format!("{key}conv.weight"), 4)];
        assert_eq!(told(&[kernels("net.")]).unwrap(), "net.");
        assert_eq!(told(&[kernels("features."), vec![("norm.running_mean".into(), 1)]]).unwrap(), "");
    }
}
