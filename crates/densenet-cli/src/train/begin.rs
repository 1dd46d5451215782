//! From a recipe to a run: its data, its network and its folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use densenet::checkpoint::{Card, Reader};
use densenet::data::{DataSet, Preprocessing, SPLIT, Targets};
use densenet::network::DenseNet;
use densenet::output::Output;
use densenet::training::{Freeze, RESUME, Run, Settings};
use densenet::{Architecture, Config};

use super::claim::Claim;
use super::memory::{self, Stage};
use super::recipe::{self, Recipe};
use crate::augmenting::usual;
use crate::data_dir::DataDir;
use crate::decoding::Decoding;
use crate::model;
use crate::output::{self, Misuse, counted};
use crate::word::word_of;

/// A run that is begun or resumed.
pub struct Begun {
    pub run: Run,
    pub data: DataSet,
    /// Where it writes.
    pub folder: PathBuf,
    /// Where to resume it: its folder, or that of all seeds.
    pub resumed_in: PathBuf,
    /// Its hold on the folder.
    pub claim: Claim,
}

/// What a recipe stands for, before the first step.
pub struct Prepared {
    /// The recipe with everything that was left to the data and the network.
    pub recipe: Recipe,
    pub data: DataSet,
    pub card: Card,
    pub network: DenseNet,
}

impl Prepared {
    /// Opens the data and makes the network. Unless somebody `says_augment`, pictures are augmented as is usual for the
    /// data.
    ///
    /// # Errors
    /// Data or weights that cannot be read, and everything that would make a step fail and can be known before the
    /// first.
    pub fn new(mut recipe: Recipe, data_dir: &DataDir, says_augment: bool) -> Result<Self> {
        let Some(name) = recipe.data.clone() else {
            return Err(Misuse("a new run needs --data".into()).into());
        };
        recipe.training.validate()?;
        refuse_slow_body(&recipe)?;
        let data = divided(data_dir.open(&name, &recipe.table)?, &recipe.training, recipe.seed)?;
        let Base { config: preset, preprocessing } = Base::new(&recipe)?;
        let preprocessing = suited(preprocessing, &data);
        let (in_channels, num_classes) = (preprocessing.channels(), data.train.classes().len());
        let config = Config { in_channels, num_classes, ..recipe.configured(preset) };
        (recipe.size, recipe.drop_rate) = (Some(config.input_size), Some(config.drop_rate));
        if !says_augment {
            recipe.training.augment.base = usual(&data);
        }
        Architecture::new(&config)?.block_sizes(config.input_size, config.input_size)?;
        let network = match &recipe.init {
            Some(path) => initial(path, &config, data.train.classes(), recipe.seed)?,
            None => DenseNet::new(&config, recipe.seed)?,
        };
        let preprocessing = recipe.decoding.overrule(preprocessing.with_size(config.input_size));
        recipe.decoding = Decoding::of(&preprocessing);
        let card = card(config, &data, preprocessing, &recipe);
        data.check()?;
        check_missing(&data, recipe.training.max_bad)?;
        Run::check(&card, &recipe.training, &data.train, data.chooses())?;
        memory::check(Stage::New, &card, &recipe.training, data.train.len())?;
        Ok(Self { recipe, data, card, network })
    }

    /// Begins the run in `folder`.
    ///
    /// # Errors
    /// A folder that another run writes into, that already holds a run or that cannot be written to.
    pub fn start(self, folder: &Path) -> Result<Begun> {
        let Self { recipe, data, card, network } = self;
        let claim = Claim::of_new(folder)?;
        recipe.write(folder)?;
        data.write_split(&folder.join(SPLIT))?;
        // The state comes last: once it exists, everything that is needed to resume exists.
        let run = Run::start(folder, card, network, recipe.training)?;
        Ok(Begun { run, data, folder: folder.into(), resumed_in: folder.into(), claim })
    }
}

/// Resumes the run in `folder`; `recipe` lays what is asked for now over what the run was begun with. The result is the
/// run's recipe from now on.
///
/// # Errors
/// A folder that another run writes into or in which something is missing, and what would make another run of it.
pub fn resume(folder: &Path, data_dir: &DataDir, recipe: impl FnOnce(&Recipe) -> Result<Recipe>) -> Result<Begun> {
    let claim = Claim::of(folder)?;
    check_whole(folder)?;
    let mut run = Run::resume(folder)?;
    let begun = Recipe::of_run(&run, folder)?;
    let recipe = recipe(&begun)?;
    recipe.training.validate()?;
    let name = recipe.data.as_ref().unwrap_or(&run.card().dataset);
    let data = data_dir.open(name, &recipe.table)?.divide_as(&folder.join(SPLIT))?;
    refuse_changes(&run, folder, &begun, &recipe, &data)?;
    memory::check(Stage::Resumed, run.card(), &recipe.training, data.train.len())?;
    say_changed_rate(&run, &recipe.training, data.train.len());
    recipe.write(folder)?;
    run.settings = recipe.training;
    Ok(Begun { run, data, folder: folder.into(), resumed_in: folder.into(), claim })
}

/// Refuses a run whose state exists, but not the files that say how and on which pictures it was begun.
fn check_whole(folder: &Path) -> Result<()> {
    let missing = [recipe::FILE, SPLIT].into_iter().find(|name| !folder.join(name).exists());
    match missing.filter(|_| folder.join(RESUME).exists()) {
        Some(name) => bail!(
            "{}: missing, and without it the run would become another; restore the file, or begin a new run",
            folder.join(name).display()
        ),
        None => Ok(()),
    }
}

/// Refuses a recipe with which the run would not be the one that was begun.
fn refuse_changes(run: &Run, folder: &Path, begun: &Recipe, now: &Recipe, data: &DataSet) -> Result<()> {
    let mut changed = begun.changes(now)?;
    if data.train.classes() != run.card().labels {
        let (found, known) = (data.train.classes().len(), run.card().labels.len());
        changed.push(format!("data: different classes ({found}; the run knows {known})"));
    }
    if changed.is_empty() {
        return Ok(());
    }
    let (folder, changed) = (folder.display(), changed.join("; "));
    Err(Misuse(format!("the run in {folder} was begun differently ({changed}); leave that out, or begin a new run"))
        .into())
}

/// Refuses a body of random weights that would learn more slowly than its classifier, or not at all.
fn refuse_slow_body(recipe: &Recipe) -> Result<()> {
    let Settings { freeze, body_lr, .. } = recipe.training;
    if recipe.init.is_some() || freeze == Freeze::None && body_lr >= 1.0 {
        return Ok(());
    }
    let (setting, what, right) = match freeze {
        Freeze::None => (format!("body_lr is {body_lr}"), "learn at that share of the rate", "--body-lr 1"),
        frozen => (format!("freeze is {}", word_of(&frozen)), "stay as they are", "--freeze none"),
    };
    let wrong = format!("{setting}, and without --init random weights would {what}");
    Err(Misuse(format!("{wrong}; give --init trained weights, or {right}")).into())
}

/// Refuses a table of which too many pictures do not exist.
fn check_missing(data: &DataSet, max_bad: f64) -> Result<()> {
    let (missing, most) = (data.missing.len(), (max_bad * data.train.len() as f64).ceil() as usize);
    match data.missing.first() {
        Some(first) if missing > most => bail!(
            "{}: {} that it lists do not exist, the first of them {}; --max-bad {max_bad} allows {most}",
            data.name,
            counted(missing, "picture"),
            first.display()
        ),
        _ => Ok(()),
    }
}

/// What the weights of a run say about themselves.
fn card(config: Config, data: &DataSet, preprocessing: Preprocessing, recipe: &Recipe) -> Card {
    let output = match data.train.targets() {
        Targets::Classes(_) => Output::softmax(),
        Targets::Labels(_) => Output::sigmoid(),
    };
    Card {
        preprocessing: Some(preprocessing),
        output: Some(output),
        labels: data.train.classes().to_vec(),
        dataset: recipe.data.clone().unwrap_or_default(),
        seed: recipe.seed,
        ..Card::of(config)
    }
}

/// Reports that the learning rate changes if a run is resumed with other settings, where it does.
fn say_changed_rate(run: &Run, settings: &Settings, pictures: usize) {
    let next = run.progress().step;
    let [before, after] = [&run.settings, settings].map(|settings| settings.rate(next, pictures));
    if before != after {
        output::note(format_args!(
            "with {} instead of {}, the learning rate of step {} is {after:.3e}, not {before:.3e}",
            counted(settings.epochs, "epoch"),
            run.settings.epochs,
            next + 1
        ));
    }
}

/// What a recipe begins with, before anything is known about the data.
struct Base {
    config: Config,
    /// How pictures were prepared for the weights of `--init`, where their file says so.
    preprocessing: Option<Preprocessing>,
}

impl Base {
    fn new(recipe: &Recipe) -> Result<Self> {
        let reader = recipe.init.as_ref().map(|path| model::open(path, None)).transpose()?;
        let config = match (&recipe.model, &reader) {
            (Some(model), _) => Config::preset(model)?,
            (None, Some(reader)) => reader.config()?,
            (None, None) => return Err(Misuse("a new run needs --model or --init".into()).into()),
        };
        Ok(Self { config, preprocessing: reader.map(known_preprocessing).transpose()?.flatten() })
    }
}

/// How pictures are prepared for the weights of a file, where it says so.
fn known_preprocessing(mut reader: Reader) -> Result<Option<Preprocessing>> {
    let card = match reader.has_card() {
        true => reader.card()?,
        false => {
            let config = reader.config()?;
            reader.inferred_card(&config)?
        }
    };
    Ok(card.preprocessing)
}

/// How `data` are prepared: as for the weights that training begins with, unless the data come with channels of their own.
fn suited(initial: Option<Preprocessing>, data: &DataSet) -> Preprocessing {
    let own = &data.preprocessing;
    let of_files = data.train.path(0).is_some();
    initial.filter(|initial| of_files || initial.channels() == own.channels()).unwrap_or_else(|| own.clone())
}

/// The data with a part to choose the best epoch by, unless the test part is to choose.
fn divided(data: DataSet, settings: &Settings, seed: u64) -> Result<DataSet> {
    Ok(if settings.val_fraction > 0.0 { data.divide(settings.val_fraction, seed)? } else { data })
}

/// A network of `config` with the weights of `path`, which may have other classes and input channels.
fn initial(path: &Path, config: &Config, labels: &[String], seed: u64) -> Result<DenseNet> {
    let architecture = Architecture::new(config)?;
    let (weights, changes) = model::open(path, None)?.initial(&architecture, labels, seed)?;
    model::warn_of_broken(&weights, &architecture, path);
    changes.iter().for_each(|change| output::note(format_args!("{}: {change}", path.display())));
    Ok(DenseNet::from_arenas(config, weights.parameters, weights.running)?)
}
