//! `party`: the command line of the node.

use std::process::ExitCode;

use clap::Parser;
use parties::cli::Cli;
use parties::{commands, observe, process};

fn main() -> ExitCode {
    process::keep_private();
    let cli = Cli::parse();
    observe::start(cli.global.log_format, commands::log_folder(&cli).as_deref());
    commands::run(&cli).into()
}
