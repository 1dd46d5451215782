//! Recipes: all that determines a run, as TOML.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use densenet::data::TableOptions;
use densenet::files::write_whole;
use densenet::optimiser::Kind;
use densenet::training::{Run, Settings};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::decoding::Decoding;
use crate::output::Misuse;

/// The file of a run's recipe in its folder.
pub const FILE: &str = "recipe.toml";

/// The recipes that the program brings along.
const NAMED: [(&str, &str); 6] = [
    ("paper-cifar", include_str!("../../recipes/paper-cifar.toml")),
    ("paper-imagenet", include_str!("../../recipes/paper-imagenet.toml")),
    ("article", include_str!("../../recipes/article.toml")),
    ("finetune", include_str!("../../recipes/finetune.toml")),
    ("multilabel", include_str!("../../recipes/multilabel.toml")),
    ("quick", include_str!("../../recipes/quick.toml")),
];

/// All that determines a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network by name; that of `init` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Weights to begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// The data set by name or path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Height and width of the pictures; the network's own where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Dropout; the network's own where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_rate: Option<f64>,
    /// Of all that is random; the first of several.
    pub seed: u64,
    /// Networks to train, each from a seed of its own; 0 and 1 are one.
    #[serde(skip_serializing_if = "at_most_one")]
    pub seeds: u32,
    /// How a picture's file becomes pixels.
    pub decoding: Decoding,
    /// How a table of pictures is read.
    pub table: TableOptions,
    /// How it trains.
    pub training: Settings,
}

fn at_most_one(seeds: &u32) -> bool {
    *seeds <= 1
}

/// The table of the recipe `source`: a name, or a file.
pub fn read(source: &Path) -> Result<Table> {
    if let Some((_, text)) = NAMED.iter().find(|(name, _)| source.as_os_str() == *name) {
        return Ok(spelled_out(text.parse().expect("a test reads the recipes that come along")));
    }
    if !source.exists() {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        bail!("{}: no such recipe; there is {}, or give a TOML file", source.display(), names.join(", "));
    }
    let text = fs::read_to_string(source).with_context(|| source.display().to_string())?;
    Ok(spelled_out(text.parse().with_context(|| source.display().to_string())?))
}

/// `table` where a word for the augmentation is the table that it stands for, over which options can be laid.
fn spelled_out(mut table: Table) -> Table {
    let augment = table.get_mut("training").and_then(|training| training.get_mut("augment"));
    if let Some(word) = augment.filter(|augment| augment.is_str()) {
        *word = Value::Table(Table::from_iter([("base".into(), word.clone())]));
    }
    table
}

/// `over` laid over `base`: what both say is as `over` says.
pub fn layered(mut base: Table, over: Table) -> Table {
    for (name, value) in over {
        let value = match (base.remove(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(layered(below, above)),
            (_, value) => value,
        };
        base.insert(name, value);
    }
    base
}

impl Recipe {
    /// The recipe of `table`, laid over the usual settings of the optimiser that it names.
    pub fn of(table: Table) -> Result<Self> {
        let optimizer = table.get("training").and_then(|training| training.get("optimizer")?.as_str());
        let usual = Settings { val_fraction: 0.1, ..Settings::default() };
        let training = match optimizer {
            Some("adamw") => Settings { optimizer: Kind::AdamW, lr: 1e-3, weight_decay: 1e-2, ..usual },
            _ => usual,
        };
        let usual = Table::try_from(Self { training, ..Self::default() })?;
        // The spans of a text would be those of another.
        layered(usual, table).try_into().map_err(|error: toml::de::Error| {
            Misuse(format!("the recipe: {}", error.message().replace('\n', " "))).into()
        })
    }

    /// That of `run` in `folder`; for a run from before there were recipes, what its files tell.
    pub fn of_run(run: &Run, folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let card = run.card();
        let (size, drop_rate) = (Some(card.config.input_size), Some(card.config.drop_rate));
        let data = Some(card.dataset.clone());
        let recipe = match path.exists() {
            true => Self::of(read(&path)?).with_context(|| path.display().to_string())?,
            false => Self { data, ..Self::default() },
        };
        let decoding = Decoding::of(card.preprocessing()?);
        Ok(Self { size, drop_rate, seed: card.seed, decoding, training: run.settings.clone(), ..recipe })
    }

    /// Writes it into the run's `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self)?;
        Ok(write_whole(&folder.join(FILE), |file| std::io::Write::write_all(file, text.as_bytes()))?)
    }

    /// What `other` says otherwise, a line each: `training.lr: 0.1, now 0.05`.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        flatten("", &Value::try_from(self)?, &mut before);
        flatten("", &Value::try_from(other)?, &mut after);
        let of = |lines: &[(String, String)], name: &str| {
            lines.iter().find(|(n, _)| n == name).map_or("none".into(), |(_, value)| value.clone())
        };
        let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        let differ = names.into_iter().filter(|name| of(&before, name) != of(&after, name));
        Ok(differ.map(|name| format!("{name}: {}, now {}", of(&before, name), of(&after, name))).collect())
    }
}

/// The values of `value` with their dotted names.
pub fn flatten(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            let dotted = |key: &String| if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            table.iter().for_each(|(key, value)| flatten(&dotted(key), value, lines));
        }
        value => lines.push((name.into(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use densenet::data::{Augment, Augmentation, RandAugment};

    use super::*;

    fn of(text: &str) -> Result<Recipe> {
        Recipe::of(text.parse().unwrap())
    }

    #[test]
    fn recipes_that_come_along_are_sound_and_written_as_they_are_read() {
        for (name, text) in NAMED {
            let recipe = of(text).unwrap();
            recipe.training.validate().unwrap();
            let folder = tempfile::tempdir().unwrap();
            recipe.write(folder.path()).unwrap();
            assert_eq!(Recipe::of(read(&folder.path().join(FILE)).unwrap()).unwrap(), recipe, "{name}");
        }
        assert!(read(Path::new("paper")).unwrap_err().to_string().contains("paper-cifar, paper-imagenet"));
    }

    #[test]
    fn tables_lie_over_the_usual_settings() {
        let recipe = of("seed = 3\n[training]\noptimizer = \"adamw\"\nepochs = 7").unwrap();
        assert_eq!((recipe.seed, recipe.training.epochs, recipe.training.lr), (3, 7, 1e-3));
        let over = "[training]\nlr = 0.5".parse().unwrap();
        let table = layered("seed = 3\n[training]\nlr = 0.1\nepochs = 7".parse().unwrap(), over);
        let recipe = Recipe::of(table).unwrap();
        assert_eq!((recipe.seed, recipe.training.epochs, recipe.training.lr), (3, 7, 0.5));
        assert!(of("sede = 3").unwrap_err().to_string().contains("unknown field `sede`"));
        assert!(of("[training]\nlearning_rate = 3").unwrap_err().to_string().contains("unknown field `learning_rate`"));
    }

    #[test]
    fn options_lie_over_a_word_of_augmentation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        fs::write(&path, "[training]\naugment = \"crop-flip\"").unwrap();
        let over = "[training.augment]\nmixup = 0.2\nrand_augment = { ops = 2 }".parse().unwrap();
        let augment = Recipe::of(layered(read(&path).unwrap(), over)).unwrap().training.augment;
        let rand_augment = RandAugment { ops: 2, magnitude: 9 };
        assert_eq!(augment, Augmentation { mixup: 0.2, rand_augment, ..Augment::CropFlip.into() });
    }

    #[test]
    fn differences_have_a_line_each() {
        let (one, other) = (of("[training]\nlr = 0.1").unwrap(), of("size = 96\n[training]\nlr = 0.5").unwrap());
        assert_eq!(one.differences(&other).unwrap(), ["size: none, now 96", "training.lr: 0.1, now 0.5"]);
        assert!(one.differences(&one).unwrap().is_empty());
    }
}
