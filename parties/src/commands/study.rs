//! `party study ...`

use std::path::Path;
use std::time::Duration;

use mpc_core::Against;
use mpc_ml::privacy::Guarantee;
use serde::Serialize;
use serde_json::json;

use super::agreement;
use super::own_columns::own_columns;
use super::plan::{self, Estimate};
use super::studies;
use crate::approval::{Approver, SignedApproval};
use crate::cli::{StudyApprove, StudyCheck, StudyDescribe, StudyWithdraw};
use crate::data_file::{DataFile, Summary, passed_over};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::models::{Account, Planned};
use crate::name::PartyName;
use crate::node::{self, BoundRows, OwnSide};
use crate::output::{Report, wrapped};
use crate::settings::{Overrides, Settings};
use crate::store::Spending;
use crate::study::{
    Approvals, Consent, Controller, Correlations, Disclosure, Study, Terms, is_agreement,
};

/// What is to be done before a study with differential privacy.
pub(super) const NO_BUDGET: &str = "party.toml has no [privacy] budget yet (docs/privacy.md)";

pub(super) fn check(config: &Path, options: &StudyCheck) -> Result<Report, Failure> {
    if is_agreement(&options.study) {
        return agreement::check(config, options);
    }
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    let side = OwnSide::read(&options.study, config, &overrides, options.show_values)?;
    let OwnSide { study, settings, source, data: file, .. } = &side;
    let mut to_do = to_do(study.terms(), settings);
    if study.privacy().is_some() && settings.privacy.is_none() {
        to_do.push(NO_BUDGET.to_owned());
    }
    let (planned, plan) = Plan::new(&side, &options.study, options.rows.as_ref())?;
    let disclosure = study.disclosure(&*planned);
    let more = (!options.rehearse && study.scoring().is_none()).then_some(&*options.study);
    let mut text = text(&side, (&plan, more), &disclosure, &to_do)?;
    let rehearsed = if options.rehearse {
        if study.scoring().is_some() {
            return Err(Failure::new(Exit::Usage, plan::NOT_REHEARSED)
                .in_file(&options.study)
                .advise("leave out --rehearse: rounds and bytes of scores are known without it"));
        }
        options.line.check()?;
        let estimate = Estimate::rehearsed(study, &plan.rows)?;
        text += "\nAll of it, from a rehearsal\n";
        text += &estimate.in_words(study, &options.line);
        Some(estimate.json(study, &options.line))
    } else {
        None
    };
    Ok(Report {
        text,
        json: json!({
            "study": study.digest().to_string(),
            "against": study.security().against,
            "title": study.title(),
            "consent": study.consent(),
            "parties": study.parties(),
            "this_party": settings.identity.name,
            "disclosure": disclosure,
            "encoded_columns": study.schema().columns(),
            "alignment": study.columns().map(|columns| columns.alignment().to_string()),
            "data": {
                "path": source.from.path,
                "rows": file.table.rows(),
                "unused_columns": file.unused_columns,
                "passed_over": file.passed_over,
                "summary": Summary::of(file),
                "missing": missing(file).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            },
            "plan": plan,
            "rehearsed": rehearsed,
            "to_do": to_do,
        }),
    })
}

pub(super) fn describe(config: &Path, options: &StudyDescribe) -> Result<Report, Failure> {
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    let side = OwnSide::read(&options.study, config, &overrides, options.show_values)?;
    let summary = Summary::of(&side.data);
    let mut text = wrapped("", side.study.title());
    text += &wrapped("  ", &format!("{}: {} rows", side.source.from.path.display(), summary.rows));
    text += &own_columns(&summary);
    text += "  These lines stay on this machine.\n";
    Ok(Report { text, json: json!({ "data": summary }) })
}

pub(super) fn approve(config: &Path, options: &StudyApprove) -> Result<Report, Failure> {
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    if is_agreement(&options.study) {
        return agreement::approve(config, &overrides, options);
    }
    let side = OwnSide::read(&options.study, config, &overrides, false)?;
    let (planned, _) = Plan::new(&side, &options.study, options.rows.as_ref())?;
    let outputs = side.study.outputs(&*planned);
    let disclosure = side.study.disclosure_digest(&outputs);
    let (by, valid) = approver(options);
    let OwnSide { study, settings, source, data, .. } = &side;
    let (terms, rows) = (study.terms(), BoundRows::new(&data.table));
    let signed = node::approve((terms, settings), &rows, &disclosure, by, valid)?;
    let of = format!("{} of {}", data.table.rows(), source.from.path.display());
    Ok(approved(terms, &of, &signed))
}

/// Who approves, and for how long.
pub(super) fn approver(options: &StudyApprove) -> (Approver, Duration) {
    let StudyApprove { name, role, note, valid_days, .. } = options;
    let by = Approver { name: name.clone(), role: role.clone(), note: note.clone() };
    (by, Duration::from_secs(u64::from(*valid_days) * 86_400))
}

/// What was approved, as it is told.
pub(super) fn approved(terms: &Terms, rows: &str, signed: &SignedApproval) -> Report {
    let lines = [
        wrapped("Approved:  ", terms.title()),
        format!("           {}\n", terms.digest()),
        wrapped("By:        ", &signed.in_words()),
        wrapped("Of rows:   ", rows),
        wrapped(
            "It counts: ",
            "for this study, these rows, and what `party study check` says will be revealed; `party study \
             withdraw` takes it back",
        ),
    ];
    Report {
        text: lines.concat(),
        json: json!({ "study": terms.digest().to_string(), "approved": signed }),
    }
}

pub(super) fn withdraw(config: &Path, options: &StudyWithdraw) -> Result<Report, Failure> {
    let overrides = Overrides::default();
    let path = &options.study;
    let terms = Terms::read(path).map_err(|error| Failure::from(error).in_file(path))?;
    let settings =
        Settings::read(config, &overrides).map_err(|error| Failure::from(error).in_file(config))?;
    let there = node::withdraw(&terms, &settings, &options.name)?;
    let text = if there {
        "The approval was taken back. A run that is under way is not stopped by that.\n"
    } else {
        "There was no approval that counts.\n"
    };
    Ok(Report { text: text.to_owned(), json: json!({ "withdrawn": there }) })
}

/// What can be said of the computation without the other parties.
#[derive(Serialize)]
struct Plan {
    rows: Vec<u64>,
    /// Whether the numbers of rows were given, and not taken from this party's own.
    rows_given: bool,
    #[serde(flatten)]
    account: Account,
}

impl Plan {
    fn new(
        side: &OwnSide,
        path: &Path,
        given: Option<&Vec<u64>>,
    ) -> Result<(Box<dyn Planned>, Self), Failure> {
        let (study, own) = (&side.study, side.data.table.rows() as u64);
        let parties = study.parties().len();
        let usage = |what: String| Err(Failure::new(Exit::Usage, what));
        if study.columns().is_some() && given.is_some() {
            return usage("--rows has no place here: all parties have the aligned records".into());
        }
        let rows = match given {
            Some(rows) if rows.len() != parties => {
                return usage(format!(
                    "--rows has {} numbers, and the study has {parties} parties",
                    rows.len()
                ));
            }
            Some(rows) if rows[side.place] != own => {
                return usage(format!(
                    "--rows gives this party {} rows, and its data have {own}",
                    rows[side.place]
                ));
            }
            Some(rows) => rows.clone(),
            None => vec![own; parties],
        };
        let rows_given = given.is_some();
        let planned = study.plan(&rows).map_err(|error| {
            let failure = Failure::from(error).in_file(path);
            if rows_given || study.columns().is_some() {
                return failure;
            }
            failure.advise(format!(
                "this was planned as if every party had {own} rows, as this one; where you know \
                 better, give --rows N,N,.. in the order of the study"
            ))
        })?;
        let account = Account::of(&*planned, side.place, study.security().against);
        Ok((planned, Self { rows, rows_given, account }))
    }
}

/// What this node still lacks before it can take part.
pub(super) fn to_do(terms: &Terms, settings: &Settings) -> Vec<String> {
    let others = terms.parties().iter().filter(|name| **name != settings.identity.name);
    let mut to_do: Vec<String> = others
        .filter(|name| settings.peer(name).is_none())
        .map(|name| format!("{name} is not known yet: party peer add {name} ADDRESS FINGERPRINT"))
        .collect();
    if terms.security().correlations == Correlations::Dealer && settings.dealer.is_none() {
        let line = "the dealer is not known yet: party peer add --dealer NAME ADDRESS FINGERPRINT";
        to_do.push(line.to_owned());
    }
    to_do
}

fn missing(file: &DataFile) -> Vec<(&str, usize)> {
    let names = file.table.schema().features().iter().map(|feature| feature.name.as_str());
    names.zip(file.table.missing()).filter(|(_, count)| *count > 0).collect()
}

/// Under which condition nothing but the list is revealed.
fn nothing_else(study: &Study) -> &'static str {
    match study.security().against {
        Against::Covert if study.columns().is_some() && study.scoring().is_none() => {
            "Nothing else is revealed to anyone, provided that no node puts something else in the place of \
             the result: nobody has whole rows, so no result is checked against them, and a changed program \
             could have sums over single rows of others in it. What it changes in openings on the way is \
             caught, as docs/threat-model.md says (security.against = \"covert\")."
        }
        Against::Covert => {
            "Nothing else is revealed to anyone. A node that changes its program in order to learn \
             more is caught, as docs/threat-model.md says (security.against = \"covert\")."
        }
        Against::SemiHonest => {
            "Nothing else is revealed to anyone, provided that every node runs the program as it is: \
             one that changes it is not noticed (security.against = \"semi-honest\")."
        }
    }
}

/// What the study says that it is for, and who answers for it.
pub(super) fn purpose(consent: &Consent) -> String {
    let none = || "not stated in the study".to_owned();
    let mut text = "What it is for\n".to_owned();
    let kind = consent.kind.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    text += &wrapped("  Purpose:     ", &(consent.purpose.clone().unwrap_or_else(none) + &kind));
    text += &wrapped("  Legal basis: ", &consent.legal_basis.clone().unwrap_or_else(none));
    text += &wrapped("  Kept:        ", &consent.retention.clone().unwrap_or_else(none));
    for Controller { party, controller, contact } in &consent.controllers {
        let contact = contact.as_ref().map(|contact| format!(", {contact}")).unwrap_or_default();
        text += &wrapped("  Controller:  ", &format!("of {party}: {controller}{contact}"));
    }
    let approvals = match consent.approvals {
        Approvals::All => "of all parties, before anything leaves a node",
        Approvals::Own => "as each party's own settings say",
    };
    text + &wrapped("  Approvals:   ", approvals)
}

/// What of the privacy budget the study takes, where it takes of one.
///
/// # Errors
/// When what is spent cannot be read: it is not nothing then.
pub(super) fn budget(
    settings: &Settings,
    asked: Option<Guarantee>,
) -> Result<Option<String>, Failure> {
    let Some(budget) = settings.privacy.as_ref().filter(|_| asked.is_some()) else {
        return Ok(None);
    };
    // Who looks at a study without the node's key does not see what it has spent.
    let Ok(identity) = Identity::read(&settings.identity.key) else { return Ok(None) };
    let spent = match studies::memory(settings, &identity)? {
        Some(store) => store.spending(&budget.source)?,
        None => Spending::default(),
    };
    Ok(node::budget_in_words(settings, spent, asked))
}

/// What is revealed, to whom, and why.
pub(super) fn revealed(disclosure: &[Disclosure]) -> String {
    let mut text = "What will be revealed\n".to_owned();
    for (index, each) in disclosure.iter().enumerate() {
        let number = format!("  {}. ", index + 1);
        let below = " ".repeat(number.len());
        text += &wrapped(&format!("{number}What:    "), &each.what);
        text += &wrapped(&format!("{below}To whom: "), &each.to_whom);
        text += &wrapped(&format!("{below}Why:     "), &each.why);
    }
    text
}

fn text(
    side: &OwnSide,
    (plan, more): (&Plan, Option<&Path>),
    disclosure: &[Disclosure],
    to_do: &[String],
) -> Result<String, Failure> {
    let OwnSide { study, source, data: file, .. } = side;
    let mut text = String::new();
    text += &wrapped("", study.title());
    text += &format!("  {}\n", study.digest());
    let parties: Vec<&str> = study.parties().iter().map(PartyName::as_str).collect();
    text += &wrapped("  Parties: ", &parties.join(", "));
    text += &format!("\n{}\n", purpose(study.consent()));

    text += &revealed(disclosure);
    text += &wrapped("  ", nothing_else(study));

    text += "\nMy data (these lines stay on this machine)\n";
    let rows = file.table.rows();
    let rows = match study.columns() {
        None if study.expanded().is_some() => {
            format!(
                "{}: {rows} rows, one for each interval that a row enters",
                source.from.path.display()
            )
        }
        None => format!("{}: {rows} rows", source.from.path.display()),
        Some(_) => {
            format!("{}: {rows} aligned records, in their order", source.from.path.display())
        }
    };
    text += &wrapped("  ", &rows);
    text += &own_columns(&Summary::of(file));
    if let Some(lines) = passed_over(file.passed_over) {
        text += &format!("  {lines}\n");
    }
    if !file.unused_columns.is_empty() {
        let unused = file.unused_columns.join(", ");
        text += &wrapped("  Columns that the study does not use: ", &unused);
    }
    let Limits { least_rows, least_cells, .. } = side.settings.limits;
    if let Some(budget) = budget(&side.settings, side.study.guarantee())? {
        text += &wrapped("  ", &budget);
    }
    let limits = format!(
        "Within this node's limits: {least_rows} rows, {least_cells} cells in a joint sum that are not \
         all known"
    );
    text += &wrapped("  ", &limits);
    let columns = file.table.schema().columns();
    text += &wrapped(&format!("  Encoded as {} columns: ", columns.len()), &columns.join(", "));
    if study.has_target(side.place) && study.columns().is_some() {
        text += &wrapped("  Target: ", study.schema().target().column());
    }

    let rows: Vec<String> = plan.rows.iter().map(u64::to_string).collect();
    let planned = match (study.columns(), plan.rows_given) {
        (Some(_), _) => {
            format!("{} records of {} columns", rows[0], study.schema().columns().len())
        }
        (None, true) => format!("{} rows", rows.join(" + ")),
        (None, false) => {
            format!("{} rows (as many as here at each; --rows gives others)", rows.join(" + "))
        }
    };
    let planned = format!("The computation, planned for {planned}");
    text += &format!("\n{}", wrapped("", &planned));
    let prepares = !study.is_federated() && study.privacy().is_none();
    text += &computation(&plan.account, prepares);
    if let Some(path) = more {
        // A line of its own, to be copied.
        let rows = match study.columns() {
            Some(_) => rows[0].clone(),
            None => rows.join(","),
        };
        text += "  All bytes, memory and minutes, by a rehearsal (here: --rehearse):\n";
        text += &format!("  party plan {} --rows {rows}\n", path.display());
    }

    if to_do.is_empty() {
        text += "\nEverything fits; the nodes of all parties are known.\n";
    } else {
        text += "\nThe study and the data fit. Before training:\n";
        // Commands stand on a line of their own, to be copied.
        to_do.iter().for_each(|each| text += &format!("  {each}\n"));
    }
    Ok(text)
}

/// What the computation costs, and how exact it is.
fn computation(account: &Account, prepares: bool) -> String {
    let sent = account.bytes_sent as f64 / 1e6;
    // Sums under masks or noise take no correlations.
    let beside = if prepares { " beside the preprocessing" } else { "" };
    let (steps, rounds) = (account.figures.steps, account.rounds);
    let steps = if account.figures.passes {
        format!(
            "Up to {steps} passes over the rows. With as many as most fits take: {rounds} rounds; this \
             node sends {sent:.2} MB{beside}"
        )
    } else {
        format!("{steps} steps, {rounds} rounds; this node sends {sent:.2} MB{beside}")
    };
    // Where nothing is opened but results there is none.
    let sigma = Some(account.figures.sigma).filter(|sigma| *sigma > 0);
    let masked = sigma.map(|sigma| format!("Openings are masked by {sigma} bits and more"));
    let masked = masked.map(|masked| wrapped("  ", &masked));
    let precision = account.figures.precision.iter().map(|each| wrapped("  Precision: ", each));
    [wrapped("  ", &steps)].into_iter().chain(masked).chain(precision).collect()
}
