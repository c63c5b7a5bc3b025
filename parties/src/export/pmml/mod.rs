//! PMML 4.4: a RegressionModel on derived fields.
//!
//! Each term is a field derived from a column, so that rules for missing cells stand where the spec defines them for
//! every consumer: a cell that no rule allows makes the term missing, and with it the prediction.

mod evaluate;

use std::fmt::Write;

use mpc_ml::artifact::ModelKind;

use super::formula::{Formula, Holds, Reads, Term};
use super::{Refusal, number};
use crate::limits::prediction_column;

pub(super) use self::evaluate::read;

pub(super) fn write(formula: &Formula) -> Result<Vec<u8>, Refusal> {
    let (target, target_type, function, link) = match (formula.kind, &formula.classes) {
        (ModelKind::Logistic, Some(_)) => ("categorical", "string", "classification", "logit"),
        (ModelKind::Linear, None) => ("continuous", "double", "regression", "none"),
        (ModelKind::Poisson, None) => ("continuous", "double", "regression", "exp"),
        _ => return Err(Refusal::of("its target does not belong to its kind")),
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <PMML version=\"4.4\" xmlns=\"http://www.dmg.org/PMML-4_4\">\n\
         <Header description={}><Application name=\"party\" version=\"{version}\"/></Header>\n",
        quoted(&formula.title)?
    );
    let fields = formula.inputs.len() + 1 + usize::from(formula.offset.is_some());
    put(&mut text, &format!("<DataDictionary numberOfFields=\"{fields}\">"));
    for input in &formula.inputs {
        match &input.holds {
            Holds::Number { .. } => field(&mut text, &input.column, "continuous", "double", &[])?,
            Holds::Words { levels, .. } => {
                field(&mut text, &input.column, "categorical", "string", levels)?;
            }
        }
    }
    if let Some(offset) = &formula.offset {
        field(&mut text, offset, "continuous", "double", &[])?;
    }
    let classes: Vec<String> =
        formula.classes.iter().flat_map(|(yes, no)| [yes.clone(), no.clone()]).collect();
    field(&mut text, &formula.target, target, target_type, &classes)?;
    put(&mut text, "</DataDictionary>\n<TransformationDictionary>");
    let mut taken = Vec::new();
    let mut predictors = String::new();
    for term in &formula.terms {
        let wanted = match &term.reads {
            Reads::Number { .. } => format!("{} (scaled)", term.name),
            Reads::Missing | Reads::Level(_) => term.name.clone(),
        };
        let name = formula.free_name(&wanted, &mut taken);
        derived(&mut text, &name, term, formula)?;
        predictor(&mut predictors, &name, term.weight)?;
    }
    if let Some(offset) = &formula.offset {
        predictor(&mut predictors, offset, 1.0)?;
    }
    put(&mut text, "</TransformationDictionary>");
    put(
        &mut text,
        &format!(
            "<RegressionModel modelName={} functionName=\"{function}\" normalizationMethod=\"{link}\">\n<MiningSchema>",
            quoted(&formula.study)?
        ),
    );
    let columns = formula.inputs.iter().map(|input| &input.column).chain(&formula.offset);
    for column in columns {
        put(&mut text, &format!("<MiningField name={}/>", quoted(column)?));
    }
    let target = quoted(&formula.target)?;
    put(&mut text, &format!("<MiningField name={target} usageType=\"target\"/>\n</MiningSchema>"));
    let output = quoted(&formula.free_name(prediction_column(formula.kind), &mut taken))?;
    let intercept = number(formula.intercept);
    match &formula.classes {
        Some((positive, negative)) => {
            let (positive, negative) = (quoted(positive)?, quoted(negative)?);
            put(
                &mut text,
                &format!(
                    "<Output><OutputField name={output} optype=\"continuous\" dataType=\"double\" \
                     feature=\"probability\" value={positive}/></Output>\n\
                     <RegressionTable intercept=\"{intercept}\" targetCategory={positive}>\n{predictors}\
                     </RegressionTable>\n<RegressionTable intercept=\"0\" targetCategory={negative}/>"
                ),
            );
        }
        None => put(
            &mut text,
            &format!(
                "<Output><OutputField name={output} optype=\"continuous\" dataType=\"double\" \
                 feature=\"predictedValue\"/></Output>\n\
                 <RegressionTable intercept=\"{intercept}\">\n{predictors}</RegressionTable>"
            ),
        ),
    }
    put(&mut text, "</RegressionModel>\n</PMML>");
    Ok(text.into_bytes())
}

fn put(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn field(
    text: &mut String,
    name: &str,
    kind: &str,
    data_type: &str,
    values: &[String],
) -> Result<(), Refusal> {
    let name = quoted(name)?;
    let mut line = format!("<DataField name={name} optype=\"{kind}\" dataType=\"{data_type}\"");
    if values.is_empty() {
        line.push_str("/>");
    } else {
        line.push('>');
        for value in values {
            line += &format!("<Value value={}/>", quoted(value)?);
        }
        line.push_str("</DataField>");
    }
    put(text, &line);
    Ok(())
}

fn predictor(text: &mut String, name: &str, weight: f64) -> Result<(), Refusal> {
    let (name, weight) = (quoted(name)?, number(weight));
    let line = format!("<NumericPredictor name={name} coefficient=\"{weight}\"/>");
    put(text, &line);
    Ok(())
}

/// A field that is one term.
fn derived(text: &mut String, name: &str, term: &Term, formula: &Formula) -> Result<(), Refusal> {
    let (name, column) = (quoted(name)?, quoted(&term.column)?);
    let cell = format!("<FieldRef field={column}/>");
    let missing = format!("<Apply function=\"isMissing\">{cell}</Apply>");
    let expression = match &term.reads {
        Reads::Number { fill, mean, std } => {
            let filled = match fill {
                Some(fill) => {
                    format!("<Apply function=\"if\">{missing}{}{cell}</Apply>", constant(*fill))
                }
                None => cell,
            };
            let (mean, std) = (constant(*mean), constant(*std));
            format!(
                "<Apply function=\"/\"><Apply function=\"-\">{filled}{mean}</Apply>{std}</Apply>"
            )
        }
        Reads::Missing => {
            format!("<Apply function=\"if\">{missing}{}{}</Apply>", constant(1.0), constant(0.0))
        }
        Reads::Level(level) => {
            let may_be_missing = formula.inputs.iter().any(|input| {
                let missing = matches!(input.holds, Holds::Words { missing: true, .. });
                input.column == term.column && missing
            });
            let map = if may_be_missing { " mapMissingTo=\"0\"" } else { "" };
            format!("<NormDiscrete field={column} value={}{map}/>", quoted(level)?)
        }
    };
    let _ = writeln!(
        text,
        "<DerivedField name={name} optype=\"continuous\" dataType=\"double\">{expression}</DerivedField>"
    );
    Ok(())
}

fn constant(value: f64) -> String {
    format!("<Constant dataType=\"double\">{}</Constant>", number(value))
}

/// The value of an attribute, with its quotes.
fn quoted(text: &str) -> Result<String, Refusal> {
    let mut quoted = String::from("\"");
    for each in text.chars() {
        match each {
            '&' => quoted += "&amp;",
            '<' => quoted += "&lt;",
            '>' => quoted += "&gt;",
            '"' => quoted += "&quot;",
            '\t' | '\n' | '\r' => quoted += &format!("&#{};", u32::from(each)),
            '\u{fffe}' | '\u{ffff}' => return Err(not_in_xml(text)),
            each if each.is_control() && u32::from(each) < 0x20 => return Err(not_in_xml(text)),
            each => quoted.push(each),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

fn not_in_xml(text: &str) -> Refusal {
    Refusal::of(format!("{text:?} has a character that XML cannot hold"))
}
