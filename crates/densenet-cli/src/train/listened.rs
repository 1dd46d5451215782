//! A run that another program starts and listens to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Parser;
use densenet::training::Observer;

use super::command::Train;
use super::running::{Ended, How, train as train_run};
use crate::output::Misuse;

/// The command line without its first two words.
#[derive(Parser)]
#[command(name = "train", no_binary_name = true, disable_help_flag = true)]
struct Command {
    #[command(flatten)]
    train: Train,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trained {
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it came to its end. Otherwise it was interrupted, and can be resumed.
    pub done: bool,
}

/// Trains one network as `densenet train` with these `arguments` does: the same files, to the bit. It runs on the
/// calling thread's pool; the `listener` is told about it and may end it, and so may whoever sets `interrupted`.
///
/// # Errors
/// Those of the command, in its words.
pub fn train(
    arguments: impl IntoIterator<Item = OsString>,
    listener: &mut dyn Observer,
    interrupted: Arc<AtomicBool>,
) -> Result<Trained> {
    let command = Command::try_parse_from(arguments)?.train;
    if command.seeds.is_some() || command.find_lr {
        return Err(Misuse("this trains a single run; --seeds and --find-lr are for the command line".into()).into());
    }
    let how = How { threads: rayon::current_num_threads(), tensorboard: command.tensorboard, interrupted };
    let begun = command.begin()?;
    let folder = begun.folder.clone();
    let ended = train_run(begun, &how, Some(listener))?;
    Ok(Trained { folder, done: matches!(ended, Ended::Done(_)) })
}
