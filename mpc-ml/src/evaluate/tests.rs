//! Evaluations on the rows of several parties against scikit-learn's and statsmodels' of the pooled ones
//! (`scripts/oracles/evaluate.py`), and what is told where counts are small.

use mpc_core::Against;
use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::ThresholdRule;
use mpc_core::testing::{self, Labels, World};
use serde_json::Value;

use super::*;
use crate::artifact::{ModelKind, ModelParts, SecurityRecord, SolverRecord, TrainingRecord};
use crate::data::testing::{categorical, numeric};
use crate::data::{
    BinaryTarget, CountTarget, NumericMissing, NumericTarget, Offset, Scaling, Schema, Target,
};
use crate::model::{Plan, ledger};

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../scripts/oracles/evaluate.json")).expect("JSON")
}

fn word(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Logistic => "logistic",
        ModelKind::Linear | ModelKind::Multinomial => "linear",
        ModelKind::Poisson => "poisson",
    }
}

fn numbers(of: &Value) -> Vec<f64> {
    of.as_array().expect("a list").iter().map(|each| each.as_f64().expect("a number")).collect()
}

/// The model of the oracle of this kind.
fn model(kind: ModelKind) -> Model {
    let features = vec![
        numeric("age", NumericMissing::Refuse, Scaling::None),
        numeric("dose", NumericMissing::Refuse, Scaling::None),
        categorical("sex", &["f", "m"], "f"),
    ];
    let (target, offset) = match kind {
        ModelKind::Logistic => (
            Target::Binary(BinaryTarget {
                column: "outcome".into(),
                positive: "yes".into(),
                negative: "no".into(),
            }),
            None,
        ),
        ModelKind::Linear | ModelKind::Multinomial => {
            (Target::Numeric(NumericTarget { column: "value".into(), range: None }), None)
        }
        ModelKind::Poisson => (
            Target::Count(CountTarget { column: "visits".into(), range: (0.0, 99.0) }),
            Some(Offset { column: "log_time".into(), range: (-5.0, 5.0) }),
        ),
    };
    let weights = numbers(&oracle()["models"][word(kind)]);
    Model::new(ModelParts {
        kind,
        title: "A study".into(),
        study: "study:00".into(),
        schema: Schema::with_offset(features, target, offset).expect("a schema"),
        standardisation: Vec::new(),
        intercept: Some(weights[0]),
        coefficients: weights[1..].to_vec(),
        l2: 0.0,
        inference: None,
        training: training(),
    })
    .expect("a model")
}

/// How a model of these tests came to be.
pub(super) fn training() -> TrainingRecord {
    TrainingRecord {
        solver: SolverRecord::of("optimum", &()),
        iterations: 1,
        rows_used: 600,
        rows_dropped: 0,
        clip: 1024.0,
        checks: Vec::new(),
        security: SecurityRecord { parties: vec![], correlations: "pairwise".into() },
        release_bits: 20,
    }
}

/// Every so many-th row of the oracle is a party's; `most` of them.
fn own(oracle: &Value, model: &Model, (me, parties): (usize, usize), most: usize) -> Table {
    let mut rows = Table::builder(model.schema().clone());
    let all = oracle["rows"].as_array().expect("rows");
    for row in all.iter().skip(me).step_by(parties).take(most) {
        let cells: Vec<&str> = row
            .as_array()
            .expect("cells")
            .iter()
            .map(|cell| cell.as_str().expect("text"))
            .collect();
        let [age, dose, sex, time, outcome, value, visits] = cells[..] else { panic!("{row}") };
        let row = match model.kind() {
            ModelKind::Logistic => vec![age, dose, sex, outcome],
            ModelKind::Linear | ModelKind::Multinomial => vec![age, dose, sex, value],
            ModelKind::Poisson => vec![age, dose, sex, time, visits],
        };
        rows.push_row(&row).expect("cells that fit");
    }
    rows.finish()
}

thread_local! {
    /// What the first party of the last worlds released.
    static RELEASED: Labels = Labels::default();
}

fn evaluated(
    kind: ModelKind,
    (parties, origin, against): (usize, Origin, Against),
    settings: &EvaluateSettings,
    most: usize,
) -> Vec<Result<Evaluation, Error>> {
    let (oracle, model) = (oracle(), model(kind));
    let table = |me: usize| own(&oracle, &model, (me, parties), most);
    let rows: Vec<u64> = (0..parties).map(|me| table(me).rows() as u64).collect();
    let plan = EvaluatePlan::new(settings, &model, "00", &rows, origin).expect("fits");
    let world =
        World::new(parties).origin(origin).against(against).outputs(ledger(&plan.outputs()));
    let _ = RELEASED.with(Labels::take);
    world.run(async |mut session| {
        let me = session.me();
        let mut source = testing::source(&mut session, origin)?;
        let agreed = Agreed::among(plan.clone(), &mut session).await?;
        if me == 0 {
            session.record_releases(Box::new(RELEASED.with(Clone::clone)));
        }
        session.meter().enter("evaluate");
        let (progress, table) = (&mut |_| {}, table(me));
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let result = evaluate(&agreed, &model, &table, &mut run).await?;
        if me == 0 && !result.coarsened {
            let labels = RELEASED.with(Labels::all);
            let told = labels.iter().filter(|label| label.contains("calibration")).count();
            testing::assert_cost(run.session, "evaluate", &plan.cost_of(me, told));
        }
        run.source.finish().await?;
        Ok(result)
    })
}

#[track_caller]
fn close(got: f64, due: &Value, tolerance: f64) {
    let due = due.as_f64().expect("a number");
    assert!((got - due).abs() <= tolerance * due.abs().max(1.0), "{got} instead of {due}");
}

#[track_caller]
fn estimated(got: Option<Estimate>, due: &Value, tolerance: f64) {
    let got = got.expect("a line");
    close(got.estimate, &due[0], tolerance);
    close(got.std_error, &due[1], tolerance);
    assert!(got.low < got.estimate && got.estimate < got.high);
}

#[track_caller]
fn grouped(got: &[Group], due: &Value, tolerance: f64) {
    assert_eq!(got.len(), due.as_array().expect("groups").len());
    for (at, group) in got.iter().enumerate() {
        assert_eq!(Some(group.rows), due[at][0].as_u64());
        assert!(group.positives.is_none() || group.positives == due[at][1].as_u64());
        close(group.predicted.expect("rows"), &due[at][2], tolerance);
        close(group.observed.expect("rows"), &due[at][3], tolerance);
    }
}

fn settings(kind: ModelKind, least: u32) -> EvaluateSettings {
    EvaluateSettings {
        cuts: Some(numbers(&oracle()[word(kind)]["cuts"])),
        threshold: ThresholdRule { least, ..ThresholdRule::default() },
    }
}

/// The area to 1e-4, all else to more.
#[test]
fn probabilities_are_scored_as_if_the_rows_were_pooled() {
    let (kind, due) = (ModelKind::Logistic, &oracle()["logistic"]);
    for (parties, origin, against) in [
        (2, Origin::Pairwise, Against::SemiHonest),
        (3, Origin::Pairwise, Against::Covert),
        (5, Origin::Dealer, Against::Covert),
    ] {
        let results = evaluated(kind, (parties, origin, against), &settings(kind, 1), usize::MAX);
        for result in results {
            let result = result.expect("runs");
            let Figures::Logistic(of) = &result.figures else { panic!("{result:?}") };
            let area = of.auc.expect("both classes");
            assert!((area.auc - due["auc"].as_f64().expect("a number")).abs() < 1e-4, "{area:?}");
            let error = area.std_error.expect("rows of both classes");
            // 1e-4 at the ends of the interval.
            let off = (error - due["auc_error"].as_f64().expect("a number")).abs();
            assert!(off < 5e-5, "{area:?}");
            close(of.brier, &due["brier"], 1e-7);
            close(of.log_loss, &due["log_loss"], 1e-7);
            close(of.null_log_loss, &due["null_log_loss"], 1e-12);
            close(of.deviance, &due["deviance"], 1e-7);
            estimated(result.calibration.intercept, &due["line"][0], 1e-6);
            estimated(result.calibration.slope, &due["line"][1], 1e-6);
            estimated(result.calibration.in_the_large, &due["in_the_large"][0], 1e-6);
            grouped(&result.groups, &due["groups"], 1e-6);
            assert_eq!(of.roc.len(), 4);
            for (point, at) in of.roc.iter().rev().zip(0..) {
                close(point.threshold, &due["cuts"][at], 1e-12);
                close(point.sensitivity, &due["sensitivity"][at], 1e-12);
                close(point.specificity, &due["specificity"][at], 1e-12);
            }
            let text = result.to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains("Calibration slope") && text.contains("sensitivity"), "{text}");
            // What is written is read again.
            let json = serde_json::to_string(&result).expect("JSON");
            assert_eq!(serde_json::from_str::<Evaluation>(&json).expect("the same"), result);
        }
    }
}

#[test]
fn numbers_and_counts_are_scored_as_if_the_rows_were_pooled() {
    for (kind, parties, origin) in [
        (ModelKind::Linear, 3, Origin::Pairwise),
        (ModelKind::Poisson, 2, Origin::Dealer),
        (ModelKind::Poisson, 4, Origin::Pairwise),
    ] {
        let due = &oracle()[word(kind)];
        let with = (parties, origin, Against::Covert);
        for result in evaluated(kind, with, &settings(kind, 1), usize::MAX) {
            let result = result.expect("runs");
            match &result.figures {
                Figures::Linear(of) => {
                    close(of.r2.expect("varies"), &due["r2"], 1e-7);
                    close(of.rmse, &due["rmse"], 1e-7);
                    close(of.mae, &due["mae"], 1e-6);
                }
                Figures::Poisson(of) => {
                    close(of.deviance, &due["deviance"], 1e-7);
                    close(of.null_deviance, &due["null_deviance"], 1e-7);
                    close(of.rmse, &due["rmse"], 1e-6);
                    close(of.mae, &due["mae"], 1e-6);
                }
                Figures::Logistic(_) => panic!("{result:?}"),
            }
            estimated(result.calibration.intercept, &due["line"][0], 2e-6);
            estimated(result.calibration.slope, &due["line"][1], 2e-6);
            estimated(result.calibration.in_the_large, &due["in_the_large"][0], 2e-6);
            grouped(&result.groups, &due["groups"], 1e-6);
            let text = result.to_string();
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}

/// Groups of the model's own scores where none are named; coarser ones where those have a small count; nothing but
/// that where a class is small.
#[test]
fn coarser_groups_are_released_or_none() {
    let kind = ModelKind::Logistic;
    let with = (3, Origin::Dealer, Against::Covert);
    let threshold = |least| ThresholdRule { least, ..ThresholdRule::default() };
    let asked = EvaluateSettings { cuts: None, threshold: threshold(1) };
    let result = evaluated(kind, with, &asked, usize::MAX).remove(0).expect("runs");
    assert_eq!((result.groups.len(), result.coarsened), (10, false));
    assert!(result.groups.iter().all(|group| (40..80).contains(&group.rows)), "{result:?}");
    let asked = EvaluateSettings { cuts: None, threshold: threshold(20) };
    for result in evaluated(kind, with, &asked, usize::MAX) {
        let result = result.expect("runs");
        assert!(result.coarsened && result.groups.len() < 10, "{result:?}");
        assert!(result.to_string().contains("Finer groups have a small count"));
        let Figures::Logistic(of) = &result.figures else { panic!("{result:?}") };
        close(of.brier, &oracle()["logistic"]["brier"], 1e-7);
        // What is told is 0, or above the threshold without the rows of any party.
        let least = result.groups.iter().flat_map(|group| {
            let positives = group.positives.expect("classes");
            [positives, group.rows - positives]
        });
        assert!(least.into_iter().all(|count| count == 0 || count >= 20));
    }
    let asked = EvaluateSettings { cuts: None, threshold: threshold(150) };
    for result in evaluated(kind, with, &asked, usize::MAX) {
        let refused = result.expect_err("withheld");
        assert!(matches!(refused, Error::Withheld(_)), "{refused}");
        assert!(refused.to_string().contains("threshold of 150"), "{refused}");
    }
    assert_eq!(RELEASED.with(Labels::take), [SCORES, WITHHELD]);
}

/// Where all scores are alike there is nothing to rank and no line, and the rest is told.
#[test]
fn a_model_of_nothing_is_evaluated_too() {
    let kind = ModelKind::Logistic;
    let (oracle, model) = (oracle(), model(kind));
    let json = model.to_json().expect("JSON").replace("0.07", "0.0").replace("0.35", "0.0");
    let model = Model::from_json(json.replace("0.4", "0.0").as_bytes()).expect("a model");
    let plan = EvaluatePlan::new(
        &EvaluateSettings {
            cuts: None,
            threshold: ThresholdRule { least: 1, ..Default::default() },
        },
        &model,
        "00",
        &[300, 300],
        Origin::Dealer,
    );
    let plan = plan.expect("fits");
    let world = World::new(2).origin(Origin::Dealer).outputs(ledger(&plan.outputs()));
    let results = world.run(async |mut session| {
        let mut source = testing::source(&mut session, Origin::Dealer)?;
        let agreed = Agreed::among(plan.clone(), &mut session).await?;
        let table = own(&oracle, &model, (session.me(), 2), usize::MAX);
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
        let result = evaluate(&agreed, &model, &table, &mut run).await?;
        source.finish().await?;
        Ok::<_, Error>(result)
    });
    for result in results {
        let result = result.expect("runs");
        let Figures::Logistic(of) = &result.figures else { panic!("{result:?}") };
        assert_eq!(of.auc.expect("both classes").auc, 0.5);
        assert_eq!((result.calibration.slope, result.score_deviation), (None, 0.0));
        assert!(result.calibration.in_the_large.is_some());
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_sent() {
    let model = model(ModelKind::Logistic);
    let plan = |settings: &EvaluateSettings, rows: &[u64]| {
        EvaluatePlan::new(settings, &model, "00", rows, Origin::Pairwise)
    };
    let usual = EvaluateSettings::default();
    let labels: Vec<String> =
        plan(&usual, &[9, 9]).expect("fits").outputs().into_iter().map(|of| of.label).collect();
    assert_eq!(labels.len(), 6 + STEPS);
    assert_eq!((labels[0].as_str(), labels[2].as_str()), (SCORES, "evaluate/calibration 1"));
    let refused = |settings: &EvaluateSettings, rows: &[u64]| {
        plan(settings, rows).expect_err("refused").to_string()
    };
    assert!(refused(&usual, &[9]).contains("at least two parties"));
    assert!(refused(&usual, &[9, 4]).contains("below the threshold of 5"));
    assert!(refused(&usual, &[1 << 21, 9]).contains("more than 2097152"));
    for cuts in [vec![], vec![0.5, 0.4], vec![0.0], vec![0.5, 1.0], vec![f64::NAN]] {
        let settings = EvaluateSettings { cuts: Some(cuts), ..usual.clone() };
        assert!(refused(&settings, &[9, 9]).contains("ascending"));
    }
    // A cell that the model can make nothing of.
    let mut rows = Table::builder(model.schema().clone());
    rows.push_row(&["60", "1", "f", "yes"]).expect("fits");
    rows.push_row(&["60000", "1", "f", "yes"]).expect("fits");
    let one =
        EvaluateSettings { threshold: ThresholdRule { least: 1, ..Default::default() }, ..usual };
    let plan = plan(&one, &[2, 2]).expect("fits");
    let refused = |rows: &Table, model: &Model| {
        Own::of(&plan, model, rows, 0).err().expect("refused").to_string()
    };
    let error = refused(&rows.finish(), &model);
    assert!(error.contains("row 2 (counted from 1"), "{error}");
    // Rows of another shape, or without what they are compared with.
    let mut none = Table::builder_without_target(model.schema().clone());
    none.push_row(&["60", "1", "f"]).expect("fits");
    none.push_row(&["61", "1", "f"]).expect("fits");
    let error = refused(&none.finish(), &model);
    assert!(error.contains("rows without a target were given"), "{error}");
    let error = refused(&Table::builder(model.schema().clone()).finish(), &model);
    assert!(error.contains("0 rows of 3 columns were given, where the plan has 2 of 3"), "{error}");
}
