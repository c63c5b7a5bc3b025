//! The commands, one file each.

mod agreement;
mod align;
mod audit;
mod compare;
mod dealer;
mod doctor;
mod export;
mod fingerprint;
mod identity;
mod init;
mod invite;
mod join;
mod joint_columns;
mod own_columns;
mod party_file;
mod peer;
mod plan;
mod predict;
mod predict_classes;
mod receipt;
mod recover;
mod relay;
mod report;
mod serve;
mod shell;
mod studies;
mod study;
mod study_evaluate;
mod study_new;
mod train;

use std::path::PathBuf;

use crate::cli::{
    AuditCommand, Cli, Command, IdentityCommand, PeerCommand, ReceiptCommand, StudyCommand,
};
use crate::exit::{Exit, Failure};
use crate::output::print;
use crate::settings::{Overrides, Settings};

/// Where a command keeps log files. What is wrong with its settings it says itself.
#[must_use]
pub fn log_folder(cli: &Cli) -> Option<PathBuf> {
    let Command::Serve = cli.command else { return None };
    Settings::read(&cli.global.config, &Overrides::default()).ok()?.serve.log
}

/// Runs a command and prints its result, or what went wrong.
#[must_use]
pub fn run(cli: &Cli) -> Exit {
    let (config, as_json) = (&cli.global.config, cli.global.json);
    let result = match &cli.command {
        Command::Init(options) => init::run(options),
        Command::Fingerprint => fingerprint::run(config),
        Command::Invite(options) => invite::run(config, options),
        Command::Join(options) => join::run(config, options),
        Command::Identity(IdentityCommand::Rotate) => identity::rotate(config),
        Command::Peer(PeerCommand::List) => peer::list(config),
        Command::Peer(PeerCommand::Add(options)) => peer::add(config, options),
        Command::Peer(PeerCommand::Remove(options)) => peer::remove(config, options),
        Command::Study(StudyCommand::New(options)) => study_new::new(config, options),
        Command::Study(StudyCommand::Evaluate(options)) => study_evaluate::draft(options),
        Command::Study(StudyCommand::Describe(options)) => study::describe(config, options),
        Command::Study(StudyCommand::Check(options)) => study::check(config, options),
        Command::Study(StudyCommand::Approve(options)) => study::approve(config, options),
        Command::Study(StudyCommand::Withdraw(options)) => study::withdraw(config, options),
        Command::Doctor(options) => return doctor::run(config, options, as_json),
        Command::Plan(options) => plan::run(options),
        Command::Studies => studies::list(config),
        Command::Receipt(ReceiptCommand::Verify(options)) => receipt::verify(config, options),
        Command::Receipt(ReceiptCommand::Show(options)) => receipt::show(config, options),
        Command::Align(options) => align::run(config, options),
        Command::Train(options) => return train::run(config, options, (false, as_json)),
        Command::Serve => serve::run(config),
        Command::Recover(options) => recover::run(config, options),
        Command::Audit(AuditCommand::Export(options)) => audit::export(config, options),
        Command::Audit(AuditCommand::Replay(options)) => audit::replay(config, options),
        Command::Audit(AuditCommand::Forget(options)) => audit::forget(config, options),
        Command::Predict(options) => match predict::joint(options) {
            Some(options) => return train::run(config, &options, (true, as_json)),
            None => predict::run(config, options),
        },
        Command::Report(options) => report::run(options),
        Command::Export(options) => export::run(config, options),
        Command::Compare(options) => compare::run(config, options),
        Command::Dealer(options) => dealer::run(config, options),
        Command::Relay(options) => relay::run(config, options),
        Command::Schema(options) => shell::schema(options),
        Command::Completions(options) => shell::completions(options),
        Command::Manual(options) => shell::manual(options),
    };
    print(&result, as_json)
}

/// The runtime of a node: one thread for the network and the protocol together, because a small
/// message takes twice as long across threads; heavy work has threads of its own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::Internal, format!("the runtime cannot be started: {error}"))
    })
}
