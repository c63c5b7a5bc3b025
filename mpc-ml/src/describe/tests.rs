//! Descriptions of three parties' rows against scipy's of the pooled ones
//! (`scripts/oracles/describe.py`), and what is told where counts are small.

mod kept;

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::{Level, ThresholdRule};
use mpc_core::testing::{self, Labels, World};
use mpc_core::{Outputs, Recipients};
use serde_json::Value;

use super::*;
use crate::data::testing::schema;
use crate::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, Scaling, Schema,
};
use crate::model::{Output, Plan, ledger};

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../scripts/oracles/describe.json")).expect("JSON")
}

fn words(name: &str, levels: &[&str]) -> Feature {
    let kind = Categorical {
        levels: levels.iter().map(ToString::to_string).collect(),
        base: levels[0].into(),
        missing: CategoricalMissing::Refuse,
    };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

fn numbers(name: &str, range: (f64, f64), missing: NumericMissing) -> Feature {
    let kind = Numeric { range: Some(range), missing, indicator: false, scale: Scaling::None };
    Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
}

fn columns() -> Schema {
    schema(vec![
        words("arm", &["control", "new"]),
        words("site", &["north", "south", "west"]),
        words("sex", &["f", "m"]),
        words("smoker", &["no", "yes"]),
        numbers("age", (18.0, 99.0), NumericMissing::Refuse),
        numbers("weight", (35.0, 150.0), NumericMissing::Refuse),
        numbers("pressure", (60.0, 220.0), NumericMissing::Value(120.0)),
    ])
    .expect("a schema")
}

/// Every so many-th row of the oracle is a party's.
fn own(oracle: &Value, me: usize, parties: usize) -> Table {
    let mut rows = Table::builder_without_target(columns());
    for row in oracle["rows"].as_array().expect("rows").iter().skip(me).step_by(parties) {
        let cells: Vec<&str> = row
            .as_array()
            .expect("cells")
            .iter()
            .map(|cell| cell.as_str().expect("text"))
            .collect();
        rows.push_row(&cells).expect("cells that fit");
    }
    rows.finish()
}

thread_local! {
    /// What the first party of the last worlds released.
    static RELEASED: Labels = Labels::default();
}

fn settings(group: Option<&str>, least: u32) -> DescribeSettings {
    DescribeSettings {
        group: group.map(str::to_owned),
        tables: vec![("sex".into(), "smoker".into()), ("site".into(), "smoker".into())],
        correlations: true,
        histograms: vec![("age".into(), 9)],
        quartiles: vec![("age".into(), 1.0)],
        keep_back: false,
        threshold: ThresholdRule { least, ..ThresholdRule::default() },
    }
}

fn described(
    parties: usize,
    origin: Origin,
    settings: &DescribeSettings,
) -> Vec<Result<Option<Description>, Error>> {
    let oracle = oracle();
    let rows: Vec<u64> = (0..parties).map(|me| own(&oracle, me, parties).rows() as u64).collect();
    let plan = DescribePlan::new(settings, &columns(), &rows, Recipients::All, origin);
    let plan = plan.expect("fits");
    let world = World::new(parties).origin(origin).outputs(ledger(&plan.outputs()));
    world.run(async |mut session| {
        let me = session.me();
        let mut source = testing::source(&mut session, origin)?;
        let agreed = Agreed::among(plan.clone(), &mut session).await?;
        if me == 0 {
            session.record_releases(Box::new(RELEASED.with(Clone::clone)));
        }
        session.meter().enter("describe");
        let (progress, table) = (&mut |_| {}, own(&oracle, me, parties));
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let result = describe(&agreed, &table, &mut run).await?;
        if result.as_ref().is_some_and(|result| result.left_out.is_empty()) {
            testing::assert_cost(run.session, "describe", &plan.cost(me));
        }
        run.source.finish().await?;
        Ok(result)
    })
}

#[track_caller]
fn close(got: f64, due: &Value, tolerance: f64) {
    let due = due.as_f64().expect("a number");
    assert!((got - due).abs() <= tolerance * due.abs().max(1e-300), "{got} instead of {due}");
}

fn test_is(test: &Option<GroupTest>, due: &Value) {
    let (of, exact) = match test.as_ref().expect("a test") {
        GroupTest::Welch(of, _) | GroupTest::Anova(of) => (of, None),
        GroupTest::ChiSquared(of, exact) => (of, *exact),
    };
    close(of.statistic, &due["test"][0], 1e-9);
    close(of.freedom, &due["test"][1], 1e-9);
    close(of.p_value, &due["test"][2], 1e-7);
    if let Some(exact) = exact {
        close(exact, &due["fisher"], 1e-7);
    }
    assert_eq!(exact.is_some(), due["fisher"].is_number());
}

/// The smallest numbers that a quarter, a half, three quarters of the group's do not exceed lie in the intervals,
/// which are no wider than the step where one number is enough.
fn quartiles_are_those_of(oracle: &Value, result: &Description) {
    let at = if result.group.as_deref() == Some("arm") { 0 } else { 1 };
    assert_eq!(result.quartiles[0].name, "age");
    for ((group, _), told) in result.groups.iter().zip(&result.quartiles[0].groups) {
        let rows = oracle["rows"].as_array().expect("rows").iter();
        let own = rows.filter(|row| row[at].as_str() == Some(group));
        let mut ages: Vec<f64> =
            own.map(|row| row[4].as_str().expect("text").parse().expect("a number")).collect();
        ages.sort_unstable_by(f64::total_cmp);
        for (percent, told) in [25, 50, 75].iter().zip(told) {
            let (low, high) = told.expect("enough");
            let due = ages[(ages.len() * percent).div_ceil(100) - 1];
            assert!((low..=high).contains(&due) && high - low <= 1.0, "{due}: {low} to {high}");
        }
    }
}

fn counts_are(counts: &[Vec<u64>], due: &Value) {
    assert_eq!(serde_json::to_value(counts).expect("numbers"), due["counts"]);
}

#[test]
fn tables_and_tests_are_those_of_the_pooled_rows() {
    let oracle = oracle();
    for (group, parties, origin, least) in [
        ("arm", 3, Origin::Pairwise, 1),
        ("site", 2, Origin::Pairwise, 1),
        ("site", 4, Origin::Dealer, 1),
    ] {
        let due = &oracle["by"][group];
        for result in described(parties, origin, &settings(Some(group), least)) {
            let result = result.expect("runs").expect("for all");
            assert_eq!((result.group.as_deref(), result.left_out.len()), (Some(group), 0));
            for column in &result.columns {
                match column {
                    Described::Categories(it) if it.name == "sex" || it.name == "smoker" => {
                        counts_are(&it.counts, &due[&it.name]);
                        test_is(&it.test, &due[&it.name]);
                    }
                    Described::Categories(it) => assert_ne!(it.name, group),
                    Described::Measured(it) => {
                        let due = &due[&it.name];
                        for (at, of) in it.groups.iter().enumerate() {
                            assert_eq!(Some(of.count), due["count"][at].as_u64());
                            close(of.mean.expect("some"), &due["mean"][at], 1e-11);
                            close(of.deviation.expect("some"), &due["deviation"][at], 1e-10);
                        }
                        close(it.all.mean.expect("some"), &due["all"][0], 1e-11);
                        close(it.all.deviation.expect("some"), &due["all"][1], 1e-10);
                        test_is(&it.test, due);
                    }
                }
            }
            let pressure = result.columns.iter().find_map(|column| match column {
                Described::Measured(it) if it.name == "pressure" => Some(it),
                _ => None,
            });
            let missing: Vec<u64> =
                pressure.expect("described").groups.iter().map(|of| of.missing).collect();
            assert_eq!(serde_json::to_value(missing).expect("numbers"), due["missing"]);
            for table in &result.tables {
                let due = &oracle[format!("{} by {}", table.names[0], table.names[1])];
                counts_are(&table.counts, due);
                test_is(&table.test, due);
            }
            let all = result.correlations.as_ref().expect("asked for");
            for (i, row) in all.matrix.iter().enumerate() {
                row.iter().enumerate().for_each(|(j, &r)| {
                    close(r, &oracle["correlations"][i][j], 1e-10);
                });
            }
            let Histogram { ends, counts, .. } = &result.histograms[0];
            assert_eq!(serde_json::to_value(counts).expect("numbers"), oracle["histogram"]);
            assert_eq!((ends[0], ends[9]), (18.0, 99.0));
            for (share, due) in [(0.25, 0), (0.5, 1), (0.75, 2), (1.0, 3)] {
                let (low, high) = result.histograms[0].quantile(share).expect("numbers");
                let due = oracle["quantiles"][due].as_f64().expect("a number");
                assert!((low..=high).contains(&due), "{due} is not from {low} to {high}");
            }
            quartiles_are_those_of(&oracle, &result);
            let p = stats::correlated(all.matrix[0][2], all.rows.0).expect("rows");
            close(p, &oracle["correlated"], 1e-7);
            let text = result.to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains("age, mean (SD)") && text.contains("Fisher p"), "{text}");
        }
    }
}

/// Where groups would show a small count all rows are described; where that would too, nothing is, and
/// the one thing that was told is that.
#[test]
fn coarser_tables_are_released_or_none() {
    // Missing pressures of one arm, without those of a party, are fewer than 8.
    let results = described(3, Origin::Dealer, &settings(Some("arm"), 8));
    for result in results {
        let result = result.expect("runs").expect("for all");
        assert_eq!(result.left_out, ["histograms", "groups by arm"]);
        assert_eq!((result.groups.len(), result.tables.len()), (1, 2));
        assert!(result.to_string().starts_with("left out"));
        let Described::Measured(age) = &result.columns[4] else { panic!("numbers") };
        close(age.all.mean.expect("some"), &oracle()["by"]["arm"]["age"]["all"][0], 1e-11);
    }
    let _ = RELEASED.with(Labels::take);
    for result in described(3, Origin::Dealer, &settings(None, 200)) {
        let refused = result.expect_err("withheld");
        assert!(matches!(refused, Error::Withheld(_)), "{refused}");
        let text = refused.to_string();
        assert!(text.contains("threshold of 200") && text.contains("Merge rare levels"), "{text}");
    }
    assert_eq!(RELEASED.with(Labels::take), [WITHHELD]);
}

#[test]
fn what_is_revealed_is_said() {
    let plan = |settings: &DescribeSettings| {
        DescribePlan::new(settings, &columns(), &[9, 9], Recipients::All, Origin::Pairwise)
    };
    let mut asked = DescribeSettings {
        histograms: Vec::new(),
        quartiles: Vec::new(),
        ..settings(Some("arm"), 5)
    };
    let outputs = plan(&asked).expect("fits").outputs();
    let labels: Vec<&str> = outputs.iter().map(|output| output.label.as_str()).collect();
    assert_eq!(labels, [WITHHELD, COUNTS, SUMS]);
    let Output { what, .. } = &outputs[0];
    assert!(what.contains("of 3 sets") && what.contains("below 5, and not 0"), "{what}");
    asked.threshold.level = Level::Outsiders;
    assert!(plan(&asked).expect("fits").outputs()[0].what.contains("WARNING"));
    let _: Outputs = ledger(&outputs);
    let refused = |settings: &DescribeSettings| plan(settings).expect_err("refused").to_string();
    let with = |change: &dyn Fn(&mut DescribeSettings)| {
        let mut settings = settings(Some("arm"), 5);
        change(&mut settings);
        refused(&settings)
    };
    assert!(with(&|it| it.group = Some("age".into())).contains("no categorical feature"));
    assert!(with(&|it| it.tables = vec![("sex".into(), "sex".into())]).contains("itself"));
    assert!(with(&|it| it.histograms[0].0 = "sex".into()).contains("no numeric feature"));
    assert!(with(&|it| it.histograms[0].1 = 1).contains("2 to 1000"));
    assert!(with(&|it| it.quartiles[0].0 = "sex".into()).contains("no numeric feature"));
    assert!(with(&|it| it.quartiles[0].1 = 0.0).contains("step of 0"));
    assert!(with(&|it| it.quartiles.push(("age".into(), 2.0))).contains("second time"));
    let steps = plan(&settings(Some("arm"), 5)).expect("fits").outputs();
    // The range of ages is halved seven times.
    assert_eq!(steps[8].label, format!("{QUARTILES}/8"));
    assert_eq!((steps.len(), steps[9].label.as_str()), (11, COUNTS));
    assert!(with(&|it| it.threshold.least = 0).contains("threshold of 0"));
    let few = schema(vec![words("arm", &["a", "b"])]).expect("a schema");
    let two = DescribePlan::new(&asked, &few, &[9, 9], Recipients::All, Origin::Dealer);
    assert!(two.expect_err("refused").to_string().contains("tables.0 names \"sex\""));
    let open = Feature {
        name: "age".into(),
        kind: FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        }),
    };
    let open = schema(vec![open]).expect("a schema");
    let none = DescribeSettings::default();
    let open = DescribePlan::new(&none, &open, &[9, 9], Recipients::All, Origin::Dealer);
    assert!(open.expect_err("refused").to_string().contains("features.0.range is missing"));
    let one = DescribePlan::new(&none, &columns(), &[9], Recipients::All, Origin::Dealer);
    assert!(one.expect_err("refused").to_string().contains("two parties"));
}

/// Three parties of 100,000 rows with 25 numbers and 5 columns of levels each, without a dealer.
#[test]
#[ignore = "some seconds; for the figures of docs/describe.md"]
#[allow(clippy::print_stdout)]
fn the_cost_of_thirty_columns() {
    const ROWS: usize = 100_000;
    let levels = ["a", "b", "c", "d"];
    let mut features: Vec<Feature> = (0..5).map(|at| words(&format!("w{at}"), &levels)).collect();
    let missing = NumericMissing::Value(0.0);
    features.extend((0..25).map(|at| numbers(&format!("x{at}"), (0.0, 1.0), missing)));
    let columns = schema(features).expect("a schema");
    let settings = DescribeSettings {
        group: Some("w0".into()),
        tables: vec![("w1".into(), "w2".into()), ("w3".into(), "w4".into())],
        correlations: true,
        histograms: (0..25).map(|at| (format!("x{at}"), 20)).collect(),
        quartiles: Vec::new(),
        keep_back: false,
        threshold: ThresholdRule::default(),
    };
    let rows = [ROWS as u64; 3];
    let plan = DescribePlan::new(&settings, &columns, &rows, Recipients::All, Origin::Pairwise);
    let plan = plan.expect("fits");
    let tables: Vec<Table> = (0..3)
        .map(|me| {
            let mut table = Table::builder_without_target(columns.clone());
            let mut state = 77 + me as u64;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as usize
            };
            for _ in 0..ROWS {
                let mut cells: Vec<String> = (0..5).map(|_| levels[random() % 4].into()).collect();
                cells.extend((0..25).map(|_| match random() % 1000 {
                    0 => String::new(),
                    _ => format!("0.{:06}", random() % 1_000_000),
                }));
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                table.push_row(&cells).expect("cells that fit");
            }
            table.finish()
        })
        .collect();
    let start = std::time::Instant::now();
    let results = World::new(3).outputs(ledger(&plan.outputs())).run(async |mut session| {
        let mut source = testing::source(&mut session, Origin::Pairwise)?;
        let agreed = Agreed::among(plan.clone(), &mut session).await?;
        session.meter().enter("describe");
        let table = &tables[session.me()];
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
        let result = describe(&agreed, table, &mut run).await?.expect("for all");
        source.finish().await?;
        let phases = ["preparation", "describe"].map(|phase| session.meter().phase(phase));
        Ok::<_, Error>((result, phases.map(|phase| (phase.rounds, phase.sent()))))
    });
    let took = start.elapsed().as_secs_f64();
    for result in results {
        let (result, [(_, ahead), (rounds, sent)]) = result.expect("runs");
        println!("{took:.2} s for all; {ahead} + {sent} bytes, {rounds} rounds");
        println!("left out: {:?}", result.left_out);
        assert!(ahead + sent < 20_000_000);
    }
}
