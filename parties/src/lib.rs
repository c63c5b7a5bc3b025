//! The node: one organisation's part in a joint study.
//!
//! * [`settings`] is `party.toml`, private to the organisation, with its [`limits`]; [`study`] is `study.toml`, the
//!   same at every party.
//! * [`identity`] is the node's key, [`invite`] what it tells others of it, [`data_file`] the organisation's rows, [`input`] how files are
//!   opened.
//! * [`alignment`] is the file of a record alignment, and what makes ids of cells.
//! * [`store`] is what a node remembers, [`approval`] what somebody there has signed.
//! * [`node`] meets the others and runs a study with them.
//! * [`protocol`] is for protocols of one's own, which a node runs like a study.
//! * [`serve`] is a node that is left alone.
//! * [`doctor`] looks for what keeps a node from a study.
//! * [`models`] are the models that a study can name; [`export`] writes them for other programs,
//!   [`report`] makes a page of what a run left.
//! * [`schema`] describes the files of a node to editors.
//! * [`cli`] and [`commands`] are what an operator types, [`exit`] how it ends, [`process`]
//!   what the system may keep of it.
//!
//! The models and their file format are in `mpc-ml`, which knows no files or terminals.

pub mod alignment;
pub mod approval;
pub mod cli;
pub mod commands;
pub mod data_file;
pub mod describing;
pub mod doctor;
pub mod evaluating;
pub mod exit;
pub mod export;
#[cfg(feature = "test-faults")]
pub mod fault;
pub mod identity;
pub mod input;
pub mod invite;
pub mod limits;
pub mod models;
pub mod name;
pub mod node;
pub mod observe;
pub mod output;
pub mod private_tables;
pub mod process;
pub mod protocol;
pub mod report;
pub mod schema;
pub mod serve;
pub mod settings;
pub mod siting;
pub mod store;
pub mod study;
pub mod surviving;
pub mod tabled;
