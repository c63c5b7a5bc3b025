//! Whether an effect is the same at all sites, as an agreement of the parties on the protocol `sites/1` (docs/sites.md):
//! which model, which of its coefficients.

use std::sync::Arc;

use mpc_core::protocols::threshold::{Level, ThresholdRule};
use mpc_ml::Agreed;
use mpc_ml::artifact::Model;
use mpc_ml::data::{Schema, Table};
use mpc_ml::model::{Plan, Run};
use mpc_ml::sites::{self, OwnEffects, Sites, SitesPlan, SitesSettings};
use serde::Deserialize;

use crate::evaluating::{named_model, own_model};
use crate::exit::{Exit, Failure};
use crate::node::Protocol;
use crate::output::wrapped;
use crate::settings::Settings;
use crate::study::Agreement;
use crate::tabled::{announced, check, lists, wrong};

/// A party that compares effects with others.
pub struct Siting {
    settings: SitesSettings,
    model: Model,
    sha256: String,
    parties: Vec<String>,
    table: Arc<Table>,
    plan: Option<Agreed<SitesPlan>>,
}

/// The table `[settings]` of an agreement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    model: String,
    coefficients: Vec<String>,
    least_rows: Option<u32>,
}

/// What is asked for, and the SHA-256 of the model.
fn asked(agreement: &Agreement) -> Result<(SitesSettings, String), Failure> {
    let Said { model, coefficients, least_rows } = agreement.settings()?;
    let sha256 = named_model(&model, "`sha256sum model.json` prints the digits")?;
    let least_rows = least_rows.unwrap_or(50);
    Ok((SitesSettings { coefficients, least_rows }, sha256))
}

/// The end of a comparison, for people.
#[must_use]
pub fn shown(sites: &Sites) -> String {
    wrapped("Model: ", &sites.model.title) + &sites.to_string()
}

impl Siting {
    fn planned(&self, rows: &[u64]) -> Result<SitesPlan, Failure> {
        SitesPlan::new(&self.settings, &self.model, &self.sha256, &self.parties, rows)
            .map_err(|error| Failure { seen_by_all: true, ..wrong(format!("settings: {error}")) })
    }
}

impl Protocol for Siting {
    const NAME: &'static str = "sites/1";
    type Shares = OwnEffects;
    type Result = Sites;

    fn schema(agreement: &Agreement, node: &Settings) -> Result<Option<Schema>, Failure> {
        let (settings, sha256) = asked(agreement)?;
        let schema = own_model(&node.state, &sha256)?.schema().clone();
        // An estimate is of all rows of a site: what counts must be at least are them.
        let rule =
            ThresholdRule { least: settings.least_rows, zeros: false, level: Level::Outsiders };
        check(&schema, Some(rule), &node.limits)?;
        Ok(Some(schema))
    }

    fn of_rows(
        agreement: &Agreement,
        _: usize,
        table: Arc<Table>,
        node: &Settings,
    ) -> Result<Self, Failure> {
        let (settings, sha256) = asked(agreement)?;
        let model = own_model(&node.state, &sha256)?;
        let parties: Vec<String> =
            agreement.terms().parties().iter().map(ToString::to_string).collect();
        let own = Self { settings, model, sha256, parties, table, plan: None };
        // All that does not depend on the rows of the others is refused before they are there.
        let rows = vec![own.table.rows() as u64; own.parties.len()];
        let plan =
            own.planned(&rows).map_err(|failure| Failure { seen_by_all: false, ..failure })?;
        lists(agreement, &plan.outputs(), "to all")?;
        Ok(own)
    }

    fn records(&self) -> Option<u64> {
        Some(self.table.rows() as u64)
    }

    fn remarks(&self) -> Vec<String> {
        let plan = self.planned(&vec![self.table.rows() as u64; self.parties.len()]);
        let own = plan.ok().and_then(|plan| sites::own(&plan, &self.model, &self.table, 0).ok());
        let why = own.and_then(|own| own.why().map(str::to_owned));
        why.map(|why| {
            format!("there is no fit on the own rows, and the others are told that: {why}")
        })
        .into_iter()
        .collect()
    }

    async fn compute(&mut self, run: &mut Run<'_>) -> Result<OwnEffects, Failure> {
        let rows = announced(self.table.rows(), run.session).await?;
        let agreed = Agreed::among(self.planned(&rows)?, run.session).await?;
        let me = run.session.me();
        let own = sites::own(&agreed, &self.model, &self.table, me)?;
        self.plan = Some(agreed);
        Ok(own)
    }

    async fn release(&mut self, own: OwnEffects, run: &mut Run<'_>) -> Result<Sites, Failure> {
        let plan = self.plan.as_ref().ok_or_else(|| Failure::new(Exit::Internal, "no plan"))?;
        Ok(sites::release(plan, &own, run).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../examples/sites.toml");

    #[test]
    fn an_agreement_names_a_model_and_its_coefficients() {
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("an agreement");
        assert_eq!(agreement.protocol(), Siting::NAME);
        let (settings, sha256) = asked(&agreement).expect("fits");
        assert_eq!((settings.coefficients.len(), settings.least_rows), (2, 60));
        assert_eq!(sha256.len(), 64);
        for (from, to, says) in [
            ("model = \"sha256:", "model = \"", "must be \"sha256:\""),
            ("least_rows", "most_rows", "unknown field `most_rows`"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            let agreement = Agreement::from_bytes(text.as_bytes()).expect("an agreement");
            let said = asked(&agreement).expect_err(to).what;
            assert!(said.contains(says), "{to}: {said}");
        }
    }
}
