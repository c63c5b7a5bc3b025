//! How well a released model predicts the rows of all parties, as an agreement of the parties on the protocol
//! `evaluate/1` (docs/evaluation.md): which model, under which threshold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_ml::Agreed;
use mpc_ml::artifact::Model;
use mpc_ml::data::{Schema, Table};
use mpc_ml::evaluate::{self, EvaluatePlan, EvaluateSettings, Evaluation, Tested};
use mpc_ml::model::{Plan, Run};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::input;
use crate::node::Protocol;
use crate::output::{hex, wrapped};
use crate::settings::Settings;
use crate::study::Agreement;
use crate::tabled::{announced, check, lists, wrong};

/// How the name of a model begins.
const SHA256_IS: &str = "sha256:";
/// The folder of the state directory that models of others are put into.
const MODELS: &str = "models";

/// A party that evaluates a model together with others.
pub struct Evaluating {
    settings: EvaluateSettings,
    model: Model,
    sha256: String,
    table: Arc<Table>,
    origin: Origin,
    plan: Option<Agreed<EvaluatePlan>>,
}

/// The table `[settings]` of an agreement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    model: String,
    cuts: Option<Vec<f64>>,
    #[serde(default)]
    threshold: ThresholdRule,
    /// Of another protocol.
    privacy: Option<toml::Value>,
}

/// The SHA-256 of a model file, in hexadecimal digits.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// What is asked for, and the SHA-256 of the model.
fn asked(agreement: &Agreement) -> Result<(EvaluateSettings, String), Failure> {
    let Said { model, cuts, threshold, privacy } = agreement.settings()?;
    if privacy.is_some() {
        return Err(wrong(
            "settings.privacy has no place in evaluate/1, whose sums are exact: write the predictions into a column of \
             the test rows (party predict), and agree on the protocol private-tables/1 with group = the outcome and a \
             histogram of the predictions, from which AUC and calibration follow with the interval of the noise \
             (docs/privacy.md)",
        ));
    }
    let advice = "`party study evaluate --model model.json` drafts an agreement; `sha256sum model.json` prints the digits";
    Ok((EvaluateSettings { cuts, threshold }, named_model(&model, advice)?))
}

/// The SHA-256 of the model that an agreement names.
pub(crate) fn named_model(model: &str, advice: &str) -> Result<String, Failure> {
    let digits = model
        .strip_prefix(SHA256_IS)
        .filter(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let digits = digits.ok_or_else(|| {
        wrong(
            "settings.model must be \"sha256:\" and the 64 hexadecimal digits of the model's file",
        )
        .advise(advice)
    })?;
    Ok(digits.to_lowercase())
}

/// The model with this digest among the files of this node.
pub(crate) fn own_model(state: &Path, sha256: &str) -> Result<Model, Failure> {
    let entries = |folder: &Path| {
        let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
        found.map(|entry| entry.path()).collect::<Vec<PathBuf>>()
    };
    let studies = entries(state).into_iter().map(|folder| folder.join("model.json"));
    for path in studies.chain(entries(&state.join(MODELS))) {
        let Ok(bytes) = input::read(&path) else { continue };
        if fingerprint(&bytes) == sha256 {
            return Model::from_json(&bytes).map_err(|error| Failure::from(error).in_file(&path));
        }
    }
    let what = format!("this node has no model.json with the SHA-256 {sha256}");
    Err(wrong(what).at(state.display().to_string()).advise(format!(
        "a party that did not receive the model copies the file of one that did to {}",
        state.join(MODELS).join("model.json").display()
    )))
}

/// The text of an agreement on evaluating this model, from its file, in groups that end at these predictions.
///
/// # Errors
/// When the model cannot be evaluated, or groups cannot end there.
pub fn draft(
    model: &Model,
    sha256: &str,
    parties: &[String],
    cuts: Option<&[f64]>,
) -> Result<String, Failure> {
    // A text in JSON is one in TOML.
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let settings =
        EvaluateSettings { cuts: cuts.map(<[f64]>::to_vec), ..EvaluateSettings::default() };
    let least = settings.threshold.least;
    let rows = vec![u64::from(least); parties.len()];
    let plan = EvaluatePlan::new(&settings, model, sha256, &rows, Origin::Pairwise)
        .map_err(|error| wrong(error.to_string()))?;
    let names: Vec<String> = parties.iter().map(|party| quoted(party)).collect();
    let cuts = match cuts {
        // Numbers that TOML reads as such.
        Some(cuts) => format!("cuts = {cuts:?}\n"),
        None => "# cuts = [..]     # where groups end, as predictions; without them ten groups of about the same size\n"
            .to_owned(),
    };
    let title: String = format!("Evaluation of: {}", model.title()).chars().take(120).collect();
    let mut text = format!(
        "version = 1\ntitle = {}\nparties = [{}]\n\n[protocol]\nname = {}\n\n[settings]\n\
         model = \"{SHA256_IS}{sha256}\"\n\
         {cuts}\
         threshold = {{ least = {least}, zeros = true, level = \"participants\" }}\n",
        quoted(&title),
        names.join(", "),
        quoted(Evaluating::NAME),
    );
    for output in plan.outputs() {
        let kind = if output.kind.is_repeatable() { "kind = \"figure\"\n" } else { "" };
        text += &format!(
            "\n[[reveals]]\nlabel = {}\n{kind}to = \"all\"\nwhat = {}\nwhy = {}\n",
            quoted(&output.label),
            quoted(&output.what),
            quoted(&output.why)
        );
    }
    text += "\n[security]\ncorrelations = \"pairwise\"\nagainst = \"covert\"\n";
    Ok(text)
}

/// The end of an evaluation, for people.
#[must_use]
pub fn shown(evaluation: &Evaluation) -> String {
    wrapped("Model: ", &evaluation.model.title) + &evaluation.to_string()
}

impl Evaluating {
    fn planned(&self, rows: &[u64]) -> Result<EvaluatePlan, Failure> {
        EvaluatePlan::new(&self.settings, &self.model, &self.sha256, rows, self.origin)
            .map_err(|error| Failure { seen_by_all: true, ..wrong(format!("settings: {error}")) })
    }

    /// Of a model that is there, with these rows.
    fn of(
        agreement: &Agreement,
        (settings, sha256): (EvaluateSettings, String),
        (model, table): (Model, Arc<Table>),
    ) -> Result<Self, Failure> {
        let origin = agreement.terms().security().correlations.origin();
        let own = Self { settings, model, sha256, table, origin, plan: None };
        // All that does not depend on the rows of the others is refused before they are there.
        let parties = agreement.terms().parties().len();
        let mut rows = vec![u64::from(own.settings.threshold.least); parties];
        rows[0] = own.table.rows() as u64;
        let plan =
            own.planned(&rows).map_err(|failure| Failure { seen_by_all: false, ..failure })?;
        lists(agreement, &plan.outputs(), "all of it to all").map_err(|failure| {
            failure
                .advise("`party study evaluate --model model.json` drafts an agreement with them")
        })?;
        Ok(own)
    }
}

impl Protocol for Evaluating {
    const NAME: &'static str = "evaluate/1";
    type Shares = Tested;
    type Result = Evaluation;

    fn schema(agreement: &Agreement, node: &Settings) -> Result<Option<Schema>, Failure> {
        let (settings, sha256) = asked(agreement)?;
        let schema = own_model(&node.state, &sha256)?.schema().clone();
        check(&schema, Some(settings.threshold), &node.limits)?;
        Ok(Some(schema))
    }

    fn of_rows(
        agreement: &Agreement,
        _: usize,
        rows: Arc<Table>,
        node: &Settings,
    ) -> Result<Self, Failure> {
        let (settings, sha256) = asked(agreement)?;
        let model = own_model(&node.state, &sha256)?;
        Self::of(agreement, (settings, sha256), (model, rows))
    }

    fn records(&self) -> Option<u64> {
        Some(self.table.rows() as u64)
    }

    async fn compute(&mut self, run: &mut Run<'_>) -> Result<Tested, Failure> {
        let rows = announced(self.table.rows(), run.session).await?;
        let agreed = Agreed::among(self.planned(&rows)?, run.session).await?;
        let plan = self.plan.insert(agreed);
        Ok(evaluate::test(plan, &self.model, &self.table, run).await?)
    }

    async fn release(&mut self, tested: Tested, run: &mut Run<'_>) -> Result<Evaluation, Failure> {
        let plan = self.plan.as_ref().ok_or_else(|| Failure::new(Exit::Internal, "no plan"))?;
        Ok(evaluate::release(plan, tested, run).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../examples/evaluate.toml");

    #[test]
    fn an_agreement_names_a_model_by_its_digest() {
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        assert_eq!(agreement.protocol(), Evaluating::NAME);
        let (settings, sha256) = asked(&agreement).expect("fits");
        assert_eq!((settings.threshold.least, sha256.len()), (5, 64));
        for (from, to, says) in [
            ("model = \"sha256:", "model = \"", "must be \"sha256:\""),
            ("least = 5", "most = 5", "unknown field `most`"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            let agreement = Agreement::from_bytes(text.as_bytes()).expect("an agreement");
            let said = asked(&agreement).expect_err(to).what;
            assert!(said.contains(says), "{to}: {said}");
        }
        let nowhere = tempfile::tempdir().expect("a folder");
        let said = own_model(nowhere.path(), &sha256).expect_err("none").to_string();
        assert!(said.contains(&sha256) && said.contains("models/model.json"), "{said}");
    }
}
