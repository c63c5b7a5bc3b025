//! Reads PMML of the elements that are written here, and evaluates it.

use std::collections::HashMap;

use roxmltree::{Document, Node};

use super::super::Evaluate;
use super::super::rows::Rows;

/// A model that was read.
pub(crate) struct Read {
    /// Columns of words, with the words that are valid.
    words: HashMap<String, Vec<String>>,
    derived: HashMap<String, Expression>,
    link: String,
    intercept: f64,
    predictors: Vec<(String, f64)>,
}

enum Expression {
    Field(String),
    Constant(f64),
    Apply(String, Vec<Expression>),
    /// 1 where the field is the word; what a missing one is.
    Is(String, String, Option<f64>),
}

pub(crate) fn read(bytes: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8")?;
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let named = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| node.has_tag_name(("http://www.dmg.org/PMML-4_4", name)))
    };
    let mut words = HashMap::new();
    for field in named("DataField").filter(|field| field.attribute("dataType") == Some("string")) {
        let values = field.children().filter(Node::is_element);
        let values = values.map(|value| attribute(value, "value")).collect::<Result<_, _>>()?;
        words.insert(attribute(field, "name")?, values);
    }
    let mut derived = HashMap::new();
    for field in named("DerivedField") {
        let inner = field.first_element_child().ok_or("a derived field is empty")?;
        if derived.insert(attribute(field, "name")?, expression(inner)?).is_some() {
            return Err("a derived field stands there twice".to_owned());
        }
    }
    let model = named("RegressionModel").next().ok_or("there is no model")?;
    // The first table is that of the positive class, or the only one.
    let table = named("RegressionTable").next().ok_or("there is no table")?;
    let mut predictors = Vec::new();
    for each in table.children().filter(Node::is_element) {
        predictors.push((attribute(each, "name")?, parsed(&attribute(each, "coefficient")?)?));
    }
    let link = attribute(model, "normalizationMethod")?;
    let intercept = parsed(&attribute(table, "intercept")?)?;
    Ok(Read { words, derived, link, intercept, predictors })
}

fn attribute(node: Node<'_, '_>, name: &str) -> Result<String, String> {
    let value = node.attribute(name).ok_or(format!("{name} is missing"))?;
    Ok(value.to_owned())
}

fn parsed(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "a number is none".to_owned())
}

fn expression(node: Node<'_, '_>) -> Result<Expression, String> {
    match node.tag_name().name() {
        "FieldRef" => Ok(Expression::Field(attribute(node, "field")?)),
        "Constant" => Ok(Expression::Constant(parsed(node.text().unwrap_or_default())?)),
        "NormDiscrete" => {
            let missing = node.attribute("mapMissingTo").map(parsed).transpose()?;
            Ok(Expression::Is(attribute(node, "field")?, attribute(node, "value")?, missing))
        }
        "Apply" => {
            let inner = node.children().filter(Node::is_element).map(expression);
            Ok(Expression::Apply(attribute(node, "function")?, inner.collect::<Result<_, _>>()?))
        }
        other => Err(format!("the element {other} is not known")),
    }
}

impl Evaluate for Read {
    fn predict(&self, rows: &Rows<'_>) -> Result<Vec<f64>, String> {
        (0..rows.count).map(|row| self.row(rows, row)).collect()
    }
}

impl Read {
    fn row(&self, rows: &Rows<'_>, row: usize) -> Result<f64, String> {
        let mut score = self.intercept;
        for (name, weight) in &self.predictors {
            let value = match self.derived.get(name) {
                Some(expression) => self.value(expression, rows, row)?,
                None => rows.number(name, row),
            };
            score += weight * value.ok_or(format!("the term {name:?} has no value"))?;
        }
        match self.link.as_str() {
            "none" => Ok(score),
            "exp" => Ok(score.exp()),
            "logit" => Ok(1.0 / (1.0 + (-score).exp())),
            other => Err(format!("the normalisation {other} is not known")),
        }
    }

    /// A value; `None` for a missing one.
    fn value(&self, of: &Expression, rows: &Rows<'_>, row: usize) -> Result<Option<f64>, String> {
        let truth = |is: bool| Some(f64::from(u8::from(is)));
        match of {
            Expression::Field(name) => Ok(rows.number(name, row)),
            Expression::Constant(value) => Ok(Some(*value)),
            Expression::Is(name, word, missing) => match rows.word(name, row) {
                None => Ok(*missing),
                Some(cell) => {
                    if !self.words.get(name).is_some_and(|all| all.iter().any(|each| each == cell))
                    {
                        return Err(format!("a word of {name:?} is not valid"));
                    }
                    Ok(truth(cell == word))
                }
            },
            Expression::Apply(function, inner) => match (function.as_str(), inner.as_slice()) {
                ("isMissing", [Expression::Field(name)]) => {
                    Ok(truth(rows.number(name, row).is_none() && rows.word(name, row).is_none()))
                }
                ("if", [is, then, other]) => match self.value(is, rows, row)? {
                    None => Ok(None),
                    Some(is) => self.value(if is == 0.0 { other } else { then }, rows, row),
                },
                ("-" | "/", [a, b]) => {
                    let pair = self.value(a, rows, row)?.zip(self.value(b, rows, row)?);
                    Ok(pair.map(|(a, b)| if function == "-" { a - b } else { a / b }))
                }
                _ => Err(format!("the function {function} is not known with these inputs")),
            },
        }
    }
}
