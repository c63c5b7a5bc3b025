//! `[output]`: who learns what.

use super::place::Field;
use super::raw::{RawOutput, RawRecipients};
use super::training::whole;
use super::{ModelSettings, StudyError, Training};
use crate::name::PartyName;

/// Who learns what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Who receives the model, in the order of the study's parties; at least one.
    pub model: Vec<PartyName>,
    /// Binary digits after the point of the released coefficients; the rest stays secret.
    pub release_bits: u32,
    /// Whether standard errors and how well the model fits are revealed too.
    pub inference: bool,
}

pub(super) fn check(raw: RawOutput, parties: &[PartyName]) -> Result<Output, StudyError> {
    let model = match raw.model {
        RawRecipients::Word(word) if word == "all" => parties.to_vec(),
        RawRecipients::Word(_) => {
            return Err(StudyError::rule("output.model", "must be \"all\" or a list of parties"));
        }
        RawRecipients::Parties(names) => recipients(&names, parties)?,
    };
    let release_bits = whole("output.release_bits", raw.release_bits, 8, 24)?;
    Ok(Output { model, release_bits, inference: raw.inference })
}

/// Standard errors belong to an unpenalised optimum.
pub(super) fn inference_makes_sense(
    model: &ModelSettings,
    training: &Training,
    to_all: bool,
) -> Result<(), StudyError> {
    let field = "output.inference";
    if let Training::Sgd(_) = training {
        let rule = "is not possible with the solver \"sgd\": its last step is near the best fit \
                    and not on it, so standard errors would not belong to it; use \"optimum\"";
        return Err(StudyError::rule(field, rule));
    }
    if model.l2 > 0.0 {
        let rule = "is not possible with a penalty: it draws the coefficients towards 0, so tests \
                    and intervals from their standard errors would be wrong; set model.l2 = 0.0";
        return Err(StudyError::rule(field, rule));
    }
    if matches!(training, Training::Exact(_)) && !to_all {
        let rule = "needs output.model = \"all\" with the solver \"exact\": each party computes its \
                    own part of the sums of squares from the coefficients";
        return Err(StudyError::rule(field, rule));
    }
    Ok(())
}

fn recipients(names: &[String], parties: &[PartyName]) -> Result<Vec<PartyName>, StudyError> {
    if names.is_empty() {
        let rule = "names nobody; at least one party must receive the model";
        return Err(StudyError::rule("output.model", rule));
    }
    for (index, name) in names.iter().enumerate() {
        let field = || Field::from("output.model").item(index);
        if !parties.iter().any(|party| party.as_str() == name) {
            let rule = format!("names {name:?}, who is not among the parties of the study");
            return Err(StudyError::rule(field(), rule));
        }
        if names[..index].contains(name) {
            return Err(StudyError::rule(field(), format!("names {name} a second time")));
        }
    }
    let receives = |party: &&PartyName| names.iter().any(|name| name == party.as_str());
    Ok(parties.iter().filter(receives).cloned().collect())
}
