//! A Python file with the model in it, which makes a scikit-learn pipeline of public parts alone: nothing is
//! pickled, so the file can be read before it is run, and works with any version.

use mpc_ml::artifact::ModelKind;
use serde_json::{Value, json};

use super::formula::{Formula, Holds, Reads};
use super::rows::Rows;
use super::{Evaluate, Refusal};

/// What the data stand between.
const BEGIN: &str = "MODEL = json.loads(r\"\"\"\n";
const END: &str = "\n\"\"\")\n";

pub(super) fn write(formula: &Formula) -> Result<Vec<u8>, Refusal> {
    if formula.terms.is_empty() {
        return Err(Refusal::of("it has no features, and scikit-learn knows no model without"));
    }
    let kind = match formula.kind {
        ModelKind::Logistic => "logistic",
        ModelKind::Linear => "linear",
        ModelKind::Poisson => "poisson",
        _ => return Err(Refusal::of("it is of a kind that is not known here")),
    };
    let term = |term: &super::formula::Term| {
        let reads = match &term.reads {
            Reads::Number { fill, mean, std } => {
                json!({ "reads": "number", "fill": fill, "mean": mean, "std": std })
            }
            Reads::Missing => json!({ "reads": "missing" }),
            Reads::Level(level) => json!({ "reads": "level", "level": level }),
        };
        let mut all = json!({ "name": term.name, "column": term.column, "weight": term.weight });
        if let (Value::Object(all), Value::Object(reads)) = (&mut all, reads) {
            all.extend(reads);
        }
        all
    };
    let column = |input: &super::formula::Input| match &input.holds {
        Holds::Number { missing } => json!({ "column": input.column, "missing": missing }),
        Holds::Words { levels, missing } => {
            json!({ "column": input.column, "levels": levels, "missing": missing })
        }
    };
    let model = json!({
        "title": formula.title,
        "study": formula.study,
        "kind": kind,
        "target": formula.target,
        "classes": formula.classes.as_ref().map(|(yes, no)| [no, yes]),
        "columns": formula.inputs.iter().map(column).collect::<Vec<_>>(),
        "offset": formula.offset,
        "intercept": formula.intercept,
        "terms": formula.terms.iter().map(term).collect::<Vec<_>>(),
    });
    let data = in_raw_text(&format!("{model:#}"));
    Ok(format!("{HEAD}{BEGIN}{data}{END}{READER}").into_bytes())
}

/// JSON in which no quote and no backslash of a text stands as itself, so that it can stand between the quotes of a
/// raw text of Python.
fn in_raw_text(json: &str) -> String {
    json.replace("\\\\", "\\u005c").replace("\\\"", "\\u0022")
}

const HEAD: &str = r#""""A model of several parties as a scikit-learn pipeline.

    from THIS_FILE import load
    model = load()
    model.predict(frame)          # frame: a pandas DataFrame with the columns of the study
    model.predict_proba(frame)    # of a logistic model; the second column is the positive class

Needs numpy, pandas and scikit-learn. A missing cell is NaN, None or "".
"""
import json

import numpy as np
import pandas as pd

"#;

const READER: &str = r#"

def encode(frame):
    """The terms of the model, a column each; what no rule of the study allows is an error."""
    cells = {}
    for each in MODEL["columns"]:
        name = each["column"]
        empty = frame[name].isna() | (frame[name] == "")
        if empty.any() and not each["missing"]:
            raise ValueError(f"{name}: {empty.sum()} cells are empty, and the study refuses missing cells")
        if "levels" in each:
            cells[name] = frame[name].where(~empty, None)
            unknown = ~empty & ~frame[name].isin(each["levels"])
            if unknown.any():
                raise ValueError(f"{name}: {unknown.sum()} cells are none of {each['levels']}")
        else:
            cells[name] = pd.to_numeric(frame[name].where(~empty, np.nan))
    columns = []
    for term in MODEL["terms"]:
        cell = cells[term["column"]]
        if term["reads"] == "number":
            filled = cell if term["fill"] is None else cell.fillna(term["fill"])
            columns.append((filled - term["mean"]) / term["std"])
        elif term["reads"] == "missing":
            columns.append(cell.isna())
        else:
            columns.append(cell == term["level"])
    if MODEL["offset"]:
        columns.append(frame[MODEL["offset"]])
    return np.column_stack([np.asarray(column, dtype=float) for column in columns])


def load():
    from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    weights = [term["weight"] for term in MODEL["terms"]] + ([1.0] if MODEL["offset"] else [])
    kinds = {"linear": LinearRegression, "logistic": LogisticRegression, "poisson": PoissonRegressor}
    model = kinds[MODEL["kind"]]()
    # A fit to nothing makes the attributes that this version of scikit-learn wants; then they get their values.
    model.fit(np.zeros((2, len(weights))), [0, 1])
    model.coef_ = np.array(weights)
    model.intercept_ = MODEL["intercept"]
    if MODEL["kind"] == "logistic":
        model.coef_, model.intercept_ = model.coef_[None, :], np.array([model.intercept_])
        model.classes_ = np.array(MODEL["classes"], dtype=object)
    return make_pipeline(FunctionTransformer(encode), model)
"#;

/// The data of a file that was read.
pub(super) struct Read(Value);

pub(super) fn read(bytes: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8")?;
    let (_, after) = text.split_once(BEGIN).ok_or("the data do not begin")?;
    let (data, _) = after.split_once("\"\"\"").ok_or("the data do not end")?;
    serde_json::from_str(data).map(Read).map_err(|error| error.to_string())
}

impl Evaluate for Read {
    fn predict(&self, rows: &Rows<'_>) -> Result<Vec<f64>, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a name is missing");
        let number = |value: &Value| value.as_f64().ok_or("a number is missing".to_owned());
        let mut scores = vec![number(&self.0["intercept"])?; rows.count];
        for term in self.0["terms"].as_array().ok_or("there are no terms")? {
            let (column, weight) = (text(&term["column"])?, number(&term["weight"])?);
            for (row, score) in scores.iter_mut().enumerate() {
                let (cell, word) = (rows.number(&column, row), rows.word(&column, row));
                let is = |truth: bool| f64::from(u8::from(truth));
                *score += weight
                    * match term["reads"].as_str() {
                        Some("number") => {
                            let filled = cell.or(term["fill"].as_f64()).ok_or("a cell is empty")?;
                            (filled - number(&term["mean"])?) / number(&term["std"])?
                        }
                        Some("missing") => is(cell.is_none() && word.is_none()),
                        Some("level") => is(word.is_some() && word == term["level"].as_str()),
                        _ => return Err("a term is not known".to_owned()),
                    };
            }
        }
        if let Some(offset) = self.0["offset"].as_str() {
            for (row, score) in scores.iter_mut().enumerate() {
                *score += rows.number(offset, row).ok_or("an offset is empty")?;
            }
        }
        match self.0["kind"].as_str() {
            Some("linear") => {}
            Some("logistic") => {
                scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
            }
            Some("poisson") => scores.iter_mut().for_each(|score| *score = score.exp()),
            _ => return Err("the kind is not known".to_owned()),
        }
        Ok(scores)
    }
}
