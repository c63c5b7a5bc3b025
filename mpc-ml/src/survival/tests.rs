//! Curves and tests of the parties' rows against those of other programs on the pooled ones
//! (`scripts/oracles/survival.py`), and what is told where counts are small.

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::{Level, ThresholdRule};
use mpc_core::testing::{self, World};
use mpc_core::{Against, Recipients};
use proptest::prelude::*;
use serde_json::Value;

use super::curve::{Interval, Step, log_rank, median};
use super::*;
use crate::data::testing::schema;
use crate::data::{
    Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing, Scaling, Schema,
};
use crate::model::{Plan, ledger};

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../scripts/oracles/survival.json")).expect("JSON")
}

fn words(name: &str, levels: Vec<String>, missing: CategoricalMissing) -> Feature {
    let kind = Categorical { base: levels[0].clone(), levels, missing };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

fn columns(groups: &[&str], missing: bool) -> Schema {
    let (number, word) = if missing {
        (NumericMissing::Value(0.0), CategoricalMissing::Level)
    } else {
        (NumericMissing::Refuse, CategoricalMissing::Refuse)
    };
    let range = Some((0.0, 1e12));
    let kind = Numeric { range, missing: number, indicator: false, scale: Scaling::None };
    let groups = groups.iter().map(ToString::to_string).collect();
    schema(vec![
        words("group", groups, CategoricalMissing::Refuse),
        Feature { name: "time".into(), kind: FeatureKind::Numeric(kind) },
        words("event", vec!["0".into(), "1".into()], word),
    ])
    .expect("a schema")
}

fn settings(grids: Vec<Vec<f64>>, on_grid: bool, least: u32) -> SurvivalSettings {
    SurvivalSettings {
        time: "time".into(),
        event: "event".into(),
        happened: "1".into(),
        group: Some("group".into()),
        grids,
        on_grid,
        interval: Interval::Log,
        confidence: 0.95,
        threshold: ThresholdRule { least, ..ThresholdRule::default() },
    }
}

type Cells = [String; 3];

/// Every so many-th row is a party's.
fn run(
    (parties, origin, against): (usize, Origin, Against),
    settings: &SurvivalSettings,
    columns: &Schema,
    rows: &[Cells],
) -> Vec<Result<Option<Survival>, Error>> {
    let table = |me: usize| {
        let mut table = Table::builder_without_target(columns.clone());
        for row in rows.iter().skip(me).step_by(parties) {
            table.push_row(&[&row[0], &row[1], &row[2]]).expect("cells that fit");
        }
        table.finish()
    };
    let sizes: Vec<u64> = (0..parties).map(|me| table(me).rows() as u64).collect();
    let plan = SurvivalPlan::new(settings, columns, &sizes, Recipients::All, origin);
    let plan = plan.expect("fits");
    let world =
        World::new(parties).origin(origin).outputs(ledger(&plan.outputs())).against(against);
    world.run(async |mut session| {
        let me = session.me();
        let mut source = testing::source(&mut session, origin)?;
        let agreed = Agreed::among(plan.clone(), &mut session).await?;
        session.meter().enter("survival");
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
        let result = survival(&agreed, &table(me), &mut run).await?;
        if result.as_ref().is_some_and(|result| result.coarsened == 0) {
            testing::assert_cost(run.session, "survival", &plan.cost(me));
        }
        run.source.finish().await?;
        Ok(result)
    })
}

#[track_caller]
fn close(got: f64, due: &Value) {
    let due = due.as_f64().expect("a number");
    assert!((got - due).abs() <= 1e-7 * due.abs().max(1e-9), "{got} instead of {due}");
}

fn cells(case: &Value) -> Vec<Cells> {
    serde_json::from_value(case["rows"].clone()).expect("rows")
}

#[test]
fn curves_and_tests_are_those_of_the_pooled_rows() {
    let oracle = oracle();
    for (name, groups, how, interval, said) in [
        (
            "gehan",
            &["6-MP", "placebo"][..],
            (2, Origin::Pairwise, Against::Covert),
            Interval::Log,
            "log",
        ),
        (
            "aml",
            &["Maintained", "Nonmaintained"][..],
            (3, Origin::Dealer, Against::Covert),
            Interval::LogLog,
            "loglog",
        ),
        (
            "made up",
            &["a", "b", "c"][..],
            (3, Origin::Pairwise, Against::SemiHonest),
            Interval::Plain,
            "plain",
        ),
        (
            "made up",
            &["a", "b", "c"][..],
            (5, Origin::Dealer, Against::Covert),
            Interval::Log,
            "log",
        ),
    ] {
        let case = &oracle[name];
        let grid: Vec<f64> = serde_json::from_value(case["grid"].clone()).expect("a grid");
        let exact = case["exact"].as_bool().expect("a bit");
        // Published examples are too small for a threshold.
        let asked = SurvivalSettings { interval, ..settings(vec![grid.clone()], exact, 1) };
        for result in run(how, &asked, &columns(groups, false), &cells(case)) {
            let result = result.expect("runs").expect("for all");
            assert_eq!(
                (result.grid.len(), result.exact, result.curves.len()),
                (grid.len(), exact, groups.len())
            );
            for curve in &result.curves {
                let due = &case["curves"][&curve.name];
                for (at, point) in curve.points.iter().enumerate() {
                    close(point.survival, &due["survival"][at]);
                    if due["error"][at].is_null() {
                        assert_eq!((point.std_error, point.low, point.high), (None, None, None));
                        continue;
                    }
                    close(point.std_error.expect("some"), &due["error"][at]);
                    close(point.low.expect("some"), &due[said][at][0]);
                    close(point.high.expect("some"), &due[said][at][1]);
                    // Where the curve of the times as they are lies.
                    let unrounded = due["unrounded"][at].as_f64().expect("a number");
                    let within = point.least - 1e-12..=point.survival + 1e-12;
                    assert!(within.contains(&unrounded), "{unrounded} is not in {within:?}");
                    assert!(!exact || point.least == point.survival);
                }
                assert_eq!(curve.median, due["median"].as_f64());
            }
            let test = result.log_rank.as_ref().expect("groups").test.expect("events");
            close(test.statistic, &case["log_rank"][0]);
            close(test.freedom, &case["log_rank"][1]);
            close(test.p_value, &case["log_rank"][2]);
            let text = result.to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains("log-rank test") && text.contains("median"), "{text}");
        }
    }
}

/// What R prints for `survfit(Surv(time, status) ~ x, aml)`: 31 (18 to NA), 23 (8 to NA); and where a curve stays at
/// one half the middle of two times.
#[test]
fn medians_are_those_of_r() {
    let oracle = oracle();
    let case = &oracle["aml"];
    let grid = serde_json::from_value(case["grid"].clone()).expect("a grid");
    let asked = settings(vec![grid], true, 1);
    let groups = columns(&["Maintained", "Nonmaintained"], false);
    let how = (2, Origin::Dealer, Against::SemiHonest);
    let result = run(how, &asked, &groups, &cells(case)).remove(0);
    let curves = result.expect("runs").expect("for all").curves;
    let medians: Vec<_> =
        curves.iter().map(|curve| (curve.median, curve.median_interval)).collect();
    assert_eq!(medians[0], (Some(31.0), [Some(18.0), None]));
    assert_eq!(medians[1], (Some(23.0), [Some(8.0), None]));
    let flat = [Some(0.75), Some(0.5), Some(0.5), Some(0.25)];
    assert_eq!(median(&[1.0, 2.0, 3.0, 4.0], &flat), Some(3.0));
    assert_eq!(median(&[1.0, 2.0], &[Some(0.9), Some(0.6)]), None);
}

/// On the finest grid events of some interval, without those of a party, are few.
#[test]
fn a_coarser_grid_is_released_or_nothing() {
    let oracle = oracle();
    let case = &oracle["made up"];
    let (fine, coarse) = ((1..=72).map(|i| f64::from(i) * 10.0).collect(), vec![200.0, 400.0]);
    let groups = columns(&["a", "b", "c"], true);
    let how = (3, Origin::Pairwise, Against::Covert);
    let asked = settings(vec![fine, coarse.clone()], false, 5);
    let mut rows = cells(case);
    rows.extend(
        (0..30).map(|i| [["a", "b", "c"][i / 10].to_owned(), String::new(), "1".to_owned()]),
    );
    for result in run(how, &asked, &groups, &rows) {
        let result = result.expect("runs").expect("for all");
        assert_eq!((result.coarsened, &result.grid), (1, &coarse));
        for curve in &result.curves {
            assert_eq!((curve.missing, curve.points.len()), (10, 2));
            assert_eq!(curve.rows, 130);
            let left: u64 = curve.points.iter().map(|point| point.events + point.censored).sum();
            assert_eq!(left + curve.beyond, curve.rows);
        }
        assert!(result.to_string().contains("left out, because some count is too small"));
    }
    let asked = settings(vec![coarse], false, 200);
    for result in run(how, &asked, &groups, &rows) {
        let refused = result.expect_err("withheld");
        assert!(matches!(refused, Error::Withheld(_)), "{refused}");
        assert!(refused.to_string().contains("coarser grid"), "{refused}");
    }
}

#[test]
fn times_that_are_no_points_are_refused_where_they_have_to_be() {
    let asked = settings(vec![vec![30.0, 60.0]], true, 1);
    let rows: Vec<Cells> =
        ["30", "60", "45", "99"].map(|time| ["a".into(), time.into(), "1".into()]).to_vec();
    let groups = columns(&["a", "b"], false);
    let results = run((2, Origin::Dealer, Against::SemiHonest), &asked, &groups, &rows);
    let told = results.into_iter().filter_map(Result::err).map(|error| error.to_string());
    assert!(
        told.into_iter().any(|told| told.contains("no point of the grid") && !told.contains("45"))
    );
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_revealed_is_said() {
    let groups = columns(&["a", "b"], true);
    let plan = |settings: &SurvivalSettings| {
        SurvivalPlan::new(settings, &groups, &[9, 9], Recipients::All, Origin::Pairwise)
    };
    let mut asked = settings(vec![vec![1.0, 2.0], vec![2.0]], false, 5);
    let outputs = plan(&asked).expect("fits").outputs();
    assert_eq!(outputs.iter().map(|it| it.label.as_str()).collect::<Vec<_>>(), [WITHHELD, COUNTS]);
    assert!(outputs[0].what.contains("of 2 grids") && outputs[1].what.contains("2 or 1 intervals"));
    asked.threshold.level = Level::Outsiders;
    assert!(plan(&asked).expect("fits").outputs()[0].what.contains("WARNING"));
    let with = |change: &dyn Fn(&mut SurvivalSettings)| {
        let mut settings = settings(vec![vec![1.0, 2.0]], false, 5);
        change(&mut settings);
        plan(&settings).expect_err("refused").to_string()
    };
    assert!(with(&|it| it.time = "event".into()).contains("column of numbers"));
    assert!(with(&|it| it.event = "time".into()).contains("column of words"));
    assert!(with(&|it| it.happened = "2".into()).contains("no level of event"));
    assert!(with(&|it| it.group = Some("event".into())).contains("column of the event"));
    assert!(with(&|it| it.grids = vec![vec![0.0, 1.0]]).contains("above 0"));
    assert!(with(&|it| it.grids.clear()).contains("1 to 16"));
    assert!(with(&|it| it.grids.push(vec![1.0, 2.0])).contains("part of the grid before"));
    assert!(with(&|it| it.confidence = f64::NAN).contains("0.5 to 0.9999"));
}

/// A table without the column of groups was an index beyond its end.
#[test]
fn rows_of_another_shape_are_refused() {
    let groups = columns(&["a", "b"], true);
    let asked = settings(vec![vec![1.0, 2.0]], false, 5);
    let plan = SurvivalPlan::new(&asked, &groups, &[1, 9], Recipients::All, Origin::Pairwise);
    let plan = plan.expect("fits");
    let told = |schema: Schema, rows: &[&[&str]]| {
        let mut table = Table::builder_without_target(schema);
        rows.iter().for_each(|row| table.push_row(row).expect("fits"));
        own::counts(&plan, &table.finish(), 0).err().map(|error| error.to_string())
    };
    let row: &[&str] = &["a", "1", "1"];
    assert_eq!(told(groups.clone(), &[row]), None);
    let two = told(groups.clone(), &[row, row]).expect("refused");
    assert!(two.contains("2 rows of 3 columns were given, where the plan has 1 of 3"), "{two}");
    let features = groups.features().iter().filter(|it| it.name != "group").cloned().collect();
    let fewer = Schema::new(features, groups.target().clone()).expect("a schema");
    let fewer = told(fewer, &[&["1", "1"]]).expect("refused");
    assert!(fewer.contains("1 rows of 2 columns"), "{fewer}");
}

#[test]
fn what_cannot_be_compared_is_not() {
    let step = |at_risk, events| Step { at_risk, events, censored: 0 };
    assert_eq!(log_rank(&[vec![step(3, 1)]]), None);
    let none = log_rank(&[vec![step(3, 0)], vec![step(3, 0)]]).expect("two groups");
    assert_eq!(none.test, None);
    let alone = log_rank(&[vec![step(3, 1)], vec![step(0, 0)]]).expect("two groups");
    assert_eq!((alone.test, alone.expected), (None, vec![1.0, 0.0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the parties hold: what is released, and everything that is drawn from it, is sums of cells none of
    /// which is small for anybody.
    #[test]
    fn no_small_count_follows_from_curves(
        rows in proptest::collection::vec((0usize..2, 0u32..5, proptest::bool::weighted(0.7)), 20..120),
        parties in 2usize..5,
    ) {
        let text = |(group, time, event): (usize, u32, bool)| -> Cells {
            [["a", "b"][group].to_owned(), time.to_string(), u8::from(event).to_string()]
        };
        let rows: Vec<Cells> = rows.into_iter().map(text).collect();
        let asked = settings(vec![vec![1.0, 2.0, 3.0], vec![2.0]], false, 3);
        let how = (parties, Origin::Dealer, Against::SemiHonest);
        for (me, result) in run(how, &asked, &columns(&["a", "b"], false), &rows).into_iter().enumerate() {
            let Ok(Some(result)) = result else { continue };
            // What this party knows is its own; what is left of each count is none, or three at least.
            let own: Vec<&Cells> = rows.iter().skip(me).step_by(parties).collect();
            for curve in &result.curves {
                let mut low = -1.0;
                let mut at_risk = Vec::new();
                for point in &curve.points {
                    let within = |row: &&&Cells, event: &str| {
                        let time: f64 = row[1].parse().expect("a time");
                        row[0] == curve.name && time > low && time <= point.time && row[2] == event
                    };
                    for (joint, event) in [(point.events, "1"), (point.censored, "0")] {
                        let mine = own.iter().filter(|row| within(row, event)).count() as u64;
                        let left = joint - mine;
                        prop_assert!(left == 0 || left >= 3, "{left} is left of {joint}");
                    }
                    low = point.time;
                    at_risk.push(point.at_risk);
                }
                at_risk.push(curve.beyond);
                for (i, &more) in at_risk.iter().enumerate() {
                    for &less in &at_risk[i..] {
                        let gone = more - less;
                        prop_assert!(gone == 0 || gone >= 3);
                    }
                }
            }
        }
    }
}
