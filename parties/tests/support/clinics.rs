//! A study of clinics with a dealer, small enough to be run often.

#![allow(dead_code, reason = "each of the tests needs another part of it")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mpc_ml::artifact::Model;

use crate::support::Nodes;

/// Clinics that train for so many epochs, and a dealer.
pub fn nodes(parties: usize, epochs: usize) -> Nodes {
    let names: Vec<String> = (0..parties).map(|i| format!("clinic-{i}")).collect();
    let rows: Vec<String> = (0..parties).map(|i| rows(i, 60 + 40 * i)).collect();
    let text = study(&names, epochs);
    Nodes::new(&names.iter().map(String::as_str).collect::<Vec<_>>(), &text, &rows)
}

/// Rows with a plain dependence and a missing cell now and then.
fn rows(party: usize, count: usize) -> String {
    let mut text = String::from("id,age,dose,sex,ill\n");
    for i in 0..count {
        let seed = (i * 7919 + party * 104_729) % 1000;
        let (age, dose) = (20 + seed % 60, (seed * 37 % 100) as f64 / 10.0);
        let ill = age + (seed * 13 % 40) > 70;
        let dose = if i % 17 == 0 { String::new() } else { dose.to_string() };
        let sex = if seed.is_multiple_of(3) { "f" } else { "m" };
        let ill = if ill { "yes" } else { "no" };
        writeln!(text, "{i},{age},{dose},{sex},{ill}").unwrap();
    }
    text
}

fn study(parties: &[String], epochs: usize) -> String {
    format!(
        r#"
version = 1
title = "Illness by age and dose"
parties = {parties:?}
partition = "horizontal"
[model]
kind = "logistic"
target = {{ column = "ill", positive = "yes", negative = "no" }}
intercept = true
l2 = 0.01
clip = 8.0
[[features]]
name = "age"
type = "numeric"
missing = "refuse"
indicator = false
scale = "joint"
range = [0, 120]
[[features]]
name = "dose"
type = "numeric"
missing = "mean"
indicator = true
scale = "joint"
[[features]]
name = "sex"
type = "categorical"
levels = ["f", "m"]
base = "f"
missing = "refuse"
[training]
solver = "sgd"
epochs = {epochs}
batch = 16
learning_rate = 0.5
decay = 0.0
momentum = 0.0
seed = 3
[training.sigmoid]
window = 64
terms = 16
fit = "plain"
[security]
correlations = "dealer"
[output]
model = "all"
release_bits = 16
"#
    )
}

/// The model that a run left in the folder of its study.
pub fn model(folder: &Path) -> Model {
    Model::from_json(&fs::read(folder.join("model.json")).unwrap()).unwrap()
}
