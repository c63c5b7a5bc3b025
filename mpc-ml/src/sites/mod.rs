//! Whether an effect is the same at all sites: each party's own estimate, and what they say together
//! (docs/sites.md; docs/protocols.md 17.4).
//!
//! Each party fits a released model to its own rows in the clear. Its estimates and standard errors are **told to all
//! others**, as the agreement says: this is the one computation whose results are figures of single parties. They are
//! revealed like every other result: under a label, once, recorded before they are sent.
//!
//! ```text
//! SitesPlan::new     which coefficients; who has how many rows
//! Agreed::among      all parties mean the same                        1 round
//! own                the own fit, in the clear; nothing is sent
//! release            estimates of all sites (REVEALED)                 1 round
//! ```

mod combine;
mod plan;
mod show;

use std::fmt;

use mpc_core::Fixed;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use combine::{Combined, Estimated, combine};
pub use plan::{ESTIMATES, SitesPlan, SitesSettings};

use crate::artifact::Model;
use crate::data::Table;
use crate::error::Error;
use crate::evaluate::ModelName;
use crate::model::{Agreed, Run};
use crate::plaintext::{NoOwnFit, own_estimates};

/// Fractional bits of what is told.
const FRACTION: u32 = 44;
/// Estimates and standard errors beyond this are as good as none.
const LARGEST: f64 = 1e15;

/// A party's own estimates, or that there are none: **private data** until they are released.
pub struct OwnEffects {
    numbers: Zeroizing<Vec<f64>>,
    why: Option<String>,
}

/// An effect at all sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The encoded column.
    pub name: String,
    /// The estimate of each site, in the order of the parties; none where the model has no fit on its rows alone.
    pub sites: Vec<Option<Estimated>>,
    /// All of them together; none of fewer than two.
    pub combined: Option<Combined>,
}

/// What a comparison of sites gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sites {
    /// The model.
    pub model: ModelName,
    /// Names of the sites.
    pub parties: Vec<String>,
    /// Their rows.
    pub rows: Vec<u64>,
    /// The confidence of all intervals.
    pub confidence: f64,
    /// Each effect.
    pub effects: Vec<Effect>,
}

/// The model on the own rows alone, in the clear.
///
/// # Errors
/// [`Error::Data`] when the rows are not those of the plan, or of another model.
pub fn own(plan: &SitesPlan, model: &Model, table: &Table, me: usize) -> Result<OwnEffects, Error> {
    if plan.rows.get(me).copied() != Some(table.rows() as u64) {
        return Err(Error::Data("these are not as many rows as the plan has".to_owned()));
    }
    let mut numbers = Zeroizing::new(vec![0.0; plan.numbers()]);
    let found = match own_estimates(model, table) {
        Ok(found) => found,
        Err(NoOwnFit::Model(error)) => return Err(Error::Data(error.to_string())),
        Err(why) => return Ok(OwnEffects { numbers, why: Some(why.to_string()) }),
    };
    let wanted: Vec<(f64, f64)> = plan.columns.iter().map(|&column| found[column]).collect();
    let good = |(estimate, error): &(f64, f64)| {
        estimate.abs() < LARGEST
            && *error > libm::ldexp(1.0, 20 - FRACTION as i32)
            && *error < LARGEST
    };
    if !wanted.iter().all(good) {
        let why = "an estimate or its standard error is too extreme to be told".to_owned();
        return Ok(OwnEffects { numbers, why: Some(why) });
    }
    numbers[0] = 1.0;
    for (at, (estimate, error)) in wanted.into_iter().enumerate() {
        (numbers[1 + 2 * at], numbers[2 + 2 * at]) = (estimate, error);
    }
    Ok(OwnEffects { numbers, why: None })
}

impl OwnEffects {
    /// Why there is no own fit, for this party's own eyes.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

/// Reveals [`ESTIMATES`]. One round.
///
/// # Errors
/// Network errors.
pub async fn release(
    plan: &Agreed<SitesPlan>,
    own: &OwnEffects,
    run: &mut Run<'_>,
) -> Result<Sites, Error> {
    let (each, parties) = (plan.numbers(), plan.rows.len());
    // A party's share has nothing in the places of the others.
    let mut numbers = Zeroizing::new(vec![0.0; each * parties]);
    let from = each * run.session.me();
    numbers[from..from + each].copy_from_slice(&own.numbers);
    let shares = Fixed::own_part(&numbers[..], each * parties, 1, FRACTION)?;
    let told = run.session.reveal_fixed(ESTIMATES, &shares, FRACTION).await?;
    let told = told.ok_or_else(|| Error::untold(ESTIMATES))?;
    let effects = plan.coefficients().iter().enumerate().map(|(at, name)| {
        let of = |site: &[f64]| {
            (site[0] > 0.5 && site[2 + 2 * at] > 0.0)
                .then(|| Estimated::new(site[1 + 2 * at], site[2 + 2 * at]))
        };
        let sites: Vec<Option<Estimated>> = told.chunks(each).map(of).collect();
        let known: Vec<(f64, f64)> =
            sites.iter().flatten().map(|site| (site.estimate, site.std_error)).collect();
        Effect { name: name.clone(), sites, combined: combine(&known) }
    });
    Ok(Sites {
        model: plan.model.clone(),
        parties: plan.parties.clone(),
        rows: plan.rows.clone(),
        confidence: combine::CONFIDENCE,
        effects: effects.collect(),
    })
}

impl fmt::Debug for OwnEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnEffects({})", self.numbers.len())
    }
}
