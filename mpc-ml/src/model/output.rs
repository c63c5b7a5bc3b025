//! What a model reveals.

use mpc_core::{Outputs, Recipients};

/// One output: everything that anybody is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The label under which the session reveals it.
    pub label: String,
    /// Who learns it.
    pub recipients: Recipients,
    /// Whether it only says if there is a result, and is no part of the result.
    pub check: bool,
    /// What it is, in words for somebody who approves the study.
    pub what: String,
    /// Why it is revealed, and what follows from it.
    pub why: String,
}

impl Output {
    /// A part of the result, for `recipients`.
    #[must_use]
    pub fn result(
        label: impl Into<String>,
        recipients: Recipients,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let (label, what, why) = (label.into(), what.into(), why.into());
        Self { label, recipients, check: false, what, why }
    }

    /// A figure that everybody must see in order to know whether there is a result at all.
    #[must_use]
    pub fn check(label: impl Into<String>, what: impl Into<String>) -> Self {
        const WHY: &str = "all must know whether the result can be trusted; if not, the study ends \
                           without a model, and the only thing that was learnt is that the columns \
                           nearly determine each other, or that the settings of the study do not \
                           suffice for them";
        let (label, what, why) = (label.into(), what.into(), WHY.into());
        Self { label, recipients: Recipients::All, check: true, what, why }
    }

    /// The coefficients of a model, `columns` of them beside the intercept, released as `how` says.
    #[must_use]
    pub fn coefficients(
        label: &str,
        recipients: Recipients,
        columns: usize,
        intercept: bool,
        how: &str,
    ) -> Self {
        let intercept = if intercept { " and the intercept" } else { "" };
        let what = format!("the final model: {columns} coefficients{intercept}, {how}");
        let why = "it is the purpose of the study. A model tells something about the rows it was \
                   trained on, more so the fewer they are; differential privacy is not applied";
        Self::result(label, recipients, what, why)
    }
}

/// The ledger of a session that may reveal these outputs, each once.
#[must_use]
pub fn ledger(outputs: &[Output]) -> Outputs {
    outputs
        .iter()
        .fold(Outputs::none(), |ledger, output| ledger.allow(&output.label, output.recipients))
}
