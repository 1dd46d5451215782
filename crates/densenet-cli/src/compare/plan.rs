//! What is compared: a plan, as TOML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use densenet::Config;
use densenet::config::{Activation, Joining};
use densenet::data::Augment;
use densenet::training::Settings;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::output::Misuse;

/// The plan of a comparison in its folder.
pub const FILE: &str = "plan.toml";

/// The built-in plans.
const NAMED: [(&str, &str); 2] =
    [("article", include_str!("../../plans/article.toml")), ("quick", include_str!("../../plans/quick.toml"))];

/// Everything that determines a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The data set by name or path.
    pub data: String,
    /// The dense network that the others are made of, by name.
    pub network: String,
    /// Height and width of the pictures; the data set's own where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Steps of the optimiser of every run, however many pictures there are.
    pub steps: usize,
    /// How it trains; epochs and augmentation are the plan's.
    #[serde(default)]
    pub training: Settings,
    /// What is compared.
    pub experiments: Vec<Experiment>,
    /// Gradients before the first step, if they are measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradients: Option<Gradients>,
}

/// Networks that are compared with each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name.
    #[serde(deserialize_with = "plain_name")]
    pub name: String,
    /// In what residual and plain networks are like the dense one.
    #[serde(rename = "match", default)]
    pub matched: Match,
    /// Its networks.
    pub networks: Vec<Network>,
    /// Numbers of training pictures.
    pub images: Vec<Images>,
    /// Augmentations.
    #[serde(default = "no_augmentation")]
    pub augment: Vec<Augment>,
    /// Runs of each, from seeds 0, 1, ...
    #[serde(default = "one")]
    pub seeds: u64,
}

/// A name that may be part of a folder's: each run has a folder, which is removed in the end.
fn plain_name<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let name = String::deserialize(value)?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name == "." || name == ".." || !name.chars().all(plain) {
        let right = "it takes letters from a to z, digits, '.', '_' and '-', and must not be '.' or '..'";
        return Err(D::Error::custom(format!("name = {name:?}; {right}")));
    }
    Ok(name)
}

fn no_augmentation() -> Vec<Augment> {
    vec![Augment::None]
}

fn one() -> u64 {
    1
}

/// In what the networks of an experiment are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// In the widths of their layers.
    #[default]
    Widths,
    /// In their number of parameters.
    Parameters,
    /// In their multiply-adds.
    Macs,
}

/// Training pictures: a number, or all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Images {
    /// That many, the same share from every class; a smaller set is part of a larger one.
    Count(usize),
    /// `"all"`.
    Word(String),
}

/// A network and in what it differs from the plan's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its name.
    #[serde(deserialize_with = "plain_name")]
    pub name: String,
    /// How its layers are joined.
    #[serde(default)]
    pub joining: Joining,
    /// Where its batch-norms and ReLUs stand.
    #[serde(default)]
    pub activation: Activation,
    /// Width of its bottlenecks in units of the growth rate; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<usize>,
    /// Share of the channels that a transition keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<f64>,
    /// Layers of each block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<usize>>,
    /// Channels that a dense layer adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_rate: Option<usize>,
}

/// Which gradients are measured before the first step: of dense, residual and plain networks of the same layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gradients {
    /// Layers with weights, the paper's `L`.
    pub depths: Vec<usize>,
    /// Measurements of each, from seeds 0, 1, ...
    #[serde(default = "one")]
    pub seeds: u64,
}

impl Plan {
    /// The plan `source`: a name, or a file.
    ///
    /// # Errors
    /// No such plan, or an unknown word in it; the message names its line.
    pub fn read(source: &Path) -> Result<Self> {
        let text = match NAMED.iter().find(|(name, _)| source.as_os_str() == *name) {
            Some((_, text)) => (*text).into(),
            None if source.exists() => fs::read_to_string(source).with_context(|| source.display().to_string())?,
            None => {
                let names = NAMED.map(|(name, _)| name).join(", ");
                bail!("{}: no such plan; use {names}, or a TOML file", source.display());
            }
        };
        let wrong = |reason: String| anyhow!("{}: {reason}", source.display());
        let plan: Self = toml::from_str(&text).map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        plan.validate().map_err(wrong)?;
        Ok(plan)
    }

    /// Runs of the whole plan.
    pub fn runs(&self) -> usize {
        let runs = |e: &Experiment| e.networks.len() * e.images.len() * e.augment.len() * e.seeds as usize;
        self.experiments.iter().map(runs).sum()
    }

    /// The place of an experiment; the last for one that is not in the plan.
    pub fn place(&self, experiment: &str) -> usize {
        self.experiments.iter().position(|e| e.name == experiment).unwrap_or(usize::MAX)
    }

    fn validate(&self) -> Result<(), String> {
        let base = Config::preset(&self.network).map_err(|error| error.to_string())?;
        if self.steps == 0 {
            return Err("steps is 0; a run needs at least one".into());
        }
        // The epochs follow from the steps and the pictures, which are not known here; as many epochs as there are
        // cycles will do.
        let training = Settings { epochs: self.training.cycles.max(1), ..self.training.clone() };
        training.validate().map_err(|error| error.to_string())?;
        if self.experiments.is_empty() {
            return Err("there are no [[experiments]]".into());
        }
        for (i, Experiment { name, networks, images, augment, seeds, .. }) in self.experiments.iter().enumerate() {
            if self.experiments[..i].iter().any(|other| other.name == *name) {
                return Err(format!("two experiments are called {name}"));
            }
            if networks.is_empty() || images.is_empty() || augment.is_empty() || *seeds == 0 {
                return Err(format!("experiment {name} has no networks, images, augment or seeds"));
            }
            for (i, network) in networks.iter().enumerate() {
                if networks[..i].iter().any(|other| other.name == network.name) {
                    return Err(format!("experiment {name} has two networks called {}", network.name));
                }
                network.over(&base).validate().map_err(|error| format!("{name}, {}: {error}", network.name))?;
            }
            if let Some(Images::Word(word)) =
                images.iter().find(|images| matches!(images, Images::Word(w) if w != "all"))
            {
                return Err(format!("experiment {name}: images = \"{word}\"; it takes numbers and \"all\""));
            }
        }
        self.tell_apart()
    }

    /// Checks that no two networks' runs have the same names, as `wide-x` in `bc` and `x` in `bc-wide` would.
    fn tell_apart(&self) -> Result<(), String> {
        let mut known: BTreeMap<String, [&str; 2]> = BTreeMap::new();
        for Experiment { name: experiment, networks, .. } in &self.experiments {
            for Network { name, .. } in networks {
                let runs = format!("{experiment}-{name}");
                if let Some([other, of]) = known.insert(runs.clone(), [name, experiment]) {
                    return Err(format!(
                        "{other} of experiment {of} and {name} of experiment {experiment} would both be called {runs}; \
                         rename one"
                    ));
                }
            }
        }
        Ok(())
    }

    /// As it is written.
    pub fn text(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// Writes it into the comparison's `folder`, or checks that it is the plan that was begun there.
    ///
    /// # Errors
    /// Another plan is there; the message shows the lines that differ.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        let (path, text) = (folder.join(FILE), self.text()?);
        if !path.exists() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            return Ok(densenet::files::write_whole(&path, |file| std::io::Write::write_all(file, text.as_bytes()))?);
        }
        let before = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if before == text {
            return Ok(());
        }
        let mut changed = String::new();
        for (sign, lines, others) in [("was", &before, &text), ("is", &text, &before)] {
            for line in lines.lines().filter(|line| !others.lines().any(|other| other == *line)) {
                write!(changed, "\n  {sign}: {line}").expect("a string takes it");
            }
        }
        let reason = format!("{} was begun with another plan; use another folder{changed}", folder.display());
        Err(Misuse(reason).into())
    }
}

impl Network {
    /// The network that it makes of `base`.
    pub fn over(&self, base: &Config) -> Config {
        Config {
            joining: self.joining,
            activation: self.activation,
            bn_size: self.bottleneck.map_or(base.bn_size, |size| (size > 0).then_some(size)),
            compression: self.compression.unwrap_or(base.compression),
            block_config: self.blocks.clone().unwrap_or_else(|| base.block_config.clone()),
            growth_rate: self.growth_rate.unwrap_or(base.growth_rate),
            ..base.clone()
        }
    }
}

impl Images {
    /// How many of `all`.
    ///
    /// # Errors
    /// More than there are.
    pub fn of(&self, all: usize) -> Result<usize> {
        match self {
            Self::Count(count) if *count > all || *count == 0 => {
                bail!("images = {count}; the data have {all} training pictures")
            }
            Self::Count(count) => Ok(*count),
            Self::Word(_) => Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_that_come_along_are_sound_and_survive_being_written() {
        for (name, _) in NAMED {
            let plan = Plan::read(Path::new(name)).unwrap();
            let again: Plan = toml::from_str(&plan.text().unwrap()).unwrap();
            assert_eq!(again, plan);
        }
        assert!(Plan::read(Path::new("papers")).unwrap_err().to_string().contains("article, quick"));
    }

    #[test]
    fn a_wrong_word_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let tell = |text: &str| {
            let path = folder.path().join("plan.toml");
            fs::write(&path, text).unwrap();
            Plan::read(&path).unwrap_err().to_string()
        };
        let (_, article) = NAMED[0];
        let error = tell(&article.replace("steps = 600", "step = 600"));
        assert!(error.contains("line 5") && error.contains("step"), "{error}");
        for (from, to, said) in [
            ("densenet-bc-22-12", "densenet-bc-22", "densenet-bc-22"),
            ("images = [500, 2000, 10000]", "images = [\"most\"]", "\"most\""),
            ("{ name = \"plain\"", "{ name = \"dense\"", "two networks called dense"),
            ("seeds = 3\n\n# Beside", "seeds = 0\n\n# Beside", "no networks"),
            ("batch = 64", "batch = 0", "batch is 0; it must be from 1 to 65536"),
            ("lr = 0.1", "lr = -1.0", "lr is -1; it must be above 0"),
            ("name = \"data\"", "name = \"\"", "line 13"),
            ("{ name = \"plain\"", "{ name = \"../plain\"", "name = \"../plain\"; it takes letters"),
            ("{ name = \"plain\"", "{ name = \"..\"", "line 14"),
        ] {
            let error = tell(&article.replacen(from, to, 1));
            assert!(error.contains(said), "{error}");
        }
        let alike = article.replacen("name = \"dense\"", "name = \"x-dense\"", 1);
        let error = tell(&alike.replace("name = \"parameters\"", "name = \"data-x\""));
        assert!(error.contains("x-dense of experiment data and dense of experiment data-x"), "{error}");
    }
}
