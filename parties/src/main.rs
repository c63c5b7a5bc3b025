//! `party`: the command line of the node.

use std::process::ExitCode;

use clap::Parser;
use parties::cli::Cli;
use parties::{commands, observe, output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    observe::start(cli.global.log_format);
    let result = commands::run(&cli);
    output::print(&result, cli.global.json).into()
}
