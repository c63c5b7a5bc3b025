//! `party study evaluate`: a draft of an agreement to evaluate a model.

use mpc_ml::artifact::{Model, ModelError};
use serde_json::json;

use crate::cli::StudyEvaluate;
use crate::evaluating::{draft as drafted, fingerprint};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Report, check_writable, create, wrapped};
use crate::study::Agreement;

pub(super) fn draft(options: &StudyEvaluate) -> Result<Report, Failure> {
    let (path, out) = (&options.model, &options.out);
    check_writable(out)?;
    let bytes = input::read(path).map_err(|error| {
        Failure::new(Exit::LocalInput, format!("the model cannot be read: {error}")).in_file(path)
    })?;
    let model = Model::from_json(&bytes).map_err(|error| refused(error).in_file(path))?;
    let sha256 = fingerprint(&bytes);
    let parties = match &options.parties {
        Some(parties) => parties.clone(),
        None => model.training().security.parties.clone(),
    };
    let cuts = options.cuts.as_deref();
    let text = drafted(&model, &sha256, &parties, cuts).map_err(|failure| failure.in_file(path))?;
    // Names, the title: what the others would refuse is refused here.
    Agreement::from_bytes(text.as_bytes()).map_err(Failure::from)?;
    create(out, text.as_bytes())?;
    let told = format!(
        "Wrote {}: read it, send it to the other parties, and then, at all of them, with rows that the model was \
         not fitted to:",
        out.display()
    );
    let command = format!("party train {} --data test.csv", out.display());
    Ok(Report {
        text: wrapped("", &told) + &format!("  {command}\n"),
        json: json!({ "out": out, "model_sha256": sha256, "parties": parties }),
    })
}

/// A file of no model with one score for a row; for one of several classes with what tells as much.
fn refused(error: ModelError) -> Failure {
    let classes = matches!(error, ModelError::Classes);
    let failure = Failure::from(error);
    if !classes {
        return failure;
    }
    failure.advise(
        "`party predict --model model.json --data test.csv --evaluate` tells each party accuracy and log-loss of its own test \
         rows. For those of all parties each of them writes beside its rows, from the predictions of --out, a column of words \
         that says whether the likeliest class is the right one, and they agree on describe/1, or with noise on \
         private-tables/1, which count its words (docs/describe.md, docs/privacy.md)",
    )
}
