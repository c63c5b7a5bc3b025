//! `party compare`: whether joining was worth it, for this party's own eyes.

use std::path::Path;

use mpc_ml::artifact::{Model, ModelKind};
use mpc_ml::data::Table;
use mpc_ml::metrics::{CountScores, MetricError, NumberScores, Scores};
use mpc_ml::plaintext::{NoOwnFit, alone};
use serde_json::{Value, json};

use super::predict::{read_model, source};
use crate::cli::Compare;
use crate::data_file::{ReadOptions, Source, read};
use crate::exit::{Exit, Failure};
use crate::output::{Report, wrapped};
use crate::settings::{Overrides, Settings};

/// A figure of both models, and whether more of it is better.
struct Figure {
    name: &'static str,
    joint: Option<f64>,
    own: Option<f64>,
    more: bool,
}

pub(super) fn run(config: &Path, options: &Compare) -> Result<Report, Failure> {
    let joint = read_model(&options.model)?;
    let table = |from: &Source| {
        let read_options = ReadOptions {
            with_target: true,
            show_values: options.show_values,
            ..ReadOptions::default()
        };
        Ok::<Table, Failure>(read(from, joint.schema(), &read_options)?.table)
    };
    let test = table(&source(config, &options.test)?)?;
    let fitted = table(&own_rows(config, options)?)?;
    let (rows, fitted_rows) = (test.rows(), fitted.rows());
    let of_joint = figures(&joint, &test).map_err(|failure| failure.in_file(&options.test))?;
    let own = match alone(&joint, &fitted) {
        Ok(own) => Ok(own),
        Err(NoOwnFit::Model(error)) => return Err(Failure::from(error)),
        Err(why) => Err(why.to_string()),
    };
    let of_own = match &own {
        Ok(own) => figures(own, &test).map_err(|failure| failure.in_file(&options.test))?,
        Err(_) => of_joint.iter().map(|(name, _, more)| (*name, None, *more)).collect(),
    };
    let all: Vec<Figure> = of_joint
        .into_iter()
        .zip(of_own)
        .map(|((name, joint, more), (_, own, _))| Figure { name, joint, own, more })
        .collect();
    let why = own.err();
    Ok(Report {
        text: shown(&all, (rows, fitted_rows), why.as_deref()),
        json: json!({
            "test_rows": rows,
            "own_rows": fitted_rows,
            "no_own_model": why,
            "figures": all.iter().map(Figure::to_json).collect::<Vec<_>>(),
        }),
    })
}

/// The rows that this party has for a fit.
fn own_rows(config: &Path, options: &Compare) -> Result<Source, Failure> {
    if let Some(data) = &options.data {
        return source(config, data);
    }
    let missing = || Failure::new(Exit::Usage, "--data is missing: the rows that this party fits");
    if !config.exists() {
        return Err(missing());
    }
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    settings.data.map(|data| data.from).ok_or_else(missing)
}

/// Names, values, and whether more is better.
type Figures = Vec<(&'static str, Option<f64>, bool)>;

fn figures(model: &Model, test: &Table) -> Result<Figures, Failure> {
    let predictions = model.predict(test)?;
    let outcomes = test.target().unwrap_or_default();
    let failed = |error: MetricError| Failure::new(Exit::LocalInput, error.to_string());
    Ok(match model.kind() {
        ModelKind::Logistic => {
            let of = Scores::new(&predictions, outcomes).map_err(failed)?;
            vec![
                ("AUC", of.auc, true),
                ("Log loss", Some(of.log_loss), false),
                ("Brier score", Some(of.brier), false),
                ("Accuracy", Some(of.accuracy), true),
            ]
        }
        ModelKind::Linear => {
            let of = NumberScores::new(&predictions, outcomes).map_err(failed)?;
            vec![
                ("R2", of.r2, true),
                ("Root mean squared error", Some(of.rmse), false),
                ("Mean absolute error", Some(of.mae), false),
            ]
        }
        _ => {
            let of = CountScores::new(&predictions, outcomes).map_err(failed)?;
            vec![("Mean deviance", Some(of.mean_deviance), false)]
        }
    })
}

impl Figure {
    /// Which of both models is better by it.
    fn better(&self) -> &'static str {
        match (self.joint, self.own) {
            (Some(joint), Some(own)) if joint == own => "neither",
            (Some(joint), Some(own)) if (joint > own) == self.more => "joint",
            (Some(_), Some(_)) => "own",
            _ => "",
        }
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.name, "joint": self.joint, "own": self.own, "better": self.better() })
    }
}

fn shown(all: &[Figure], (rows, fitted): (usize, usize), why: Option<&str>) -> String {
    let value = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let mut text = wrapped(
        "",
        &format!(
            "On {rows} test rows of this party: the joint model, and the same model fitted to {fitted} rows of this \
             party alone. Nothing was sent."
        ),
    );
    text += &format!("\n  {:<24} {:>10} {:>10}   {}\n", "", "joint", "own rows", "better");
    for figure in all {
        let (joint, own) = (value(figure.joint), value(figure.own));
        text += &format!("  {:<24} {joint:>10} {own:>10}   {}\n", figure.name, figure.better());
    }
    if let Some(why) = why {
        text.push('\n');
        text += &wrapped("", &format!("There is no model of the own rows alone: {why}."));
    } else if rows < 100 {
        text.push('\n');
        text += &wrapped("", "With so few test rows a small difference may be chance.");
    }
    text
}
