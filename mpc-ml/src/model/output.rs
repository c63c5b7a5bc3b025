//! What a model reveals.

use mpc_core::{Outputs, Recipients};

/// What an output is to the result of a study, and hence whether it may be revealed again
/// (docs/protocols.md 0, Restart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// It only says whether there is a result.
    Check,
    /// The computation needs it on its way to the result: joint statistics, sums, sizes.
    Figure,
    /// It is a part of the result: coefficients, and what is computed from them.
    Result,
}

impl OutputKind {
    /// Whether a run on the same rows may reveal it again. The result is revealed once.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        self != Self::Result
    }
}

/// One output: everything that anybody is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The label under which the session reveals it.
    pub label: String,
    /// Who learns it.
    pub recipients: Recipients,
    /// What it is to the result.
    pub kind: OutputKind,
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
        Self { label, recipients, kind: OutputKind::Result, what, why }
    }

    /// A figure that everybody must see for the computation to go on.
    #[must_use]
    pub fn figure(
        label: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let (label, what, why) = (label.into(), what.into(), why.into());
        Self { label, recipients: Recipients::All, kind: OutputKind::Figure, what, why }
    }

    /// A figure that everybody must see in order to know whether there is a result at all.
    #[must_use]
    pub fn check(label: impl Into<String>, what: impl Into<String>) -> Self {
        const WHY: &str = "all must know whether the result can be trusted; if not, the study ends \
                           without a model, and the only thing that was learnt is that the columns \
                           nearly determine each other, or that the settings of the study do not \
                           suffice for them";
        let (label, what, why) = (label.into(), what.into(), WHY.into());
        Self { label, recipients: Recipients::All, kind: OutputKind::Check, what, why }
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

/// So many binary digits after the point, as people say them, to one digit: `steps of 0.000001`.
#[must_use]
pub fn steps(bits: u32) -> String {
    let step = 2_f64.powi(-i32::try_from(bits).unwrap_or(i32::MAX));
    let places = (-step.log10()).ceil().max(0.0) as usize;
    let text = format!("{step:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
    format!("steps of {}", text.trim_end_matches('.'))
}

/// The ledger of a session that may reveal these outputs, each once.
#[must_use]
pub fn ledger<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Outputs {
    outputs
        .into_iter()
        .fold(Outputs::none(), |ledger, output| ledger.allow(&output.label, output.recipients))
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn binary_digits_are_said_in_steps() {
        for (bits, said) in [
            (0, "steps of 1"),
            (1, "steps of 0.5"),
            (8, "steps of 0.004"),
            (16, "steps of 0.00002"),
            (20, "steps of 0.000001"),
            (24, "steps of 0.00000006"),
            (30, "steps of 0.0000000009"),
        ] {
            assert_eq!(steps(bits), said);
        }
    }
}
