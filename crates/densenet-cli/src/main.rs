//! The program `densenet`.

mod info;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains, evaluates and runs DenseNets on ordinary CPUs.
#[derive(Parser)]
#[command(version, max_term_width = 110, after_help = "Example: densenet train --model seed --data fashion-mnist")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Info),
}

fn main() -> ExitCode {
    let outcome = match Program::parse().command {
        Command::Info(info) => info.run(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain("error", &error);
            exit_code(&error)
        }
    }
}

/// 2 where a word of the command line is at fault, else 1.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    use densenet::Error::{Config, PictureSize};
    match error.downcast_ref() {
        Some(Config(_) | PictureSize { .. }) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
