//! Reads an ONNX file of the operators that are written here, and evaluates it.

use std::collections::HashMap;

use super::super::Evaluate;
use super::super::rows::{Cells, Rows};
use super::wire::{Fields, text};
use super::{BOOL, DOUBLE, STRING};

/// A graph that was read.
pub(crate) struct Read {
    nodes: Vec<Node>,
    constants: Vec<(String, Tensor)>,
    inputs: Vec<String>,
    output: String,
}

struct Node {
    operator: String,
    inputs: Vec<String>,
    output: String,
    attribute: u64,
}

/// A table of values, row by row.
#[derive(Clone)]
struct Tensor {
    width: usize,
    values: Values,
}

#[derive(Clone)]
enum Values {
    Numbers(Vec<f64>),
    Truths(Vec<bool>),
    Texts(Vec<String>),
}

pub(crate) fn read(bytes: &[u8]) -> Result<Read, String> {
    let model = Fields::read(bytes)?;
    let graph = Fields::read(model.all(7).next().ok_or("there is no graph")?)?;
    let nodes = graph.messages(1)?.iter().map(node).collect::<Result<_, _>>()?;
    let constants = graph.messages(5)?.iter().map(constant).collect::<Result<_, _>>()?;
    let names = |field| graph.messages(field)?.iter().map(|each| each.text(1)).collect();
    let (inputs, outputs): (_, Result<Vec<String>, String>) = (names(11)?, names(12));
    let output = outputs?.into_iter().next().ok_or("there is no output")?;
    Ok(Read { nodes, constants, inputs, output })
}

fn node(fields: &Fields<'_>) -> Result<Node, String> {
    let attributes = fields.messages(5)?;
    Ok(Node {
        operator: fields.text(4)?,
        inputs: fields.all(1).map(text).collect::<Result<_, _>>()?,
        output: fields.text(2)?,
        attribute: attributes.first().and_then(|each| each.ints(3).next()).unwrap_or(0),
    })
}

fn constant(fields: &Fields<'_>) -> Result<(String, Tensor), String> {
    let sizes: Vec<u64> = fields.ints(1).collect();
    let [_, width] = sizes[..] else { return Err("a constant is no table".to_owned()) };
    let values = match fields.ints(2).next() {
        Some(DOUBLE) => {
            let (values, rest) = fields.all(9).next().unwrap_or_default().as_chunks::<8>();
            if !rest.is_empty() {
                return Err("a number is cut off".to_owned());
            }
            Values::Numbers(values.iter().map(|value| f64::from_le_bytes(*value)).collect())
        }
        Some(STRING) => Values::Texts(fields.all(6).map(text).collect::<Result<_, _>>()?),
        _ => return Err("a constant is of another type".to_owned()),
    };
    let width = usize::try_from(width).map_err(|_| "a constant is too wide")?;
    Ok((fields.text(8)?, Tensor { width, values }))
}

impl Evaluate for Read {
    fn predict(&self, rows: &Rows<'_>) -> Result<Vec<f64>, String> {
        let mut all: HashMap<&str, Tensor> = HashMap::new();
        for (name, tensor) in &self.constants {
            all.insert(name, tensor.clone());
        }
        for name in &self.inputs {
            let values = match rows.column(name).ok_or(format!("there is no column {name:?}"))? {
                Cells::Numbers(cells) => Values::Numbers(cells.clone()),
                Cells::Words(cells) => {
                    Values::Texts(cells.iter().map(|cell| (*cell).to_owned()).collect())
                }
            };
            all.insert(name, Tensor { width: 1, values });
        }
        for node in &self.nodes {
            let found = node.inputs.iter().map(|name| all.get(name.as_str()));
            let inputs = found.collect::<Option<Vec<_>>>().ok_or("an input is not there")?;
            let result = apply(&node.operator, &inputs, node.attribute)?;
            all.insert(&node.output, result);
        }
        match all.remove(self.output.as_str()) {
            Some(Tensor { width: 1, values: Values::Numbers(values) }) => Ok(values),
            _ => Err("the output is no column of numbers".to_owned()),
        }
    }
}

fn apply(operator: &str, inputs: &[&Tensor], attribute: u64) -> Result<Tensor, String> {
    use Values::{Numbers, Texts, Truths};
    let of = |width, values| Ok(Tensor { width, values });
    let values: Vec<&Values> = inputs.iter().map(|tensor| &tensor.values).collect();
    let width = inputs.iter().map(|tensor| tensor.width).max().unwrap_or(0);
    match (operator, values.as_slice()) {
        ("Identity", [one]) => of(width, (*one).clone()),
        ("Sigmoid", [Numbers(x)]) => {
            of(width, Numbers(x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect()))
        }
        ("Exp", [Numbers(x)]) => of(width, Numbers(x.iter().map(|x| x.exp()).collect())),
        ("IsNaN", [Numbers(x)]) => of(width, Truths(x.iter().map(|x| x.is_nan()).collect())),
        ("Cast", [Truths(x)]) if attribute == DOUBLE => {
            of(width, Numbers(x.iter().map(|&x| f64::from(u8::from(x))).collect()))
        }
        ("Cast", [Numbers(x)]) if attribute == BOOL => {
            of(width, Truths(x.iter().map(|&x| x != 0.0).collect()))
        }
        ("Add" | "Sub" | "Div", [Numbers(a), Numbers(b)]) => {
            let result = |a: &f64, b: &f64| match operator {
                "Add" => a + b,
                "Sub" => a - b,
                _ => a / b,
            };
            let pairs = places(inputs, width);
            of(width, Numbers(pairs.iter().map(|at| result(&a[at[0]], &b[at[1]])).collect()))
        }
        ("Equal", [Texts(a), Texts(b)]) => {
            let pairs = places(inputs, width);
            of(width, Truths(pairs.iter().map(|at| a[at[0]] == b[at[1]]).collect()))
        }
        ("Where", [Truths(is), Numbers(a), Numbers(b)]) => {
            let result = |at: &Vec<usize>| if is[at[0]] { a[at[1]] } else { b[at[2]] };
            of(width, Numbers(places(inputs, width).iter().map(result).collect()))
        }
        ("Concat", _) => concat(inputs),
        ("MatMul", [Numbers(a), Numbers(b)]) if inputs[1].width == 1 => {
            let rows = a.chunks_exact(inputs[0].width);
            let product = |row: &[f64]| row.iter().zip(b).map(|(a, b)| a * b).sum();
            of(1, Numbers(rows.map(product).collect()))
        }
        _ => Err(format!("the operator {operator} is not known with these inputs")),
    }
}

fn concat(inputs: &[&Tensor]) -> Result<Tensor, String> {
    let mut parts = Vec::new();
    for tensor in inputs {
        let Values::Numbers(values) = &tensor.values else {
            return Err("only numbers are put side by side".to_owned());
        };
        parts.push(values.chunks_exact(tensor.width));
    }
    let (mut values, width) = (Vec::new(), inputs.iter().map(|tensor| tensor.width).sum());
    while let Some(rows) = parts.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        rows.iter().for_each(|row| values.extend_from_slice(row));
    }
    Ok(Tensor { width, values: Values::Numbers(values) })
}

/// For each element of the result the places of its inputs: a table of one row or one column is repeated.
fn places(inputs: &[&Tensor], width: usize) -> Vec<Vec<usize>> {
    let height = |tensor: &Tensor| {
        let length = match &tensor.values {
            Values::Numbers(values) => values.len(),
            Values::Truths(values) => values.len(),
            Values::Texts(values) => values.len(),
        };
        length / tensor.width.max(1)
    };
    let heights: Vec<usize> = inputs.iter().map(|tensor| height(tensor)).collect();
    let rows = heights.iter().copied().max().unwrap_or(0);
    let place = |row: usize, column: usize| {
        let at = |(tensor, &height): (&&Tensor, &usize)| {
            let row = if height == 1 { 0 } else { row };
            row * tensor.width + if tensor.width == 1 { 0 } else { column }
        };
        inputs.iter().zip(&heights).map(at).collect()
    };
    (0..rows)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(row, column)| place(row, column))
        .collect()
}
