//! Recipes side by side: where they differ, and which runs differ only in their seed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use toml::Value;

use crate::train::recipe::flatten;

/// A recipe's values by their keys; the keys of tables are joined by dots.
pub type Recipe = BTreeMap<String, String>;

/// The values of a recipe in TOML.
///
/// # Errors
/// A text that is not TOML.
pub fn parse(text: &str) -> Result<Recipe> {
    let mut values = Vec::new();
    flatten("", &Value::Table(text.parse().context("not TOML")?), &mut values);
    Ok(values.into_iter().map(|(key, value)| (key, value.trim_matches('"').into())).collect())
}

/// The value of `key`, in whichever table it is.
pub fn value<'a>(recipe: &'a Recipe, key: &str) -> Option<&'a str> {
    let found = recipe.iter().find(|(known, _)| is(known, key));
    found.map(|(_, value)| value.as_str())
}

fn is(known: &str, key: &str) -> bool {
    known.rsplit('.').next() == Some(key)
}

/// The keys whose values are not the same in all recipes.
pub fn differences(recipes: &[&Recipe]) -> Vec<String> {
    let keys: BTreeSet<&String> = recipes.iter().flat_map(|recipe| recipe.keys()).collect();
    let differs = |key: &&String| recipes.windows(2).any(|pair| pair[0].get(*key) != pair[1].get(*key));
    keys.into_iter().filter(differs).cloned().collect()
}

/// Whether two recipes are the same except for their seeds.
pub fn same_but_for_seed(a: &Recipe, b: &Recipe) -> bool {
    differences(&[a, b]).iter().all(|key| is(key, "seed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_differ_by_value() {
        let one = parse("model = 'm'\nseed = 1\n[optimiser]\nlr = 0.1\nbetas = [0.9, 0.99]\n").unwrap();
        let two = parse("seed = 2\nmodel = \"m\"\noptimiser = { lr = 0.1, betas = [0.9, 0.99] }").unwrap();
        let three = parse("seed = 2\nmodel = \"m\"\noptimiser = { lr = 0.2 }").unwrap();
        assert_eq!((value(&one, "lr"), value(&one, "model"), value(&one, "epochs")), (Some("0.1"), Some("m"), None));
        assert_eq!(differences(&[&one, &two]), ["seed"]);
        assert_eq!(differences(&[&one, &two, &three]), ["optimiser.betas", "optimiser.lr", "seed"]);
        assert!(same_but_for_seed(&one, &two) && !same_but_for_seed(&two, &three));
        assert!(parse("lr = ").is_err());
    }
}
