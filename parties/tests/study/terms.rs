//! Factors, splines and interactions between nodes, each asked for and tested in one word.

use std::fmt::Write as _;

use crate::clinics::model;
use crate::support::{Nodes, Running};

const PARTIES: [&str; 3] = ["north", "east", "south"];
const REGIONS: [&str; 4] = ["coast", "hills", "plain", "town"];
const KNOTS: [f64; 4] = [30.0, 42.0, 55.0, 70.0];

const STUDY: &str = r#"
version = 1
title = "Cost by age, sex and region"
parties = ["north", "east", "south"]

features = [
    { name = "age", range = [18, 100] },
    { name = "rcs(age; 30, 42, 55, 70)" },
    { name = "region", levels = ["coast", "hills", "plain", "town"] },
    { name = "sex", levels = ["f", "m"] },
]

[model]
kind = "linear"
target = { column = "cost", range = [0, 200] }
interactions = ["age:region", "sex:region"]

[output]
inference = true
tests = ["sex", "region", "age:region", "sex:region", "rcs(age; 30, 42, 55, 70)", "age + rcs(age; 30, 42, 55, 70)"]
"#;

/// A row: age, place of the region, whether male, cost.
fn row(party: usize, at: usize) -> (f64, usize, bool, f64) {
    let seed = (at * 7919 + party * 104_729 + at * at * 31) % 9973;
    let age = 20.0 + (seed % 611) as f64 / 10.0;
    let (region, male) = (seed / 7 % 4, seed / 3 % 2 == 1);
    let noise = (seed * 53 % 401) as f64 / 20.0 - 10.0;
    let bend = 0.01 * (age - 50.0) * (age - 50.0);
    let cost = 60.0 + 0.4 * age + bend + [0.0, 4.0, -3.0, 2.0][region] + noise;
    (age, region, male, cost + if male { 3.0 } else { 0.0 })
}

fn rows(party: usize) -> impl Iterator<Item = (f64, usize, bool, f64)> {
    (0..120 + 30 * party).map(move |at| row(party, at))
}

/// The columns of a row by their names in groups: those that a test takes away together.
fn columns(age: f64, region: usize, male: bool) -> Vec<(&'static str, f64)> {
    let indicator = |is: bool| f64::from(u8::from(is));
    let cube = |knot: f64| (age - knot).max(0.0).powi(3);
    let [.., before, last] = KNOTS;
    let spline = |knot: f64| {
        let back = (cube(before) * (last - knot) - cube(last) * (before - knot)) / (last - before);
        (cube(knot) - back) / (last - KNOTS[0]).powi(2)
    };
    let mut all = vec![("intercept", 1.0), ("age", age)];
    all.extend([
        ("spline", spline(KNOTS[0])),
        ("spline", spline(KNOTS[1])),
        ("sex", indicator(male)),
    ]);
    for level in 1..4 {
        let is = indicator(region == level);
        all.extend([
            ("region", is),
            ("age:region", is * age),
            ("sex:region", is * indicator(male)),
        ]);
    }
    all
}

/// The sum of squared residuals without some columns, and how many are left: Gram and Schmidt, twice.
fn residual(without: &[&str]) -> (f64, usize) {
    let all: Vec<_> = (0..3).flat_map(rows).collect();
    let names: Vec<&str> = columns(50.0, 0, false).into_iter().map(|(name, _)| name).collect();
    let kept: Vec<usize> = (0..names.len()).filter(|at| !without.contains(&names[*at])).collect();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let less = |column: &mut Vec<f64>, basis: &[Vec<f64>]| {
        for _ in 0..2 {
            for other in basis {
                let part = dot(column, other);
                column.iter_mut().zip(other).for_each(|(cell, other)| *cell -= part * other);
            }
        }
    };
    for &at in &kept {
        let cell =
            |&(age, region, male, _): &(f64, usize, bool, f64)| columns(age, region, male)[at].1;
        let mut column: Vec<f64> = all.iter().map(cell).collect();
        less(&mut column, &basis);
        let length = dot(&column, &column).sqrt();
        basis.push(column.into_iter().map(|cell| cell / length).collect());
    }
    let mut cost: Vec<f64> = all.iter().map(|row| row.3).collect();
    less(&mut cost, &basis);
    (dot(&cost, &cost), kept.len())
}

#[test]
fn levels_terms_and_products_are_tested_together() {
    let text = |party: usize| {
        let mut text = "age,region,sex,cost\n".to_owned();
        for (age, region, male, cost) in rows(party) {
            let sex = if male { "m" } else { "f" };
            writeln!(text, "{age},{},{sex},{cost}", REGIONS[region]).unwrap();
        }
        text
    };
    let nodes = Nodes::new(&PARTIES, STUDY, &[text(0), text(1), text(2)]);
    let running: Vec<Running> = nodes.parties().iter().map(|name| nodes.start(name)).collect();
    running.into_iter().map(Running::end).for_each(|ended| ended.expect(0, &["\"ok\": true"]));
    let model = model(&nodes.results(PARTIES[0]));
    let names: Vec<&str> = model.standardised().coefficients.names().collect();
    let due = [
        "age",
        "rcs(age; 30, 42, 55, 70; 1)",
        "rcs(age; 30, 42, 55, 70; 2)",
        "region=hills",
        "region=plain",
        "region=town",
        "sex=m",
        "age:region=hills",
        "age:region=plain",
        "age:region=town",
        "sex=m:region=hills",
        "sex=m:region=plain",
        "sex=m:region=town",
    ];
    assert_eq!(names, due);
    let (full, coefficients) = residual(&[]);
    let free = (0..3).map(|party| rows(party).count()).sum::<usize>() - coefficients;
    let tests = &model.inference().unwrap().tests;
    assert_eq!(tests.len(), 6, "{tests:?}");
    for (test, without) in tests.iter().zip([
        &["sex"][..],
        &["region"],
        &["age:region"],
        &["sex:region"],
        &["spline"],
        &["age", "spline"],
    ]) {
        let (less, left) = residual(without);
        let tested = coefficients - left;
        let due = (less - full) / tested as f64 / (full / free as f64);
        let got = &test.joint;
        assert_eq!(got.degrees_of_freedom, tested as u64, "{}", test.feature);
        assert!(
            (got.statistic / due - 1.0).abs() < 2e-3,
            "{}: {} for {due}",
            test.feature,
            got.statistic
        );
    }
}
