//! The commands, one file each.

mod fingerprint;
mod init;
mod peer;
mod predict;
mod study;

use crate::cli::{Cli, Command, PeerCommand, StudyCommand};
use crate::exit::Failure;
use crate::output::Report;

/// Runs a command.
///
/// # Errors
/// What went wrong, for a person.
pub fn run(cli: &Cli) -> Result<Report, Failure> {
    let config = &cli.global.config;
    match &cli.command {
        Command::Init(options) => init::run(options),
        Command::Fingerprint => fingerprint::run(config),
        Command::Peer(PeerCommand::Add(options)) => peer::add(config, options),
        Command::Study(StudyCommand::Check(options)) => study::check(config, options),
        Command::Predict(options) => predict::run(options),
    }
}
