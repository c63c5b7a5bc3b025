//! Sets joint models beside what they should be: what `scripts/demo.sh` and `scripts/studies.sh`
//! print at their end. It reads the rows of *all* parties, which only a demonstration may do.
//!
//! ```text
//! compare ports COUNT                          free UDP ports of this machine
//! compare demo STUDY REFERENCE TEST SUMMARY (RUN ROWS)...
//!                                              a training by gradient descent beside the same
//!                                              training in the clear, and each party alone
//! compare coefficients CASE FOLDER SUMMARY     one study of the table beside its reference
//! compare model CASE MODEL SUMMARY             a model of the same rows beside the reference of a study
//! compare cut STUDY FOLDER MODEL [--whole] PARTY...
//!                                              the rows of a data set cut by columns: files with ids,
//!                                              alignments and studies of these parties
//! compare columns FOLDER SUMMARY               what came of them beside the same in the clear
//! compare private CASE RUNS [ROWS]             a study with differential privacy, with fresh noise each time
//!                                              and a few epsilons; of ROWS rows a party
//! compare list [--smoke | --large] [--by-columns] [--only SET]
//!                                              the studies of the table: case, file, parties
//! compare report SUMMARY (CASE CORRELATIONS FOLDER)...
//!                                              runs of them beside their references; exit code 1
//!                                              when a limit is missed
//! ```
//!
//! RUN is the `--json` output of `party train`; FOLDER holds a folder for each party, with that
//! output in `run.json`. SUMMARY is written as JSON.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

mod cases;
mod coefficients;
mod columns;
mod cut;
mod private;
mod reference;
mod report;
mod run;
mod same_schedule;

use std::process::ExitCode;

use cases::Case;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["ports", count] => println!("{}", free_ports(count.parse()?)?.join(" ")),
        ["demo", study, reference, test, summary, parties @ ..] => {
            same_schedule::compare(study, reference, test, summary, parties)?;
        }
        ["coefficients", case, folder, summary] => {
            coefficients::compare(Case::named(case)?, folder, summary)?;
        }
        ["model", case, model, summary] => {
            coefficients::of_model(Case::named(case)?, model, summary)?;
        }
        ["cut", study, folder, model, "--whole", parties @ ..] => {
            cut::cut(study, folder, (model, true), parties)?;
        }
        ["cut", study, folder, model, parties @ ..] => {
            cut::cut(study, folder, (model, false), parties)?;
        }
        ["columns", folder, summary] => columns::compare(folder, summary)?,
        ["list", filters @ ..] => {
            for case in Case::chosen(filters)? {
                println!("{}", case.line()?);
            }
        }
        ["private", case, runs] => private::figures(Case::named(case)?, runs.parse()?, None)?,
        ["private", case, runs, rows] => {
            private::figures(Case::named(case)?, runs.parse()?, Some(rows.parse()?))?;
        }
        ["report", summary, runs @ ..] => return report::report(summary, runs),
        _ => return Err("see the first lines of scripts/tools/src/bin/compare/main.rs".into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// UDP ports of this machine that nobody uses just now.
fn free_ports(count: usize) -> std::io::Result<Vec<String>> {
    // All are held at the same time, so that no port comes twice.
    let sockets = (0..count)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    sockets.iter().map(|socket| Ok(socket.local_addr()?.port().to_string())).collect()
}
