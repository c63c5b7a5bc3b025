//! A fit of whole rows or of columns, whichever the parties hold.

use mpc_core::Cost;

use super::columns::{ColumnsPlan, ColumnsShares};
use super::cross::{CrossPlan, CrossShares};
use super::fit::RowsShares;
use super::plan::RowsPlan;
use super::settings::{Finish, GlmSettings};
use crate::data::Cut;
use crate::error::Error;
use crate::model::{Canonical, Facts, Figures, Output, Plan};

/// A fit, planned.
#[derive(Clone, Debug)]
pub struct GlmPlan(pub(super) Way);

/// Who holds what decides how a fit is made.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Rows(Box<RowsPlan>),
    Columns(Box<ColumnsPlan>),
    /// Of rows, with a penalty that is to be found.
    Crossed(Box<CrossPlan>),
}

impl GlmPlan {
    /// Plans a fit.
    ///
    /// # Errors
    /// [`Error::Field`] or [`Error::Settings`] with the rule and the numbers.
    pub fn new(settings: &GlmSettings, facts: &Facts) -> Result<Self, Error> {
        if settings.cross_validation.is_some() && facts.cut() == Cut::Vertical {
            let rule = "is for parties that hold whole rows";
            return Err(Error::field("cross_validation", rule));
        }
        if let Some(plan) = CrossPlan::new(settings, facts)? {
            return Ok(Self(Way::Crossed(Box::new(plan))));
        }
        Ok(Self(match facts.cut() {
            Cut::Vertical => Way::Columns(Box::new(ColumnsPlan::new(settings, facts)?)),
            _ => Way::Rows(Box::new(RowsPlan::new(settings, facts)?)),
        }))
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        match &self.0 {
            Way::Rows(plan) => plan.parties(),
            Way::Crossed(plan) => plan.chosen(0).parties(),
            Way::Columns(plan) => plan.parties(),
        }
    }

    /// The number of coefficients, the intercept included.
    #[must_use]
    pub fn order(&self) -> usize {
        match &self.0 {
            Way::Rows(plan) => plan.order(),
            Way::Crossed(plan) => plan.chosen(0).order(),
            Way::Columns(plan) => plan.order(),
        }
    }

    /// The rows of all parties, or those that all have.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        match &self.0 {
            Way::Rows(plan) => plan.total_rows(),
            Way::Crossed(plan) => plan.chosen(0).total_rows(),
            Way::Columns(plan) => plan.total_rows(),
        }
    }

    /// What the study says; where the penalty is to be found, with the first of those that are compared.
    #[must_use]
    pub fn settings(&self) -> &GlmSettings {
        match &self.0 {
            Way::Rows(plan) => plan.settings(),
            Way::Crossed(plan) => plan.chosen(0).settings(),
            Way::Columns(plan) => &plan.settings,
        }
    }

    /// Bits of statistical masking of what is opened.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        match &self.0 {
            Way::Rows(plan) => plan.sigma(),
            Way::Crossed(plan) => plan.chosen(0).sigma(),
            Way::Columns(plan) => plan.sigma(),
        }
    }

    /// How the fit ends.
    #[must_use]
    pub fn finish(&self) -> Finish {
        match &self.0 {
            Way::Rows(plan) => plan.finish(),
            Way::Crossed(plan) => plan.chosen(0).finish(),
            Way::Columns(_) => Finish::Hidden,
        }
    }

    fn way(&self) -> &dyn Plan {
        match &self.0 {
            Way::Rows(plan) => &**plan,
            Way::Crossed(plan) => &**plan,
            Way::Columns(plan) => &**plan,
        }
    }
}

impl Plan for GlmPlan {
    fn outputs(&self) -> Vec<Output> {
        self.way().outputs()
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        self.way().canonical()
    }

    fn cost(&self, me: usize) -> Cost {
        self.way().cost(me)
    }

    fn checkpoints(&self) -> u64 {
        self.way().checkpoints()
    }

    fn figures(&self) -> Figures {
        self.way().figures()
    }
}

/// What the passes on shares leave: this party's share of coefficients near the optimum, or at it.
#[derive(Debug)]
pub struct GlmShares(pub(super) Shares);

#[derive(Debug)]
pub(super) enum Shares {
    Rows(Box<RowsShares>),
    Columns(Box<ColumnsShares>),
    Crossed(Box<CrossShares>),
}
