//! `party study ...` of the agreement on a protocol of the parties' own.

use std::path::Path;

use serde_json::json;

use super::study::{NO_BUDGET, approved, approver, budget, purpose, revealed, to_do};
use crate::cli::{StudyApprove, StudyCheck};
use crate::exit::{Exit, Failure};
use crate::name::PartyName;
use crate::node::{self, Input, OwnInput};
use crate::output::{Report, wrapped};
use crate::settings::Overrides;
use crate::tabled;

/// What is revealed beside the list is the affair of a program that this one does not know.
const OF_THE_PROTOCOL: &str = "This node allows the protocol these outputs and no others, each once. That its \
                               messages tell nothing else is what the protocol's author has to show.";

pub(super) fn check(config: &Path, options: &StudyCheck) -> Result<Report, Failure> {
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    no_rows(options.rows.as_deref())?;
    let (agreement, settings, _, own) =
        OwnInput::read(&options.study, config, &overrides, &tabled::columns)?;
    let terms = agreement.terms();
    let (disclosure, mut to_do) = (agreement.disclosure(), to_do(terms, &settings));
    let promised = tabled::promised(&agreement, None)?;
    if promised.is_some() && settings.privacy.is_none() {
        to_do.push(NO_BUDGET.to_owned());
    }
    let parties: Vec<&str> = terms.parties().iter().map(PartyName::as_str).collect();
    let mut text = wrapped("", terms.title());
    text += &format!("  {}\n", terms.digest());
    text += &wrapped("  Protocol: ", agreement.protocol());
    text += &wrapped("  Parties:  ", &parties.join(", "));
    text += &format!("\n{}\n", purpose(terms.consent()));
    text += &revealed(&disclosure);
    if matches!(own.input, Input::Bytes(_)) {
        text += &wrapped("  ", OF_THE_PROTOCOL);
    }
    let words = promised.as_ref().map(|(_, plan)| plan.in_words()).unwrap_or_default();
    if let Some((guarantee, _)) = promised {
        text += "\nDifferential privacy\n";
        words.iter().for_each(|each| text += &wrapped("  ", each));
        if let Some(budget) = budget(&settings, Some(guarantee))? {
            text += &wrapped("  ", &budget);
        }
    }
    text += "\nMy input (it stays on this machine)\n";
    let file = own.source.from.path.display();
    let (input, size) = match &own.input {
        Input::Bytes(bytes) => {
            (format!("{file}: {} bytes", bytes.len()), json!({ "bytes": bytes.len() }))
        }
        Input::Rows(table) => {
            (format!("{file}: {} rows", table.rows()), json!({ "rows": table.rows() }))
        }
    };
    text += &wrapped("  ", &input);
    let remarks = match &own.input {
        Input::Bytes(_) => Vec::new(),
        Input::Rows(table) => tabled::remarks(&agreement, table)?,
    };
    remarks.iter().for_each(|remark| text += &wrapped("  note: ", remark));
    if to_do.is_empty() {
        text += "\nThe nodes of all parties are known.\n";
    } else {
        text += "\nBefore the run:\n";
        to_do.iter().for_each(|each| text += &format!("  {each}\n"));
    }
    let mut data = size;
    data["path"] = json!(own.source.from.path);
    Ok(Report {
        text,
        json: json!({
            "study": terms.digest().to_string(),
            "protocol": agreement.protocol(),
            "against": terms.security().against,
            "title": terms.title(),
            "consent": terms.consent(),
            "parties": terms.parties(),
            "this_party": settings.identity.name,
            "disclosure": disclosure,
            "data": data,
            "remarks": remarks,
            "privacy": words,
            "to_do": to_do,
        }),
    })
}

pub(super) fn approve(
    config: &Path,
    overrides: &Overrides,
    options: &StudyApprove,
) -> Result<Report, Failure> {
    no_rows(options.rows.as_deref())?;
    let (agreement, settings, _, own) =
        OwnInput::read(&options.study, config, overrides, &tabled::columns)?;
    let (by, valid) = approver(options);
    let (terms, rows) = (agreement.terms(), own.input.bound());
    let disclosure = agreement.disclosure_digest();
    let signed = node::approve((terms, &settings), &rows, &disclosure, by, valid)?;
    Ok(approved(terms, &own.source.from.path.display().to_string(), &signed))
}

fn no_rows(rows: Option<&[u64]>) -> Result<(), Failure> {
    if rows.is_none() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        "--rows has no place here: what a protocol reveals stands in its agreement",
    ))
}
