//! The log: structured, on standard error, and in files where a node is left alone; without anything secret.

use std::io;
use std::path::Path;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::cli::LogFormat;
use crate::node::say;

/// Files that are kept, of a day each.
const DAYS: usize = 30;

/// Starts the log. `RUST_LOG` chooses what is logged on standard error; without it, warnings. With a folder,
/// there is a file for each day in it as well, one JSON object a line, for the last thirty days.
pub fn start(format: LogFormat, folder: Option<&Path>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let files = folder.and_then(|folder| {
        // What is wrong with it is told below.
        let _ = std::fs::create_dir_all(folder);
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("party")
            .filename_suffix("log")
            .max_log_files(DAYS)
            .build(folder);
        match files {
            Ok(files) => {
                let filter =
                    EnvFilter::new("warn,parties=info,mpc_net=info,mpc_core=info,mpc_ml=info");
                Some(fmt::layer().json().with_writer(files).with_filter(filter))
            }
            Err(error) => {
                say(&format!("warning: there is no log in {}: {error}", folder.display()));
                None
            }
        }
    });
    // An error says that a log was started before, which is as good.
    let _ = tracing_subscriber::registry().with(lines).with(files).try_init();
}
