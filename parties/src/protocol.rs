//! Protocols of somebody's own, run by a node as it runs a study: over QUIC with the keys of `party.toml`, with
//! approvals, limits, records for audits, receipts and the ledger, and with peers that come back.
//!
//! The parties write an [`Agreement`] in the place of a study, the same bytes at each of them:
//!
//! ```toml
//! version = 1
//! title = "How many beds three hospitals have together"
//! parties = ["north", "east", "south"]
//!
//! [protocol]
//! name = "joint-sum/1"              # the name of the program's protocol, `Protocol::NAME`
//!
//! [settings]                        # whatever the protocol wants to be agreed on
//! most = 10000
//!
//! [[reveals]]                       # everything that anybody is told, each once; nothing else can be revealed
//! label = "sum"
//! to = "all"                        # or a list of parties
//! what = "the sum of the beds"
//! why = "it is the purpose"
//!
//! [security]
//! correlations = "pairwise"
//! against = "covert"
//! ```
//!
//! `[consent]` is that of a study. `party study check` and `approve` read such a file too, and so do `audit
//! export`, `studies` and `receipt verify` what a run leaves. The input of a party is the file that
//! `data.path` names. A program that takes part is an implementation of [`Protocol`] and one line:
//!
//! ```no_run
//! use mpc_core::Shared;
//! use mpc_core::ring::Z64;
//! use parties::protocol::{Agreement, Exit, Failure, Protocol, Run};
//!
//! struct JointSum(u64);
//!
//! impl Protocol for JointSum {
//!     const NAME: &'static str = "joint-sum/1";
//!     type Shares = Shared<Z64>;
//!     type Result = Option<u64>;
//!
//!     fn read(_: &Agreement, _: usize, input: &[u8]) -> Result<Self, Failure> {
//!         let number = std::str::from_utf8(input).ok().and_then(|text| text.trim().parse().ok());
//!         number.map(Self).ok_or_else(|| Failure::new(Exit::LocalInput, "this is no whole number"))
//!     }
//!
//!     async fn compute(&mut self, run: &mut Run<'_>) -> Result<Shared<Z64>, Failure> {
//!         // One addend of a sum is a share of it.
//!         let _ = run;
//!         Ok(Shared::new(vec![Z64(self.0)], 1, 1))
//!     }
//!
//!     async fn release(&mut self, sum: Shared<Z64>, run: &mut Run<'_>) -> Result<Option<u64>, Failure> {
//!         Ok(run.session.reveal("sum", &sum, 64, 0).await?.map(|sum| sum[0] as u64))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     parties::protocol::main::<JointSum>()
//! }
//! ```
//!
//! A program with a node inside uses [`Joint`] itself: [`event_stream`] gives what happens, [`Stopper`] ends a run
//! as Ctrl-C would, and the states of a run are types: a [`Joint`] is [prepared](Task::prepare) to a
//! [`Participant`], which [runs](Task::run) to its [`Completed`] result and a [`Closing`], which waits for the others.
//! [`Task::carry_out`] is all of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
pub use mpc_ml::model::Run;

use crate::cli::Global;
pub use crate::exit::{Exit, Failure};
pub use crate::node::{
    Closing, Completed, Event, EventStream, Events, Joint, Participant, Protocol, StopSignal,
    Stopper, Task, event_stream, terminal,
};
use crate::output::print;
pub use crate::settings::{Overrides, Settings};
pub use crate::study::Agreement;
use crate::{commands, observe, process};

/// Takes part in a joint computation: meets the other parties, computes, and writes the result and a receipt.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    global: Global,
    /// The agreement: the same file at every party
    agreement: PathBuf,
    /// An input other than the one that party.toml names
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where to write the result, besides the state directory
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// The whole of a program that runs this protocol, with the command line and the exit codes of `party train`.
#[must_use]
pub fn main<P: Protocol>() -> ExitCode {
    process::keep_private();
    let options = Options::parse();
    observe::start(options.global.log_format, None);
    let as_json = options.global.json;
    run::<P>(options).unwrap_or_else(|failure| print(&Err(failure), as_json)).into()
}

fn run<P: Protocol>(options: Options) -> Result<Exit, Failure> {
    let Options { global: Global { config, json, .. }, agreement, data, out, listen } = options;
    let overrides = Overrides { data, listen, ..Overrides::default() };
    let mut joint = Joint::<P>::new(&agreement, &config);
    (joint.overrides, joint.out) = (overrides, out);
    commands::runtime()?.block_on(async {
        let participant = joint.prepare()?;
        // Until here a signal ends the process at once, and nobody waits for it.
        let mut stop = StopSignal::install()?;
        let done =
            |done: Completed<P::Result>| print(&done.copy.clone().map(|()| done.report()), json);
        joint.carry_out(participant, &terminal(), &mut stop, done).await
    })
}
