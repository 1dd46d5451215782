//! The program `densenet` as a library, for the Python package, which also runs it.
//!
//! [`run`] is the program, [`train`] the command `densenet train` with a listener.

mod augmenting;
mod bench;
mod compare;
mod data;
mod data_dir;
mod data_options;
mod decoding;
mod doctor;
mod eval;
mod explain;
mod export;
mod features;
mod info;
mod machine;
mod maps;
mod max_pixels;
mod model;
mod models;
mod networks;
mod npy;
mod output;
mod picture;
mod pictures;
mod predict;
mod preparing;
mod quantize;
mod reading;
mod reference;
mod referencing;
mod report;
mod reuse;
#[cfg(feature = "serve")]
mod serve;
mod share;
mod svg;
mod table_options;
mod text;
mod threads;
mod train;
mod watch;
mod word;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use output::with_causes;
pub use train::listened::{Trained, train};

/// Trains, evaluates and runs DenseNets on ordinary CPUs
#[derive(Parser)]
#[command(
    name = "densenet",
    version,
    max_term_width = 110,
    after_help = "Example: densenet train --model seed --data fashion-mnist"
)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Info),
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Predict(predict::Predict),
    Explain(Box<explain::Explain>),
    Features(Box<features::Features>),
    Doctor(Box<doctor::Doctor>),
    Report(report::Report),
    Data(data::Data),
    Export(export::Export),
    Models(models::Models),
    Quantize(quantize::Quantize),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Serve>),
    Reference(reference::Reference),
    Reuse(reuse::Reuse),
    Compare(compare::Compare),
    Bench(bench::Bench),
}

/// Runs the program with `arguments`, the first of which is its name. `--help` and unknown arguments end the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    silence_decoders();
    let outcome = match Program::parse_from(arguments).command {
        Command::Info(info) => info.run(),
        Command::Train(train) => train.run(),
        Command::Eval(eval) => eval.run(),
        Command::Predict(predict) => predict.run(),
        Command::Explain(explain) => explain.run(),
        Command::Features(features) => features.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Report(report) => report.run(),
        Command::Data(data) => data.run(),
        Command::Export(export) => export.run(),
        Command::Models(models) => models.run(),
        Command::Quantize(quantize) => quantize.run(),
        #[cfg(feature = "serve")]
        Command::Serve(serve) => serve.run(),
        Command::Reference(reference) => reference.run(),
        Command::Reuse(reuse) => reuse.run(),
        Command::Compare(compare) => compare.run(),
        Command::Bench(bench) => bench.run(),
    };
    outcome.unwrap_or_else(|error| {
        output::complain("error", &error);
        exit_code(&error)
    })
}

/// Silences panics in a picture's decoder, which the library catches and turns into an error.
fn silence_decoders() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !densenet::data::is_decoding() {
            hook(panic);
        }
    }));
}

/// 2 where an argument of the command line is at fault, else 1.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    use densenet::Error::{Config, PictureSize, Settings};
    match error.downcast_ref() {
        Some(Config(_) | PictureSize { .. } | Settings(_)) => ExitCode::from(2),
        _ if error.is::<output::Misuse>() => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
