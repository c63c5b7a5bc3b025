//! `party plan` of tables with differential privacy: what their noise leaves of the figures. Nothing is rehearsed.

use mpc_ml::Plan as _;
use serde_json::json;

use crate::cli::Plan;
use crate::exit::{Exit, Failure};
use crate::output::{Report, wrapped};
use crate::study::Agreement;
use crate::tabled::promised;

pub(super) fn run(options: &Plan) -> Result<Report, Failure> {
    let path = &options.study;
    let refused = |what: String, advice: &str| {
        Err(Failure::new(Exit::Usage, what).in_file(path).advise(advice))
    };
    let agreement = Agreement::read(path).map_err(|error| Failure::from(error).in_file(path))?;
    let terms = agreement.terms();
    let parties = terms.parties().len();
    if promised(&agreement, None).map_err(|failure| failure.in_file(path))?.is_none() {
        let what = format!("agreements on {} are not rehearsed", agreement.protocol());
        return refused(what, "`party study check` tells what it reveals");
    }
    if options.rows.len() != parties {
        let what =
            format!("--rows has {} numbers, and there are {parties} parties", options.rows.len());
        return refused(what, "name the rows of each party, in the order of the agreement");
    }
    let planned = promised(&agreement, Some(&options.rows));
    let Some((_, plan)) = planned.map_err(|failure| failure.in_file(path))? else {
        return refused("nothing is promised".to_owned(), "name an agreement on private tables");
    };
    let (words, signals) = (plan.in_words(), plan.signals());
    let cost = plan.cost(0).under(terms.security().against, 0);
    let mut text = format!("{}\n", terms.title());
    words.iter().for_each(|each| text += &wrapped("Precision: ", each));
    signals.iter().for_each(|each| text += &wrapped("Signal:    ", each));
    text += &wrapped(
        "Cost:      ",
        &format!(
            "{} rounds beside meeting and signing, {} bytes sent by each party",
            cost.rounds,
            cost.sent()
        ),
    );
    Ok(Report {
        text,
        json: json!({
            "study": terms.digest().to_string(),
            "rows": options.rows,
            "precision": words,
            "signal": signals,
            "rounds": cost.rounds,
            "bytes_sent": cost.sent(),
        }),
    })
}
