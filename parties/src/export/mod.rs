//! A model in the formats of other programs, each tested before it is written: what stands in the file is read
//! again, evaluated, and compared with the predictions of the model itself.

mod formula;
mod onnx;
mod pmml;
mod python;
mod rows;
mod tidy;

use std::fmt::{self, Display};

use mpc_ml::artifact::{Model, ModelError};
use mpc_ml::data::Table;
use serde::Serialize;

use formula::Formula;
use rows::{Rows, invented};

/// The largest difference of a prediction, by the larger of 1 and the prediction.
const TOLERANCE: f64 = 1e-9;
/// Rows that are evaluated together.
const BLOCK: usize = 1024;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The table of coefficients as R's broom::tidy has it, CSV
    Tidy,
    /// The statistics of the fit as R's broom::glance has them, CSV
    Glance,
    /// A Python file that makes a scikit-learn pipeline, without joblib or pickle
    Sklearn,
    /// PMML 4.4, a RegressionModel
    Pmml,
    /// ONNX of core operators in double precision
    Onnx,
}

/// What a format cannot hold, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn of(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The format cannot hold this model.
    #[error("this model cannot be written as {form}: {why}")]
    Refused {
        /// The format.
        form: Form,
        /// The reason.
        why: Refusal,
    },
    /// What was written is something else than the model.
    #[error(
        "the self-test of the export failed: {what}. Nothing was written; this is a fault of the program"
    )]
    SelfTest {
        /// The difference.
        what: String,
    },
    /// The model does not predict these rows.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// An export that passed its self-test.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// What a reader of it has to know.
    pub remarks: Vec<String>,
    /// What was compared; `None` for a format that predicts nothing.
    pub tested: Option<Tested>,
}

/// A self-test that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tested {
    /// Rows of the caller.
    pub rows: usize,
    /// Rows that were invented.
    pub invented: usize,
    /// The largest difference of a prediction, by the larger of 1 and the prediction.
    pub largest_difference: f64,
}

/// Writes a model in a format, and tests what was written on invented rows and on those of `table`.
///
/// # Errors
/// When the format cannot hold the model, or the self-test fails.
pub fn export(model: &Model, form: Form, table: Option<&Table>) -> Result<Exported, ExportError> {
    let refused = |why| ExportError::Refused { form, why };
    let formula = Formula::of(model).map_err(refused)?;
    let (bytes, remarks) = match form {
        Form::Tidy => tidy::tidy(model).map_err(refused)?,
        Form::Glance => {
            let (bytes, remarks) = tidy::glance(model).map_err(refused)?;
            return Ok(Exported { bytes, remarks, tested: None });
        }
        Form::Sklearn => (python::write(&formula).map_err(refused)?, Vec::new()),
        Form::Pmml => (pmml::write(&formula).map_err(refused)?, Vec::new()),
        Form::Onnx => (onnx::write(&formula).map_err(refused)?, Vec::new()),
    };
    let failed = |what| ExportError::SelfTest { what };
    let invented = invented(model).map_err(|why| refused(Refusal::of(why)))?;
    let read: Box<dyn Evaluate> = match form {
        Form::Sklearn => Box::new(python::read(&bytes).map_err(failed)?),
        Form::Pmml => Box::new(pmml::read(&bytes).map_err(failed)?),
        Form::Onnx => Box::new(onnx::read(&bytes).map_err(failed)?),
        Form::Tidy | Form::Glance => Box::new(tidy::read(&bytes, &formula).map_err(failed)?),
    };
    let mut largest_difference = 0.0_f64;
    for table in [Some(&invented), table].into_iter().flatten() {
        largest_difference = largest_difference.max(difference(model, read.as_ref(), table)?);
    }
    let rows = table.map_or(0, Table::rows);
    let tested = Some(Tested { rows, invented: invented.rows(), largest_difference });
    Ok(Exported { bytes, remarks, tested })
}

/// Something that was read back from a file and predicts rows.
trait Evaluate {
    fn predict(&self, rows: &Rows<'_>) -> Result<Vec<f64>, String>;
}

/// The largest difference between what was read and the model.
fn difference(model: &Model, read: &dyn Evaluate, table: &Table) -> Result<f64, ExportError> {
    let failed = |what| Err(ExportError::SelfTest { what });
    let (ours, mut largest) = (model.predict(table)?, 0.0_f64);
    for start in (0..table.rows()).step_by(BLOCK) {
        let range = start..(start + BLOCK).min(table.rows());
        let theirs = match read.predict(&Rows::of(table, range.clone())) {
            Ok(theirs) if theirs.len() == range.len() => theirs,
            Ok(_) => return failed("another number of predictions".to_owned()),
            Err(what) => return failed(what),
        };
        for (ours, theirs) in ours[range].iter().zip(theirs) {
            // Beyond the largest number both are infinite.
            let off =
                if *ours == theirs { 0.0 } else { (ours - theirs).abs() / ours.abs().max(1.0) };
            if off.is_nan() || off > TOLERANCE {
                return failed(format!("a prediction is off by {off:.1e}"));
            }
            largest = largest.max(off);
        }
    }
    Ok(largest)
}

/// A number as all programs read it, to the last digit.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-5..1e16).contains(&size) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tidy => "a table of coefficients",
            Self::Glance => "statistics of a fit",
            Self::Sklearn => "a scikit-learn pipeline",
            Self::Pmml => "PMML",
            Self::Onnx => "ONNX",
        })
    }
}

#[cfg(test)]
mod tests;
