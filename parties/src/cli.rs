//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::export::Form;

/// One organisation's node: trains models jointly with others, without showing them its rows.
#[derive(Debug, Parser)]
#[command(
    name = "party",
    version,
    after_help = "Exit codes: 0 done, 2 wrong command line, 3 own data or model wrong, 4 configuration or study wrong,\n\
                  5 peer misbehaved, 6 peer lost, 7 stopped by operator, 8 output exists, 9 an audit found a deviation, 70 fault of the program."
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Debug, Args)]
pub struct Global {
    /// This node's settings
    #[arg(long, global = true, value_name = "FILE", default_value = "party.toml")]
    pub config: PathBuf,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// The form of the log on standard error; RUST_LOG chooses what is logged
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this node's key and a commented party.toml
    Init(Init),
    /// Print this node's fingerprint
    Fingerprint,
    /// Print the text by which others know this node, to be sent to their operators
    Invite(Invite),
    /// Add the nodes of invitations to party.toml, once their words were compared by telephone
    Join(Join),
    /// The key of this node
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// The other nodes that this node knows
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Look what keeps this node from a study, here and on the way to the others
    Doctor(Doctor),
    /// What a study will take: rounds, bytes, memory and minutes, by a rehearsal on invented rows
    Plan(Plan),
    /// The studies that this node may take part in
    #[command(subcommand)]
    Study(StudyCommand),
    /// What this node remembers: studies, approvals, runs, and what was revealed of which data
    Studies,
    /// The signed accounts of runs
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Find out which of its own records each party has in common with all others, and nothing else
    Align(Align),
    /// Take part in a study: meet the other nodes, train, and write the model and a receipt
    Train(Train),
    /// Stay, take the approved studies of a folder one after another, and show what happens on a page
    Serve,
    /// Give the model of a released study to a recipient that lost it, or get it: run at all recipients
    Recover(Recover),
    /// Show that a party did its part in a study, or that it did not
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Apply a model to rows: on this machine alone, or with --joint together with other parties
    Predict(Predict),
    /// Make a page of what runs left: what was asked, approved, found, revealed, and what it cost
    Report(Report),
    /// Write a model for another program, and test what was written
    Export(Export),
    /// Was joining worth it? A joint model beside one of my own rows alone, on my test rows; nothing is sent
    Compare(Compare),
    /// Be the dealer: make joint randomness for studies, without seeing any data
    Dealer(Dealer),
    /// Be a relay: forward sealed packets between the nodes of party.toml that nobody can dial
    Relay(Relay),
    /// Print the JSON Schema of study.toml or party.toml, by which editors complete and check them
    Schema(Schema),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions(Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(Manual),
}

/// `party schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// The file that it is for
    pub file: Described,
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// study.toml
    Study,
    /// party.toml
    Party,
    /// alignment.toml
    Alignment,
}

/// `party completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `party manual`
#[derive(Debug, Args)]
pub struct Manual {
    /// Where to write a page for each command
    #[arg(long)]
    pub dir: PathBuf,
}

/// `party init`
#[derive(Debug, Args)]
pub struct Init {
    /// Where to put the files
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// This party's name, as studies will have it
    #[arg(long)]
    pub name: String,
    /// The UDP address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7400")]
    pub listen: SocketAddr,
    /// Where others reach this node, host:port, as its invitation says; - where nobody can dial it
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// This organisation's rows: CSV, CSV.gz or Parquet
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

/// `party invite`
#[derive(Debug, Args)]
pub struct Invite {
    /// Where others reach this node, in place of network.address in party.toml; - where nobody can dial it.
    /// May be given several times: the others try all of them
    #[arg(long, value_name = "ADDRESS")]
    pub address: Vec<String>,
}

/// `party join`
#[derive(Debug, Args)]
pub struct Join {
    /// Invitations, or files such as mails with invitations in them, or - for standard input
    #[arg(required = true, value_name = "INVITATION|FILE")]
    pub invitations: Vec<String>,
    /// The node is the dealer
    #[arg(long)]
    pub dealer: bool,
    /// Do not ask whether the words were compared
    #[arg(long)]
    pub yes: bool,
}

/// `party identity ...`
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Make a new key, which the old one signs, and print the invitation with it
    Rotate,
}

/// `party peer ...`
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// The nodes that this one knows, with their keys and words
    List,
    /// Take a node out of party.toml
    Remove(PeerRemove),
    /// Add a node to party.toml; its comments stay
    Add(PeerAdd),
}

/// `party peer add`
#[derive(Debug, Args)]
pub struct PeerAdd {
    /// Its name, as studies have it
    pub name: String,
    /// Where it listens, host:port; - for a node that nobody can dial
    pub address: String,
    /// Its fingerprint, from `party fingerprint` there; compare it by telephone
    pub fingerprint: String,
    /// The node is the dealer
    #[arg(long)]
    pub dealer: bool,
}

/// `party peer remove`
#[derive(Debug, Args)]
pub struct PeerRemove {
    /// Its name
    pub name: String,
}

/// `party doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The study; without one, all nodes that are known are looked at
    pub study: Option<PathBuf>,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// How many rows each party has, in the order of the study; if unknown, as many as this one
    #[arg(long, value_name = "N,N,..", value_delimiter = ',')]
    pub rows: Option<Vec<u64>>,
    /// How long to look for the others
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub wait: u64,
    /// How much should be free on the disk of the state directory; if unknown, what the study needs
    #[arg(long, value_name = "MEGABYTES")]
    pub least_free: Option<u64>,
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `party plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// The study
    pub study: PathBuf,
    /// How many rows each party has, in the order of the study; by columns, the common records
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', required = true)]
    pub rows: Vec<u64>,
    /// What the nodes are joined by
    #[command(flatten)]
    pub line: Line,
}

/// What joins the nodes of a study.
#[derive(Debug, Args)]
pub struct Line {
    /// The round trip between two nodes; `party doctor` measures it
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20.0)]
    pub rtt_ms: f64,
    /// What a node can send
    #[arg(long, value_name = "MBIT/S", default_value_t = 100.0)]
    pub mbit: f64,
}

/// `party study ...`
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// Draft a study from my rows: types, levels, ranges, rules for missing cells
    New(StudyNew),
    /// Draft an agreement to evaluate a model on test rows of all parties
    Evaluate(StudyEvaluate),
    /// What my rows are, in the columns of a study: means, levels, missing cells, what is odd
    Describe(StudyDescribe),
    /// Check a study and my data against each other, and tell what will be revealed to whom
    Check(StudyCheck),
    /// Sign that this party approves of a study with the rows that it has now
    Approve(StudyApprove),
    /// Take the approval of a study back
    Withdraw(StudyWithdraw),
}

/// `party study new`
#[derive(Debug, Args)]
pub struct StudyNew {
    /// The rows; without it those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The column that is to be predicted
    #[arg(long, value_name = "COLUMN")]
    pub target: String,
    /// The kind of model; without it logistic where the target has two words, and linear else
    #[arg(long, value_name = "KIND")]
    pub kind: Option<Drafted>,
    /// The parties; without it this one and those that party.toml knows
    #[arg(long, value_name = "NAME,NAME,..", value_delimiter = ',')]
    pub parties: Option<Vec<String>>,
    /// The result of a description of the parties' rows: levels, ranges and missing cells of all of them
    #[arg(long, value_name = "FILE")]
    pub joint: Option<PathBuf>,
    /// Where to write the draft
    #[arg(long, value_name = "FILE", default_value = "study.toml")]
    pub out: PathBuf,
}

/// `party study evaluate`
#[derive(Debug, Args)]
pub struct StudyEvaluate {
    /// The model that all parties have
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The parties; without it those of the study that the model is of
    #[arg(long, value_name = "NAME,NAME,..", value_delimiter = ',')]
    pub parties: Option<Vec<String>>,
    /// Where groups of predictions end; without it ten groups of about the same size
    #[arg(long, value_name = "P,P,..", value_delimiter = ',', allow_negative_numbers = true)]
    pub cuts: Option<Vec<f64>>,
    /// Where to write the draft
    #[arg(long, value_name = "FILE", default_value = "evaluation.toml")]
    pub out: PathBuf,
}

/// A kind of model that a draft can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drafted {
    /// A number.
    Linear,
    /// One of two words.
    Logistic,
    /// A count.
    Poisson,
}

/// `party study describe`
#[derive(Debug, Args)]
pub struct StudyDescribe {
    /// The study
    pub study: PathBuf,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Show the values of bad cells
    #[arg(long)]
    pub show_values: bool,
}

/// `party study approve`
#[derive(Debug, Args)]
pub struct StudyApprove {
    /// The study
    pub study: PathBuf,
    /// Who approves
    #[arg(long)]
    pub name: String,
    /// As what, such as "data protection officer"
    #[arg(long)]
    pub role: String,
    /// What is to stand beside the approval
    #[arg(long)]
    pub note: Option<String>,
    /// For how many days it holds
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub valid_days: u32,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// How many rows each party has, in the order of the study; if unknown, as many as this one
    #[arg(long, value_name = "N,N,..", value_delimiter = ',')]
    pub rows: Option<Vec<u64>>,
}

/// `party study withdraw`
#[derive(Debug, Args)]
pub struct StudyWithdraw {
    /// The study
    pub study: PathBuf,
    /// Who takes it back
    #[arg(long)]
    pub name: String,
}

/// `party study check`
#[derive(Debug, Args)]
pub struct StudyCheck {
    /// The study
    pub study: PathBuf,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// How many rows each party has, in the order of the study; if unknown, as many as this one
    #[arg(long, value_name = "N,N,..", value_delimiter = ',')]
    pub rows: Option<Vec<u64>>,
    /// Rehearse the study on invented rows, which takes as long as the study, and tell all bytes, memory and minutes
    #[arg(long)]
    pub rehearse: bool,
    /// What the nodes are joined by
    #[command(flatten)]
    pub line: Line,
    /// Show the values of bad cells
    #[arg(long)]
    pub show_values: bool,
}

/// `party receipt ...`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check the signatures of receipts of one run, and compare what their parties signed
    Verify(ReceiptVerify),
    /// Print the receipt of a run as the store has it, also of one that was broken off
    Show(ReceiptShow),
}

/// `party receipt verify`
#[derive(Debug, Args)]
pub struct ReceiptVerify {
    /// The receipts, of one party or several
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `party receipt show`
#[derive(Debug, Args)]
pub struct ReceiptShow {
    /// The run, as `party studies` numbers it
    pub run: u64,
}

/// `party train`
#[derive(Debug, Args)]
pub struct Train {
    /// The study
    pub study: PathBuf,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Where to write the model, besides the state directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write report.html beside the result: a page on the run (`party report` writes one on several)
    #[arg(long)]
    pub report: bool,
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Show the values of bad cells
    #[arg(long)]
    pub show_values: bool,
}

/// `party align`
#[derive(Debug, Args)]
pub struct Align {
    /// The alignment: the same file at every party
    pub alignment: PathBuf,
    /// Look at the own ids, and send nothing
    #[arg(long)]
    pub check: bool,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Where to write this party's rows of the common records, in the order that is the same at all
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `party recover`
#[derive(Debug, Args)]
pub struct Recover {
    /// The study
    pub study: PathBuf,
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `party audit ...`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Write what another node needs to be audited: digests of what this node received from it
    Export(AuditExport),
    /// Do this party's part in the last run again, and compare it with what other nodes received
    Replay(AuditReplay),
    /// Remove what is kept of the last run of a study
    Forget(AuditForget),
}

/// `party audit export`
#[derive(Debug, Args)]
pub struct AuditExport {
    /// The study
    pub study: PathBuf,
    /// The node that is audited, as the study has it
    #[arg(long, value_name = "NAME")]
    pub about: String,
    /// Where to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `party audit replay`
#[derive(Debug, Args)]
pub struct AuditReplay {
    /// The study
    pub study: PathBuf,
    /// What other nodes exported about this party
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub against: Vec<PathBuf>,
    /// Rows other than those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

/// `party audit forget`
#[derive(Debug, Args)]
pub struct AuditForget {
    /// The study
    pub study: PathBuf,
}

/// `party report`
#[derive(Debug, Args)]
pub struct Report {
    /// The folders of studies in the state directory; several make one page, in this order
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Where to write the page
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A study as it was agreed on, to stand on the page too; may be given several times
    #[arg(long, value_name = "FILE")]
    pub study: Vec<PathBuf>,
}

/// `party export`
#[derive(Debug, Args)]
pub struct Export {
    /// The model, as a training left it
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub model: Vec<PathBuf>,
    /// The format
    #[arg(long = "as", value_name = "FORMAT")]
    pub form: Form,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Rows to test the export with, besides invented ones: CSV, CSV.gz or Parquet
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
}

/// `party dealer`
#[derive(Debug, Args)]
pub struct Dealer {
    /// The UDP address to listen on, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Serve one study and end
    #[arg(long)]
    pub once: bool,
}

/// `party relay`
#[derive(Debug, Args)]
pub struct Relay {
    /// The UDP address to listen on, in place of the one in party.toml; TCP is `relaying.tcp`
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `party compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// The joint model
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Test rows of this party, with their target, which were in no fit
    #[arg(long, value_name = "FILE")]
    pub test: PathBuf,
    /// The rows that this party fits a model of its own to; without it those that party.toml names
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Show the values of bad cells
    #[arg(long)]
    pub show_values: bool,
}

/// `party predict`
#[derive(Debug, Args)]
pub struct Predict {
    /// The model, as a training left it
    #[arg(long, value_name = "FILE", required_unless_present = "joint", num_args = 1..)]
    pub model: Vec<PathBuf>,
    /// A study with `[predict]`: meet the other nodes, and score records whose columns are at different
    /// parties, each with its own part of the model
    #[arg(long, value_name = "STUDY", conflicts_with_all = ["model", "id_column", "evaluate"])]
    pub joint: Option<PathBuf>,
    /// The rows: CSV, CSV.gz or Parquet; with --joint in place of those that party.toml names
    #[arg(long, value_name = "FILE", required_unless_present = "joint")]
    pub data: Option<PathBuf>,
    /// The UDP address to listen on with --joint, in place of the one in party.toml
    #[arg(long, value_name = "ADDRESS", requires = "joint")]
    pub listen: Option<SocketAddr>,
    /// Where to write the predictions as CSV; without it they are printed, or with --joint in the state
    /// directory alone
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A column of the data to put beside each prediction
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,
    /// Compare the predictions with the target column, and print scores in their place
    #[arg(long)]
    pub evaluate: bool,
    /// Show the values of bad cells
    #[arg(long)]
    pub show_values: bool,
}
