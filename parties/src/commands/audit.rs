//! `party audit ...`

use std::fmt::Write;
use std::path::Path;

use mpc_net::record::Difference;
use serde_json::{Value, json};

use crate::cli::{AuditExport, AuditForget, AuditReplay};
use crate::describing::Describing;
use crate::evaluating::Evaluating;
use crate::exit::{Exit, Failure};
use crate::node::{
    Again, Exported, Joint, Protocol, ProtocolWork, Verdict, Work, forget as forget_record,
};
use crate::output::Report;
use crate::private_tables::PrivateTables;
use crate::settings::Overrides;
use crate::siting::Siting;
use crate::study::{Agreement, is_agreement};
use crate::surviving::Surviving;

pub(super) fn export(config: &Path, options: &AuditExport) -> Result<Report, Failure> {
    let AuditExport { study, about, out } = options;
    let messages = Exported::write(study, config, about, out)?;
    Ok(Report {
        text: format!(
            "Wrote the digests of {messages} messages of {about} to {}; there is nothing secret in \
             it.\n",
            out.display()
        ),
        json: json!({ "about": about, "messages": messages, "file": out }),
    })
}

pub(super) fn forget(config: &Path, options: &AuditForget) -> Result<Report, Failure> {
    let bytes = forget_record(&options.study, config)?;
    let text = match bytes {
        0 => "Nothing was kept for an audit of this study.\n".to_owned(),
        bytes => format!(
            "Removed {:.1} MB. This node's part in the study cannot be done again.\n",
            bytes as f64 / 1e6
        ),
    };
    Ok(Report { text, json: json!({ "bytes": bytes }) })
}

pub(super) fn replay(config: &Path, options: &AuditReplay) -> Result<Report, Failure> {
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    let path = &options.study;
    if !is_agreement(path) {
        return again(Again::prepare(path, config, &overrides)?, options);
    }
    let agreement = Agreement::read(path).map_err(|error| Failure::from(error).in_file(path))?;
    let joint = Repeated { path, config, overrides };
    match agreement.protocol() {
        Describing::NAME => again(joint.of::<Describing>()?, options),
        Surviving::NAME => again(joint.of::<Surviving>()?, options),
        PrivateTables::NAME => again(joint.of::<PrivateTables>()?, options),
        Evaluating::NAME => again(joint.of::<Evaluating>()?, options),
        Siting::NAME => again(joint.of::<Siting>()?, options),
        other => {
            let what = format!(
                "the agreement is on the protocol {other}, whose program does a part of it again, and not this one"
            );
            Err(Failure::new(Exit::Usage, what).in_file(path).advise(
                "in the program that ran it: parties::node::Again::of(Joint::again()?)?, then check and run, \
                 against what `party audit export` wrote",
            ))
        }
    }
}

/// A part of an agreement that is to be done again.
struct Repeated<'a> {
    path: &'a Path,
    config: &'a Path,
    overrides: Overrides,
}

impl Repeated<'_> {
    fn of<P: Protocol>(self) -> Result<Again<ProtocolWork<P>>, Failure> {
        let mut joint = Joint::<P>::new(self.path, self.config);
        joint.overrides = self.overrides;
        Again::of(joint.again()?)
    }
}

/// Does a part again, and compares it with what was exported.
fn again<W: Work>(again: Again<W>, options: &AuditReplay) -> Result<Report, Failure> {
    let mut exported = Vec::new();
    for path in &options.against {
        let one = Exported::read(path)?;
        again.check(&one, path)?;
        exported.push(one);
    }
    let name = again.record().name(again.record().me.into()).to_owned();
    let complete = again.record().complete;
    let verdicts = super::runtime()?.block_on(again.run(&exported))?;
    report(&name, complete, &verdicts, &exported)
}

/// Whether the audited party signed the message that differs.
fn is_signed(verdict: &Verdict, difference: &Difference, exported: &[Exported]) -> bool {
    let by = exported.iter().find(|exported| exported.name() == verdict.by);
    by.is_some_and(|exported| verdict.proven(difference, exported))
}

fn report(
    name: &str,
    complete: bool,
    verdicts: &[Verdict],
    exported: &[Exported],
) -> Result<Report, Failure> {
    if let Some(verdict) = verdicts.iter().find(|verdict| !verdict.differences.is_empty()) {
        return Err(difference(name, verdict, exported));
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    for Verdict { by, messages, signed, .. } in verdicts {
        let _ = writeln!(
            text,
            "{name} sent again what was received by {by}: {messages} messages, {signed} of them \
             signed by {name}."
        );
    }
    if !complete {
        text += "The run did not come to its end; all that was sent in it agrees.\n";
    }
    if exported.is_empty() {
        text += "No other node's record was given (--against): this shows something to nobody but \
                 this party.\n";
    }
    let each = |verdict: &Verdict| {
        json!({
            "received_by": verdict.by, "messages": verdict.messages, "signed": verdict.signed,
        })
    };
    let verdicts: Vec<Value> = verdicts.iter().map(each).collect();
    Ok(Report {
        text,
        json: json!({ "audited": name, "agrees": true, "complete": complete, "with": verdicts }),
    })
}

/// The first difference in words.
fn difference(name: &str, verdict: &Verdict, exported: &[Exported]) -> Failure {
    let of = |difference: &Difference| {
        let entry = difference.recorded.as_ref().or(difference.again.as_ref());
        let step = entry.map_or("", |entry| entry.step.as_str()).to_owned();
        let channel = match difference.channel.as_str() {
            "" => "the main channel".to_owned(),
            path => format!("the channel {path}"),
        };
        let what = match (&difference.recorded, &difference.again) {
            (Some(_), Some(_)) => "another message",
            (Some(_), None) => "a message that is not due",
            _ => "nothing",
        };
        (format!("{what} as number {} of {channel}, in the step {step}", difference.number), step)
    };
    let Some(first) = verdict.differences.first() else {
        return Failure::new(Exit::Internal, "there is no difference");
    };
    let (what, _) = of(first);
    let (proof, advice) = if is_signed(verdict, first, exported) {
        (
            format!("{name} signed that it sent this"),
            "keep the exported file: with this party's seed, rows and messages anybody can check it",
        )
    } else {
        (
            format!("no signature of {name} covers it"),
            "this shows something to nobody but who received it and who holds this record",
        )
    };
    let others = match verdict.differences.len() - 1 {
        0 => String::new(),
        more => format!("; {more} other channels differ too"),
    };
    Failure::new(
        Exit::Deviated,
        format!("{name} sent {} {what}, and its seed, rows and messages give something else{others}; {proof}", verdict.by),
    )
    .advise(advice)
}
