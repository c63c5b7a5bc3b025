//! From the standardised scale to that of the data files.

use super::{
    Coefficients, Covariance, Inference, InferenceParts, ModelError, NamedValues, RobustErrors,
    StandardErrors,
};
use crate::data::{EncodingError, Schema, Standardisation, column_scales};

/// Undoes the standardisation: `w (x - mean) / std = (w / std) x - w mean / std`.
pub(super) fn original_scale(
    schema: &Schema,
    standardisation: &[Standardisation],
    standardised: &Coefficients,
) -> Result<Coefficients, EncodingError> {
    let scales = column_scales(schema, standardisation)?;
    let weights = standardised.coefficients.values().zip(&scales);
    let mut intercept = standardised.intercept;
    let mut coefficients = Vec::with_capacity(scales.len());
    for (column, (weight, (mean, std))) in schema.columns().into_iter().zip(weights) {
        intercept -= weight * mean / std;
        coefficients.push((column, weight / std));
    }
    Ok(Coefficients { intercept, coefficients: coefficients.into_iter().collect() })
}

/// Standard errors and covariances on both scales; see [`Inference`] for the intercept.
pub(super) fn both_scales(
    schema: &Schema,
    standardisation: &[Standardisation],
    parts: InferenceParts,
) -> Result<Inference, ModelError> {
    let columns = schema.columns();
    let scales = column_scales(schema, standardisation)?;
    let centred = scales.iter().all(|(mean, _)| *mean == 0.0);
    let errors = |what, own: Vec<f64>, intercept: Option<f64>| {
        if columns.len() != own.len() {
            return Err(ModelError::Columns { what });
        }
        let named =
            |values: Vec<f64>| -> NamedValues { columns.iter().cloned().zip(values).collect() };
        let original = own.iter().zip(&scales).map(|(error, (_, std))| error / std).collect();
        let original = StandardErrors {
            intercept: intercept.filter(|_| centred),
            coefficients: named(original),
        };
        Ok((original, StandardErrors { intercept, coefficients: named(own) }))
    };
    let InferenceParts { coefficients, intercept, robust, covariance, tests, contrasts, fit } =
        parts;
    let (mut std_errors, standardised_std_errors) =
        errors("standard errors", coefficients, intercept)?;
    let robust = match robust {
        None => None,
        Some(robust) => {
            let (std_errors, standardised_std_errors) =
                errors("robust standard errors", robust.coefficients, robust.intercept)?;
            Some(RobustErrors { kind: robust.kind, std_errors, standardised_std_errors })
        }
    };
    let (covariance, standardised_covariance) = match covariance {
        None => (None, None),
        Some(values) => {
            let common = Covariance::new(&columns, &standardised_std_errors, values)?;
            let original = common.rescaled(&scales);
            if let (Some(_), None) = (intercept, std_errors.intercept) {
                // Not above 0 for want of digits: then it stays unknown.
                let error = original.last_variance().sqrt();
                std_errors.intercept = (error.is_finite() && error > 0.0).then_some(error);
            }
            (Some(original), Some(common))
        }
    };
    Ok(Inference {
        std_errors,
        standardised_std_errors,
        robust,
        covariance,
        standardised_covariance,
        fit,
        tests,
        contrasts,
    })
}
