//! The joint mean of one column: the smallest model there is, whole in one file. It is explained
//! line by line in docs/your-first-model.md; larger models have the same parts in files of their own.
//!
//! Each party adds up its own targets and divides by the public number of all rows: the parties'
//! quotients *are* their shares of the joint mean. So nothing is multiplied on shares, and the only
//! message is the one that reveals the mean.

use mpc_core::ring::wire::element_bytes;
use mpc_core::{Cost, Fixed, Recipients};
use serde::{Deserialize, Serialize};

use crate::artifact::ModelKind;
use crate::data::{Dataset, Schema};
use crate::error::Error;
use crate::model::{
    Agreed, Canonical, Facts, Figures, Model, Output, Plan, Progress, Run, Settings, Summary,
    in_range, steps,
};

/// The output that reveals the mean.
pub const MEAN: &str = "mean";

/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// Fractional bits of the shares.
const FRACTION: u32 = 60;

/// The joint mean of the target: a linear model without features.
#[derive(Debug)]
pub struct Mean;

/// What a study says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanSettings {
    /// Binary digits after the point of the revealed mean. From 0 to 40.
    pub release_bits: u32,
}

impl Settings for MeanSettings {
    fn validate(&self) -> Result<(), Error> {
        in_range("release_bits", f64::from(self.release_bits), 0.0, 40.0)
    }

    /// There are no encoded values to cut.
    fn clip(&self) -> f64 {
        1.0
    }
}

/// What follows from it and from public facts.
#[derive(Clone, Debug)]
pub struct MeanPlan {
    settings: MeanSettings,
    facts: Facts,
    /// Rows of each party.
    rows: Vec<u64>,
    /// Every target lies in it.
    range: (f64, f64),
}

impl Plan for MeanPlan {
    fn outputs(&self) -> Vec<Output> {
        let what = format!(
            "the mean of the target over all parties' rows, in {}",
            steps(self.settings.release_bits)
        );
        let mut why = "it is the purpose of the study".to_owned();
        if self.rows.len() == 2 {
            why += ". WARNING: with two parties, each can subtract its own part and learns the \
                    other's mean";
        }
        vec![Output::result(MEAN, self.facts.recipients, what, why)]
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new(Mean::NAME, ARITHMETIC).with(&self.settings)?.with(&self.facts)
    }

    fn cost(&self, me: usize) -> Cost {
        let bits = 128 - (FRACTION - self.settings.release_bits);
        Cost::to_all(me, self.rows.len(), 1, element_bytes(bits) as u64).results(1)
    }

    fn figures(&self) -> Figures {
        let unit = libm::ldexp(1.0, -(self.settings.release_bits as i32));
        let precision = vec![format!("the mean is released in steps of {unit:.1e}")];
        Figures { precision, ..Figures::default() }
    }
}

impl Model for Mean {
    type Settings = MeanSettings;
    type Plan = MeanPlan;
    type Fitted = Fixed;
    type Fit = f64;

    const NAME: &'static str = "mean";
    const KINDS: &'static [ModelKind] = &[ModelKind::Linear];

    fn suits(_: &MeanSettings, schema: &Schema, _: Recipients) -> Result<(), Error> {
        if !schema.features().is_empty() {
            return Err(Error::field("features", "have no place here: the mean is the target's"));
        }
        if schema.offset().is_some() {
            return Err(Error::field("offset", "has no place here: remove it"));
        }
        Ok(())
    }

    fn plan(settings: &MeanSettings, facts: &Facts) -> Result<MeanPlan, Error> {
        settings.validate()?;
        let rows = facts.rows_for::<Mean>()?;
        if facts.columns() > 0 {
            return Err(Error::field("features", "have no place here: the mean is the target's"));
        }
        let range = facts
            .target
            .ok_or_else(|| Error::field("target", "needs a range that holds all its values"))?;
        // Shares mod 2^128 with 60 fractional bits hold a mean of 2^50 and more.
        in_range("target.range", range.0, -1e15, 1e15)?;
        in_range("target.range", range.1, -1e15, 1e15)?;
        Ok(MeanPlan { settings: settings.clone(), facts: facts.clone(), rows, range })
    }

    async fn fit(
        plan: &Agreed<MeanPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        data.check(&plan.facts, run.session.me(), f64::INFINITY)?;
        data.check_plain()?;
        let (low, high) = plan.range;
        let own: f64 = data.target().iter().map(|y| y.clamp(low, high)).sum();
        (run.progress)(Progress::Prepared);
        let part = own / plan.facts.total_rows() as f64;
        Ok(Fixed::own_part(&[part], 1, 1, FRACTION)?)
    }

    async fn release(
        plan: &Agreed<MeanPlan>,
        mean: Fixed,
        _: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<f64>, Error> {
        let bits = plan.settings.release_bits;
        let revealed = run.session.reveal_fixed(MEAN, &mean, bits).await?;
        Ok(revealed.and_then(|values| values.first().copied()))
    }

    fn summary(plan: &MeanPlan, mean: f64) -> Summary {
        let release_bits = plan.settings.release_bits;
        Summary { intercept: Some(mean), release_bits, ..Summary::default() }
    }
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;
    use mpc_core::correlations::dealer::DealerSource;
    use mpc_core::testing::World;

    use super::*;
    use crate::model::ledger;
    use crate::rows::Rows;

    fn facts(rows: &[u64]) -> Facts {
        let facts = Facts::horizontal(rows, Vec::new(), Origin::Dealer);
        Facts { target: Some((-100.0, 100.0)), ..facts }
    }

    #[test]
    fn it_is_the_mean_of_all_rows() {
        for parties in [2, 3, 5] {
            let own = |party: usize| (0..3 + party).map(move |i| (7 * party + i) as f64 / 8.0);
            let rows: Vec<u64> = (0..parties).map(|party| 3 + party as u64).collect();
            let settings = MeanSettings { release_bits: 30 };
            let plan = Mean::plan(&settings, &facts(&rows)).expect("fits");
            let world = World::new(parties).with_dealer().outputs(ledger(&plan.outputs()));
            let means = world.run(async |mut session| {
                let me = session.me();
                let data = Rows::new(Vec::new(), own(me).collect(), 0).into();
                let mut source = DealerSource::start(&mut session)?;
                let plan = Agreed::among(plan.clone(), &mut session).await?;
                session.meter().enter("mean");
                let (source, progress) = (&mut source, &mut |_| {});
                let mut run = Run { session: &mut session, source, progress };
                let mean = Mean::fit(&plan, &data, &mut run).await?;
                let mean = Mean::release(&plan, mean, &data, &mut run).await?;
                let phase = run.session.meter().phase("mean");
                let cost = plan.cost(me).under(run.session.against(), me);
                assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
                run.source.finish().await?;
                Ok::<_, Error>(mean)
            });
            let all: Vec<f64> = (0..parties).flat_map(own).collect();
            let expected = all.iter().sum::<f64>() / all.len() as f64;
            for mean in means {
                let mean = mean.expect("runs").expect("is for everybody");
                assert!((mean - expected).abs() < 1e-8, "{mean} instead of {expected}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let settings = MeanSettings { release_bits: 30 };
        let refused = |settings: &MeanSettings, facts: &Facts| {
            Mean::plan(settings, facts).expect_err("refused").to_string()
        };
        let no_range = Facts { target: None, ..facts(&[2, 3]) };
        assert!(refused(&settings, &no_range).contains("target needs a range"));
        assert!(refused(&settings, &facts(&[2])).contains("two parties"));
        let wide = MeanSettings { release_bits: 50 };
        assert!(refused(&wide, &facts(&[2, 3])).contains("release_bits is 50"));
        let columns = Facts::horizontal(&[2, 3], vec![1.0], Origin::Dealer);
        assert!(refused(&settings, &columns).contains("features"));
    }
}
