//! Three clinics in one process describe their patients together: by treatment, without anybody's rows,
//! and without a count that is too small. No dealer is needed.

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::World;
use mpc_core::{Error as CoreError, Recipients};
use mpc_ml::data::{
    BinaryTarget, Categorical, CategoricalMissing, Feature, FeatureKind, Numeric, NumericMissing,
    Scaling, Schema, Table, Target,
};
use mpc_ml::describe::{DescribePlan, DescribeSettings, describe};
use mpc_ml::model::{Plan, Run, ledger};
use mpc_ml::{Agreed, Error};

fn words(name: &str, levels: &[&str]) -> Feature {
    let kind = Categorical {
        levels: levels.iter().map(ToString::to_string).collect(),
        base: levels[0].into(),
        missing: CategoricalMissing::Refuse,
    };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

fn numbers(name: &str, range: (f64, f64)) -> Feature {
    let missing = NumericMissing::Value(range.0);
    let kind = Numeric { range: Some(range), missing, indicator: false, scale: Scaling::None };
    Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
}

/// Public: the columns.
fn columns() -> Schema {
    let features = vec![
        words("treatment", &["usual", "new"]),
        words("sex", &["f", "m"]),
        numbers("age", (18.0, 100.0)),
        numbers("pressure", (60.0, 220.0)),
    ];
    let target = Target::Binary(BinaryTarget {
        column: "not looked at".into(),
        positive: "yes".into(),
        negative: "no".into(),
    });
    Schema::new(features, target).expect("a schema")
}

/// Private: 40 made-up patients of a clinic, some of whose blood pressure is not known.
fn patients(clinic: usize) -> Table {
    let mut rows = Table::builder_without_target(columns());
    for i in 0..40 {
        let noise = ((i * 7919 + clinic * 104_729) % 1009) as f64 / 1009.0;
        let (treatment, sex) = (["usual", "new"][i % 2], ["f", "m"][i / 2 % 2]);
        let age = format!("{:.1}", 40.0 + 50.0 * noise);
        let pressure = 110.0 + 40.0 * noise - 8.0 * (i % 2) as f64 + 3.0 * clinic as f64;
        let pressure = if i % 5 == 4 { String::new() } else { format!("{pressure:.1}") };
        rows.push_row(&[treatment, sex, &age, &pressure]).expect("cells that fit");
    }
    rows.finish()
}

/// What each clinic learns.
fn described() -> Result<Vec<String>, Error> {
    let settings = DescribeSettings {
        group: Some("treatment".into()),
        correlations: true,
        ..DescribeSettings::default()
    };
    let plan =
        DescribePlan::new(&settings, &columns(), &[40; 3], Recipients::All, Origin::Pairwise)?;
    let world = World::new(3).outputs(ledger(&plan.outputs()));
    let results = world.run(async |mut session| {
        let table = patients(session.me());
        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let mut run = Run { session: &mut session, source: &mut source, progress: &mut |_| {} };
        let description = describe(&plan, &table, &mut run).await?;
        source.finish().await?;
        let none = || Error::from(CoreError::Internal("the result is for all".to_owned()));
        description.map(|it| it.to_string()).ok_or_else(none)
    });
    results.into_iter().collect()
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Error> {
    let all = described()?;
    assert!(all.iter().all(|one| *one == all[0]), "all learn the same");
    print!("{}", all[0]);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_learn_the_same_table() {
        let all = super::described().expect("runs");
        assert_eq!(all[0], all[2]);
        assert!(
            all[0].contains("pressure, mean (SD)") && all[0].contains("  missing"),
            "{}",
            all[0]
        );
    }
}
