//! What is asked for, and what is revealed of it.

use mpc_core::{Cost, Recipients};
use serde::{Deserialize, Serialize};

use crate::artifact::Model;
use crate::error::Error;
use crate::evaluate::ModelName;
use crate::model::{Canonical, Figures, Output, Plan};

/// The output with the estimates of all sites.
pub const ESTIMATES: &str = "sites/estimates";
/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// Rows of each site, at least, unless the agreement says more.
const LEAST_ROWS: u32 = 50;
/// Rows of each site for each coefficient of the model, at least.
const ROWS_A_COEFFICIENT: u64 = 5;

/// What is asked of the sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitesSettings {
    /// The encoded columns whose coefficients are told.
    pub coefficients: Vec<String>,
    /// How many rows each site has at least.
    #[serde(default = "least_rows")]
    pub least_rows: u32,
}

fn least_rows() -> u32 {
    LEAST_ROWS
}

/// A plan: everything that follows from settings, the model and public facts.
#[derive(Clone, Debug)]
pub struct SitesPlan {
    settings: SitesSettings,
    pub(super) model: ModelName,
    pub(super) parties: Vec<String>,
    pub(super) rows: Vec<u64>,
    /// The places of the coefficients among the encoded columns.
    pub(super) columns: Vec<usize>,
}

impl SitesPlan {
    /// Plans for these parties with `rows[j]` rows each. `sha256` is that of the model's file.
    ///
    /// # Errors
    /// [`Error::Field`] with what does not fit, and what to do.
    pub fn new(
        settings: &SitesSettings,
        model: &Model,
        sha256: &str,
        parties: &[String],
        rows: &[u64],
    ) -> Result<Self, Error> {
        if rows.len() < 2 || rows.len() != parties.len() {
            let rule = "are too few: effects are compared between two sites or more";
            return Err(Error::field("parties", rule));
        }
        if model.l2() > 0.0 {
            let rule =
                "has a penalty, which draws the sites' own estimates towards 0: take one without";
            return Err(Error::field("model", rule));
        }
        if model.case_weights().is_some() {
            return Err(Error::field(
                "model",
                "has case weights, which the sites' own fits do not count",
            ));
        }
        let names = model.schema().columns();
        let place = |name: &String| {
            names.iter().position(|column| column == name).ok_or_else(|| {
                let rule = format!("name {name:?}, which is none of {}", names.join(", "));
                Error::field("coefficients", rule)
            })
        };
        let columns = settings.coefficients.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let twice = (1..columns.len()).any(|at| columns[..at].contains(&columns[at]));
        if columns.is_empty() || twice {
            return Err(Error::field(
                "coefficients",
                "must be one encoded column or more, each once",
            ));
        }
        let order = names.len() as u64 + u64::from(model.has_intercept());
        let least = u64::from(settings.least_rows).max(ROWS_A_COEFFICIENT * order);
        if let Some(few) = rows.iter().find(|&&rows| rows < least) {
            let rule = format!(
                "of one party are {few}, and an estimate of {order} coefficients on its own rows alone is told of \
                 {least} rows or more ({ROWS_A_COEFFICIENT} for each coefficient, and least_rows)"
            );
            return Err(Error::field("rows", rule));
        }
        let model = ModelName {
            kind: model.kind(),
            title: model.title().to_owned(),
            study: model.study().to_owned(),
            sha256: sha256.to_owned(),
        };
        Ok(Self {
            settings: settings.clone(),
            model,
            parties: parties.to_vec(),
            rows: rows.to_vec(),
            columns,
        })
    }

    /// The names of the coefficients.
    #[must_use]
    pub fn coefficients(&self) -> &[String] {
        &self.settings.coefficients
    }

    /// Numbers that a site tells: whether there is a fit, then estimates and standard errors.
    pub(super) fn numbers(&self) -> usize {
        1 + 2 * self.columns.len()
    }
}

impl Plan for SitesPlan {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::result(
            ESTIMATES,
            Recipients::All,
            format!(
                "of each party, by name: whether the model has a fit on its rows alone, and of that fit the \
                 estimates and standard errors of {}",
                self.settings.coefficients.join(", ")
            ),
            "a forest plot and the measures of how effects differ between sites follow from them. WARNING: these \
             are figures of each party alone, and not joint ones",
        )]
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new("sites", ARITHMETIC)
            .with(&self.settings)?
            .field("model", &self.model)?
            .field("parties", &self.parties)?
            .field("rows", &self.rows)
    }

    fn cost(&self, me: usize) -> Cost {
        let parties = self.rows.len();
        let bytes = 16 * parties * self.numbers();
        Cost::to_all(me, parties, 1, bytes as u64).results(1)
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }
}
