//! ONNX of core operators in double precision, version 19 of them: the first that compares texts.
//!
//! Every column of the files is an input of its own with the shape (rows, 1): numbers as doubles, NaN for a missing
//! one, and words as texts, the empty one for a missing one. The operators for linear models in `ai.onnx.ml` hold
//! coefficients in single precision, so these are not used.

mod evaluate;
mod wire;

use mpc_ml::artifact::ModelKind;

use self::wire::Message;
use super::Refusal;
use super::formula::{Formula, Holds, Input, Reads, Term};
use crate::limits::prediction_column;

pub(super) use self::evaluate::read;

/// The version of the operators.
const OPERATORS: u64 = 19;
/// The version of the format that belongs to it.
const FORMAT: u64 = 9;

/// Types of the elements of a tensor.
const STRING: u64 = 8;
const BOOL: u64 = 9;
const DOUBLE: u64 = 11;

pub(super) fn write(formula: &Formula) -> Result<Vec<u8>, Refusal> {
    if formula.terms.is_empty() {
        return Err(Refusal::of(
            "it has no features, and without inputs nothing says how many rows there are",
        ));
    }
    let mut graph = Graph::new(formula);
    let mut inputs: Vec<Message> = Vec::new();
    let (mut columns, mut checks) = (Vec::new(), Vec::new());
    for input in &formula.inputs {
        let element = match input.holds {
            Holds::Number { .. } => DOUBLE,
            Holds::Words { .. } => STRING,
        };
        inputs.push(tensor_info(&input.column, element));
        let terms: Vec<&Term> =
            formula.terms.iter().filter(|term| term.column == input.column).collect();
        match &input.holds {
            Holds::Number { .. } => graph.number(input, &terms, &mut columns)?,
            Holds::Words { levels, missing } => {
                let allowed = levels.iter().map(String::as_str).chain(missing.then_some(""));
                checks.push(graph.check(&input.column, &allowed.collect::<Vec<_>>()));
                columns.extend(graph.words(&input.column, &terms));
            }
        }
    }
    let columns = match columns.as_slice() {
        [one] => one.clone(),
        _ => graph.node("Concat", &columns, &[("axis", 1)]),
    };
    let weights: Vec<f64> = formula.terms.iter().map(|term| term.weight).collect();
    let weights = graph.numbers(&[weights.len(), 1], &weights);
    let mut score = graph.node("MatMul", &[columns, weights], &[]);
    let intercept = graph.numbers(&[1, 1], &[formula.intercept]);
    score = graph.node("Add", &[score, intercept], &[]);
    for check in checks {
        score = graph.node("Add", &[score, check], &[]);
    }
    if let Some(offset) = &formula.offset {
        inputs.push(tensor_info(offset, DOUBLE));
        score = graph.node("Add", &[score, offset.clone()], &[]);
    }
    let link = match formula.kind {
        ModelKind::Logistic => "Sigmoid",
        ModelKind::Poisson => "Exp",
        ModelKind::Linear => "Identity",
        _ => return Err(Refusal::of("it is of a kind that is not known here")),
    };
    let output = formula.free_name(prediction_column(formula.kind), &mut graph.taken);
    graph.named_node(link, &[score], &output, &[]);
    let graph = Message::default()
        .messages(1, graph.nodes)
        .text(2, &formula.target)
        .messages(5, graph.constants)
        .text(10, &formula.title)
        .messages(11, inputs)
        .message(12, &tensor_info(&output, DOUBLE));
    let study = Message::default().text(1, "study").text(2, &formula.study);
    let model = Message::default()
        .int(1, FORMAT)
        .text(2, "party")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph)
        .message(8, &Message::default().text(1, "").int(2, OPERATORS))
        .message(14, &study);
    Ok(model.finish())
}

/// A graph that is being written.
struct Graph<'a> {
    formula: &'a Formula,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    taken: Vec<String>,
}

impl<'a> Graph<'a> {
    fn new(formula: &'a Formula) -> Self {
        Self { formula, nodes: Vec::new(), constants: Vec::new(), taken: Vec::new() }
    }

    /// The columns of a numeric feature.
    fn number(
        &mut self,
        input: &Input,
        terms: &[&Term],
        columns: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let missing = matches!(input.holds, Holds::Number { missing: true });
        let missing = missing.then(|| self.node("IsNaN", std::slice::from_ref(&input.column), &[]));
        for term in terms {
            match (&term.reads, &missing) {
                (Reads::Number { fill, mean, std }, _) => {
                    let mut value = input.column.clone();
                    if let (Some(fill), Some(missing)) = (fill, &missing) {
                        let fill = self.numbers(&[1, 1], &[*fill]);
                        value = self.node("Where", &[missing.clone(), fill, value], &[]);
                    }
                    let mean = self.numbers(&[1, 1], &[*mean]);
                    value = self.node("Sub", &[value, mean], &[]);
                    let std = self.numbers(&[1, 1], &[*std]);
                    columns.push(self.node("Div", &[value, std], &[]));
                }
                (Reads::Missing, Some(missing)) => {
                    columns.push(self.node(
                        "Cast",
                        std::slice::from_ref(missing),
                        &[("to", DOUBLE)],
                    ));
                }
                // An indicator of cells that are never missing.
                (Reads::Missing, None) => {
                    let never = self.node("IsNaN", std::slice::from_ref(&input.column), &[]);
                    columns.push(self.node("Cast", &[never], &[("to", DOUBLE)]));
                }
                (Reads::Level(_), _) => {
                    return Err(Refusal::of(format!("{:?} is a level of a number", term.name)));
                }
            }
        }
        Ok(())
    }

    /// The columns of a feature of words.
    fn words(&mut self, column: &str, terms: &[&Term]) -> Option<String> {
        let word = |term: &&Term| match &term.reads {
            Reads::Level(level) => level.clone(),
            Reads::Missing | Reads::Number { .. } => String::new(),
        };
        let words: Vec<String> = terms.iter().map(word).collect();
        if words.is_empty() {
            return None;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = self.texts(&words);
        let is = self.node("Equal", &[column.to_owned(), words], &[]);
        Some(self.node("Cast", &[is], &[("to", DOUBLE)]))
    }

    /// 0 where a cell is one of these words, and NaN elsewhere: what no rule allows is not scored.
    fn check(&mut self, column: &str, allowed: &[&str]) -> String {
        let words = self.texts(allowed);
        let is = self.node("Equal", &[column.to_owned(), words], &[]);
        let is = self.node("Cast", &[is], &[("to", DOUBLE)]);
        let ones = self.numbers(&[allowed.len(), 1], &vec![1.0; allowed.len()]);
        let count = self.node("MatMul", &[is, ones], &[]);
        let known = self.node("Cast", &[count], &[("to", BOOL)]);
        let (zero, unknown) = (self.numbers(&[1, 1], &[0.0]), self.numbers(&[1, 1], &[f64::NAN]));
        self.node("Where", &[known, zero, unknown], &[])
    }

    fn fresh(&mut self) -> String {
        let wanted = format!("t{}", self.taken.len());
        self.formula.free_name(&wanted, &mut self.taken)
    }

    /// An operation; gives the name of its result.
    fn node(&mut self, operator: &str, inputs: &[String], attributes: &[(&str, u64)]) -> String {
        let output = self.fresh();
        self.named_node(operator, inputs, &output, attributes);
        output
    }

    fn named_node(
        &mut self,
        operator: &str,
        inputs: &[String],
        output: &str,
        attributes: &[(&str, u64)],
    ) {
        let node =
            inputs.iter().fold(Message::default(), |node, input| node.text(1, input.as_str()));
        // Attributes of the type INT.
        let attribute = |(name, value): &(&str, u64)| {
            Message::default().text(1, name).int(3, *value).int(20, 2)
        };
        let node = node.text(2, output).text(3, output).text(4, operator);
        self.nodes.push(node.messages(5, attributes.iter().map(attribute)));
    }

    /// A constant of doubles.
    fn numbers(&mut self, shape: &[usize], values: &[f64]) -> String {
        let name = self.fresh();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constants.push(dimensions(shape).int(2, DOUBLE).text(8, &name).bytes(9, &bytes));
        name
    }

    /// A constant row of texts.
    fn texts(&mut self, values: &[&str]) -> String {
        let name = self.fresh();
        let tensor = dimensions(&[1, values.len()]).int(2, STRING);
        let tensor = values.iter().fold(tensor, |tensor, value| tensor.text(6, value));
        self.constants.push(tensor.text(8, &name));
        name
    }
}

fn dimensions(shape: &[usize]) -> Message {
    shape.iter().fold(Message::default(), |tensor, &size| tensor.int(1, size as u64))
}

/// A tensor of the shape (rows, 1).
fn tensor_info(name: &str, element: u64) -> Message {
    let rows = Message::default().text(2, "rows");
    let shape = Message::default().message(1, &rows).message(1, &Message::default().int(1, 1));
    let tensor = Message::default().int(1, element).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}
