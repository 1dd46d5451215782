//! Recipes: everything that determines a run, as TOML.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use densenet::data::TableOptions;
use densenet::files::write_whole;
use densenet::network::Memory;
use densenet::optimiser::Kind;
use densenet::training::{Run, Settings};
use densenet::{Architecture, Config};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::decoding::Decoding;
use crate::output::Misuse;

/// The file of a run's recipe in its folder.
pub const FILE: &str = "recipe.toml";

/// The built-in recipes.
const NAMED: [(&str, &str); 6] = [
    ("paper-cifar", include_str!("../../recipes/paper-cifar.toml")),
    ("paper-imagenet", include_str!("../../recipes/paper-imagenet.toml")),
    ("article", include_str!("../../recipes/article.toml")),
    ("finetune", include_str!("../../recipes/finetune.toml")),
    ("multilabel", include_str!("../../recipes/multilabel.toml")),
    ("quick", include_str!("../../recipes/quick.toml")),
];

/// Everything that determines a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network by name; that of `init` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Weights to start from.
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
    /// The seed of everything random; the first of several.
    pub seed: u64,
    /// Networks to train, each from its own seed; 0 and 1 both mean one.
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
///
/// # Errors
/// A file that cannot be read, that is not TOML, or in which a recipe has no such name or type of value.
pub fn read(source: &Path) -> Result<Table> {
    if let Some((_, text)) = NAMED.iter().find(|(name, _)| source.as_os_str() == *name) {
        return Ok(spelled_out(text.parse().expect("a test reads the built-in recipes")));
    }
    if !source.exists() {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        bail!("{}: no such recipe; use {}, or a TOML file", source.display(), names.join(", "));
    }
    let text = fs::read_to_string(source).with_context(|| source.display().to_string())?;
    let wrong = |error: toml::de::Error| anyhow!("{}: {}", source.display(), in_its_line(&text, &error));
    toml::from_str::<Recipe>(&text).map_err(wrong)?;
    Ok(spelled_out(toml::from_str(&text).map_err(wrong)?))
}

/// What is wrong with `text`, and in which line of it.
fn in_its_line(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return in_words(error) };
    let above = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
    let line = text.lines().nth(above).map_or("", str::trim);
    format!("line {}, {line}: {}", above + 1, in_words(error))
}

/// What is wrong, without the names that Rust has for numbers.
fn in_words(error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    let of_rust = |names: &[&str]| names.iter().find_map(|name| message.strip_suffix(*name));
    match (of_rust(&["expected usize", "expected u64", "expected u32"]), of_rust(&["expected f64"])) {
        (Some(before), _) => format!("{before}expected a whole number"),
        (_, Some(before)) => format!("{before}expected a number"),
        (None, None) => message,
    }
}

/// `table`, with a word for the augmentation replaced by the table that it stands for, so that options can override it.
fn spelled_out(mut table: Table) -> Table {
    let augment = table.get_mut("training").and_then(|training| training.get_mut("augment"));
    if let Some(word) = augment.filter(|augment| augment.is_str()) {
        *word = Value::Table(Table::from_iter([("base".into(), word.clone())]));
    }
    table
}

/// `over` laid over `base`: where both say something, `over` wins.
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
        layered(usual, table)
            .try_into()
            .map_err(|error: toml::de::Error| Misuse(format!("the recipe: {}", in_words(&error))).into())
    }

    /// Checks that there is such a network, that it takes pictures of that size, and that a run can have the settings.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn validate(&self) -> densenet::Result<()> {
        if let Some(model) = &self.model {
            let config = self.configured(Config::preset(model)?);
            Architecture::new(&config)?.block_sizes(config.input_size, config.input_size)?;
        }
        self.training.validate()
    }

    /// The network `preset` with the recipe's picture size and dropout.
    pub fn configured(&self, preset: Config) -> Config {
        Config {
            input_size: self.size.unwrap_or(preset.input_size),
            drop_rate: self.drop_rate.unwrap_or(preset.drop_rate),
            ..preset
        }
    }

    /// The recipe in `folder`.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        Self::of(read(&folder.join(FILE))?)
    }

    /// The recipe of `run` in `folder`; the run's state takes precedence.
    pub fn of_run(run: &Run, folder: &Path) -> Result<Self> {
        let card = run.card();
        let (size, drop_rate) = (Some(card.config.input_size), Some(card.config.drop_rate));
        let (decoding, training) = (Decoding::of(card.preprocessing()?), run.settings.clone());
        Ok(Self { size, drop_rate, seed: card.seed, decoding, training, ..Self::of_folder(folder)? })
    }

    /// Writes it into the run's `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self)?;
        Ok(write_whole(&folder.join(FILE), |file| std::io::Write::write_all(file, text.as_bytes()))?)
    }

    /// Where `now` differs, a line each, except for what may change when a run of this recipe is resumed.
    pub fn changes(&self, now: &Self) -> Result<Vec<String>> {
        self.lasting().differences(&now.lasting())
    }

    /// The same recipe, with fixed values for everything that may change.
    fn lasting(&self) -> Self {
        Self {
            // The same data may lie elsewhere.
            data: None,
            table: TableOptions { images: None, ..self.table.clone() },
            training: Settings {
                epochs: 1,
                max_steps: None,
                patience: None,
                max_bad: 0.0,
                memory: Memory::Normal,
                ..self.training.clone()
            },
            ..self.clone()
        }
    }

    /// Where `other` differs, a line each: `training.lr: 0.1, now 0.05`.
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
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        for (text, told) in [
            ("seed = ", "line 1, seed =: "),
            ("[training]\n  lr = 0.1 0.2 # fast\n", "line 2, lr = 0.1 0.2 # fast: "),
            ("\nsede = 3", "line 2, sede = 3: unknown field `sede`, expected one of `model`"),
            (
                "[training]\nbatch = 8\nepochs = \"3\"\n",
                "line 3, epochs = \"3\": invalid type: string \"3\", expected a whole number",
            ),
            ("[training]\nlr = true", "line 2, lr = true: invalid type: boolean `true`, expected a number"),
            ("training = 3", "line 1, training = 3: invalid type: integer `3`"),
            ("seed = 9223372036854775808", "line 1, seed = 9223372036854775808: u64 value was too large"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{}: {told}", path.display())), "{error}");
            assert!(!error.is::<Misuse>(), "{error}");
        }
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
