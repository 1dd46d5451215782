//! The program `densenet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    densenet_cli::run(std::env::args_os())
}
