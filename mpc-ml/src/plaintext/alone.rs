//! What a party could have had without the others: the same model, fitted to its own rows alone.

use super::glm::factor::{Factor, dependent};
use super::glm::{Data, Family, NoFit, fit};
use crate::artifact::{
    Model, ModelError, ModelKind, ModelParts, SecurityRecord, SolverRecord, TrainingRecord,
};
use crate::data::{Encoded, Table, encode};

/// Why there is no such model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoOwnFit {
    /// The rows are of another study, or their columns cannot be encoded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The rows have no target.
    #[error("the rows have no target")]
    NoTarget,
    /// Fewer rows than coefficients.
    #[error("{rows} rows are too few for {coefficients} coefficients")]
    Rows {
        /// The rows.
        rows: usize,
        /// The coefficients, the intercept among them.
        coefficients: usize,
    },
    /// Columns that determine each other in these rows.
    #[error(
        "{} determine each other, or do not vary, in these rows alone", columns.join(", ")
    )]
    Dependent {
        /// The encoded columns, and `(intercept)`.
        columns: Vec<String>,
    },
    /// A combination of columns tells the target of these rows without error.
    #[error(
        "the columns tell the target of some of these rows without error, so coefficients grow without end"
    )]
    Separated,
    /// Numbers too extreme for double precision.
    #[error("the fit came to no end: the numbers are too extreme")]
    NotConverged,
}

/// The model of the same features, penalty and scaling as `joint`, fitted to the rows of `table` alone, in the
/// clear. Nothing of it is for anybody else.
///
/// # Errors
/// [`NoOwnFit`]: often there is none, since a single party has too few rows or levels.
pub fn alone(joint: &Model, table: &Table) -> Result<Model, NoOwnFit> {
    if table.schema() != joint.schema() {
        return Err(ModelError::OtherSchema.into());
    }
    let encoded =
        encode(table, joint.standardisation(), f64::INFINITY).map_err(ModelError::from)?;
    let (rows, columns) = (encoded.x.nrows(), encoded.x.ncols());
    let coefficients = columns + usize::from(joint.has_intercept());
    if encoded.y.len() != rows {
        return Err(NoOwnFit::NoTarget);
    }
    // A penalty makes a fit of any rows.
    if rows == 0 || (joint.l2() == 0.0 && rows <= coefficients) {
        return Err(NoOwnFit::Rows { rows, coefficients });
    }
    let mut found = match joint.kind() {
        ModelKind::Linear | ModelKind::Multinomial => least_squares(joint, &encoded)?,
        ModelKind::Logistic => optimum(joint, &encoded, Family::Logistic)?,
        ModelKind::Poisson => optimum(joint, &encoded, Family::Poisson)?,
    };
    let intercept = joint.has_intercept().then(|| found.pop()).flatten();
    Ok(Model::new(ModelParts {
        kind: joint.kind(),
        title: joint.title().to_owned(),
        study: joint.study().to_owned(),
        schema: joint.schema().clone(),
        standardisation: joint.standardisation().to_vec(),
        intercept,
        coefficients: found,
        l2: joint.l2(),
        inference: None,
        training: TrainingRecord {
            solver: SolverRecord::of("own rows alone", &()),
            iterations: 1,
            rows_used: rows as u64,
            rows_dropped: 0,
            clip: f64::MAX,
            checks: Vec::new(),
            security: SecurityRecord { parties: Vec::new(), correlations: "none".into() },
            release_bits: 53,
        },
    })?)
}

/// The names of columns that determine each other.
fn named(encoded: &Encoded, groups: &[Vec<usize>]) -> NoOwnFit {
    let name = |&column: &usize| {
        encoded.columns.get(column).cloned().unwrap_or_else(|| "(intercept)".to_owned())
    };
    NoOwnFit::Dependent { columns: groups.iter().flatten().map(name).collect() }
}

/// Row by row.
fn entries(encoded: &Encoded) -> Vec<f64> {
    encoded.x.iter().copied().collect()
}

fn optimum(joint: &Model, encoded: &Encoded, family: Family) -> Result<Vec<f64>, NoOwnFit> {
    let x = entries(encoded);
    let data = Data {
        family,
        x: &x,
        columns: encoded.x.ncols(),
        intercept: joint.has_intercept(),
        target: &encoded.y,
        offsets: &encoded.offset,
        weights: &[],
        l2: joint.l2(),
    };
    fit(&data).map(|fit| fit.coefficients).map_err(|error| match error {
        NoFit::Dependent(groups) => named(encoded, &groups),
        NoFit::Separated { .. } => NoOwnFit::Separated,
        NoFit::NotConverged => NoOwnFit::NotConverged,
    })
}

/// By the normal equations, on the common scale.
fn least_squares(joint: &Model, encoded: &Encoded) -> Result<Vec<f64>, NoOwnFit> {
    let (rows, columns) = (encoded.x.nrows(), encoded.x.ncols());
    let order = columns + usize::from(joint.has_intercept());
    let (mut gram, mut right) = (vec![0.0; order * order], vec![0.0; order]);
    for (x, y) in encoded.x.rows().into_iter().zip(&encoded.y) {
        let mut row: Vec<f64> = x.iter().copied().collect();
        row.resize(order, 1.0);
        for i in 0..order {
            (0..order).for_each(|j| gram[i * order + j] += row[i] * row[j]);
            right[i] += row[i] * y;
        }
    }
    (0..columns).for_each(|j| gram[j * (order + 1)] += joint.l2() * rows as f64);
    let groups = dependent(&gram, order);
    if !groups.is_empty() {
        return Err(named(encoded, &groups));
    }
    let factor = Factor::new(&gram, order, 1e-15).ok_or(NoOwnFit::NotConverged)?;
    Ok(factor.solve(&right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{categorical, numeric};
    use crate::data::{NumericMissing, NumericTarget, Scaling, Schema, Target};

    fn joint(l2: f64) -> Model {
        let features = vec![
            numeric("a", NumericMissing::Refuse, Scaling::None),
            categorical("b", &["no", "yes"], "no"),
        ];
        let target = Target::Numeric(NumericTarget { column: "y".into(), range: None });
        Model::new(ModelParts {
            kind: ModelKind::Linear,
            title: "A study".into(),
            study: "study:00".into(),
            schema: Schema::new(features, target).expect("a schema"),
            standardisation: Vec::new(),
            intercept: Some(0.0),
            coefficients: vec![0.0, 0.0],
            l2,
            inference: None,
            training: TrainingRecord {
                solver: SolverRecord::of("exact", &()),
                iterations: 1,
                rows_used: 9,
                rows_dropped: 0,
                clip: 1.0,
                checks: Vec::new(),
                security: SecurityRecord { parties: Vec::new(), correlations: "none".into() },
                release_bits: 20,
            },
        })
        .expect("a model")
    }

    #[test]
    fn own_rows_alone_give_their_least_squares_or_say_why_not() {
        let table = |rows: &[[&str; 3]], joint: &Model| {
            let mut table = Table::builder(joint.schema().clone());
            rows.iter().for_each(|row| table.push_row(row).expect("fits"));
            table.finish()
        };
        let plain = joint(0.0);
        // y = 1 + 2 a - 3 [b is yes].
        let rows = [["1", "no", "3"], ["2", "no", "5"], ["3", "yes", "4"], ["5", "yes", "8"]];
        let own = alone(&plain, &table(&rows, &plain)).expect("fits");
        let due = [2.0, -3.0];
        for (got, due) in own.original().coefficients.values().zip(due) {
            assert!((got - due).abs() < 1e-9, "{got} instead of {due}");
        }
        assert!((own.original().intercept - 1.0).abs() < 1e-9);
        assert_eq!(own.training().rows_used, 4);
        let why = alone(&plain, &table(&rows[..2], &plain)).expect_err("too few").to_string();
        assert!(why.contains("2 rows are too few for 3"), "{why}");
        let same = [rows[0], rows[1], ["4", "no", "9"], ["6", "no", "13"]];
        let why = alone(&plain, &table(&same, &plain)).expect_err("no yes").to_string();
        assert!(why.contains("b=yes"), "{why}");
        // A penalty makes a fit of them.
        let with = joint(0.1);
        assert!(alone(&with, &table(&same, &with)).is_ok());
        let other = joint(0.0).schema().clone();
        assert_eq!(&other, plain.schema());
    }
}
