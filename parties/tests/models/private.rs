//! Studies with differential privacy that ask for standard errors: one whose released sums pass the test, and one with
//! a level that nearly nobody has.

use mpc_ml::artifact::ErrorKind;

use super::*;

const STUDY: &str = r#"version = 1
title = "Cost of a stay"
parties = ["north", "south"]
partition = "horizontal"

[model]
kind = "linear"
target = { column = "cost", range = [0, 200] }

[output]
inference = true

[privacy]
epsilon = 8
delta = 1e-5
typical_target = [0, 100]

[[features]]
name = "age"
scale = { typical = [20, 80] }

[[features]]
name = "ward"
levels = ["a", "b", "c"]
base = "a"

[security]
correlations = "pairwise"
"#;

/// 900 rows of a party: the cost is 22 + 0.4 times the age, and 6 more in ward b; so many in a thousand are in ward c.
fn rows(party: usize, rare: usize) -> String {
    let mut text = "age,ward,cost\n".to_owned();
    for row in 0..900 {
        let mix = |by: usize| (row * by + 31 * party) % 1009;
        let age = 20 + mix(617) % 61;
        let ward = if mix(389) % 1000 < rare { "c" } else { ["a", "b"][mix(211) % 2] };
        // Evenly from -12 to 12.
        let chance = (mix(743) % 101) as f64 * 0.24 - 12.0;
        let more = if ward == "b" { 6.0 } else { 0.0 };
        text += &format!("{age},{ward},{:.2}\n", 22.0 + 0.4 * age as f64 + more + chance);
    }
    text
}

#[test]
fn standard_errors_with_noise_are_told_where_the_released_sums_allow_it() {
    let names = ["north", "south"];
    let nodes = Nodes::new(&names, STUDY, &[0, 1].map(|party| rows(party, 330)));
    for name in names {
        let settings = fs::read_to_string(nodes.config(name)).unwrap();
        let budget = "\n[privacy]\nsource = \"stays\"\nepsilon = 40.0\ndelta = 1e-5\n";
        fs::write(nodes.config(name), settings + budget).unwrap();
    }
    // Who approves it reads what asking costs, and from how many rows on a level is enough.
    let path = |name: &str, file: &str| nodes.dir(name).join(file).to_str().unwrap().to_owned();
    let (study, data) = (path("north", "study.toml"), path("north", "rows.csv"));
    let config = nodes.config("north");
    let words = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let check = ["--config", &config, "study", "check", &study, "--data", &data];
    let told = words(party(&check).stdout);
    for said in ["its standard errors where a public test", "A level with fewer than about"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let run = || {
        let running: Vec<Running> = names.iter().map(|name| nodes.start(name)).collect();
        let ended: Vec<Ended> = running.into_iter().map(Running::end).collect();
        ended.iter().for_each(|ended| ended.expect(0, &["\"ok\": true"]));
        let told: Value = serde_json::from_str(&ended[0].stdout).unwrap();
        let other: Value = serde_json::from_str(&ended[1].stdout).unwrap();
        let file = |told: &Value| fs::read(told["model"].as_str().unwrap()).unwrap();
        assert_eq!(file(&told), file(&other));
        (Model::from_json(&file(&told)).unwrap(), told)
    };
    let (model, told) = run();
    let inference = model.inference().unwrap();
    assert_eq!(inference.tested().0, ErrorKind::Noise);
    assert!(matches!(&inference.fit, FitStatistics::Noisy(fit) if fit.rows == 1800));
    assert!(inference.std_errors.intercept.is_some() && inference.covariance.is_some());
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("count the noise of all parties"), "{warnings}");
    let tests = model.tests(0.95).unwrap();
    for (name, truth) in [("(intercept)", 22.0), ("age", 0.4), ("ward=b", 6.0), ("ward=c", 0.0)] {
        let test = tests.iter().find(|test| test.name == name).unwrap();
        // Five standard errors: less than one in a million.
        assert!((test.estimate - truth).abs() < 5.0 * test.std_error, "{test:?}");
        assert!((2.0 * 1.95..2.0 * 1.97).contains(&((test.high - test.low) / test.std_error)));
    }
    let file = told["model"].as_str().unwrap();
    let tidy = path("north", "tidy.csv");
    let exported =
        words(party(&["export", "--model", file, "--as", "tidy", "--out", &tidy]).stdout);
    assert!(exported.contains("with the noise"), "{exported}");
    let table = fs::read_to_string(&tidy).unwrap();
    let age = table.lines().find(|line| line.starts_with("age,")).unwrap();
    assert!(age.split(',').all(|cell| !cell.is_empty()), "{table}");

    // Three rows in a thousand are too few.
    for (at, name) in names.iter().enumerate() {
        fs::write(nodes.dir(name).join("rows.csv"), rows(at, 3)).unwrap();
        let study = STUDY.replace("a stay", "a short stay");
        fs::write(nodes.dir(name).join("study.toml"), study).unwrap();
    }
    let (model, told) = run();
    assert!(model.inference().is_none() && model.tests(0.95).is_none());
    let warnings = told["warnings"].to_string();
    for said in ["no standard errors: of the noisy matrix", "rare levels", "larger epsilon"] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    let age = model.original().coefficients.value("age").unwrap();
    assert!((age - 0.4).abs() < 0.1, "the coefficients stand: {age}");
    let check = &model.training().checks[0];
    assert!(check.value > check.bound, "{check:?}");
    let page = path("north", "report.html");
    let folder = Path::new(told["model"].as_str().unwrap()).parent().unwrap();
    party(&["report", folder.to_str().unwrap(), "--out", &page]);
    assert!(fs::read_to_string(page).unwrap().contains("There are no standard errors"));
}
