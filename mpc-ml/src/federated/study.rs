//! Federated averaging as a model that a study can ask for (docs/protocols.md 19).

use std::time::Duration;

use mpc_core::aggregate::{self, FRACTION};
use mpc_core::{Cost, Recipients, offload};
use serde::{Deserialize, Serialize};

use super::run::{Begun, rounds};
use super::{Family, Fitted, Joint, Member, OwnRows, Terms, run};
use crate::artifact::ModelKind;
use crate::data::{Dataset, Schema};
use crate::error::Error;
use crate::model::{
    Agreed, Canonical, Facts, Figures, Model, Output, Plan, Progress, Run, Settings, Summary,
    has_features, in_range,
};

/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// An encoded value beyond it is refused.
const LARGEST: f64 = 65_536.0;
/// The part of the gradient that may be left in the end without a word.
const LEFT: f64 = 0.01;

/// Federated averaging: no shares, a public joint model after each round.
#[derive(Debug)]
pub struct Federated;

/// What a study says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedSettings {
    /// What is predicted.
    pub kind: ModelKind,
    /// The L2 penalty: the mean loss and (l2 / 2) |w|^2, the intercept not penalised. Above 0, at most 1000.
    pub l2: f64,
    /// How many rounds there are, each with a joint model that all see. From 1 to 10000.
    #[serde(default = "twenty")]
    pub rounds: u32,
    /// The steps of a party on its own rows in each. From 1 to 10000.
    #[serde(default = "twenty")]
    pub own_steps: u32,
    /// How few parties a round may be of: more than half of them, and three of three or more. If left out all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_parties: Option<u32>,
    /// With how many parties a round is ended that others fall out of: more than half of them, and no more than `least_parties`. It then
    /// protects from fewer than so many that pool what they see. If left out a round that somebody falls out of begins anew without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// How many seconds a party that is late is waited for: more than what one needs longer for its own steps than
    /// another one. From 1 to 3600.
    #[serde(default = "minute")]
    pub patience_s: u32,
}

fn twenty() -> u32 {
    20
}

fn minute() -> u32 {
    60
}

impl Settings for FederatedSettings {
    fn validate(&self) -> Result<(), Error> {
        in_range("l2", self.l2, 1e-12, 1e3)?;
        in_range("rounds", f64::from(self.rounds), 1.0, 1e4)?;
        in_range("own_steps", f64::from(self.own_steps), 1.0, 1e4)?;
        in_range("patience_s", f64::from(self.patience_s), 1.0, 3600.0)
    }

    /// Nothing is cut: what is beyond is refused.
    fn clip(&self) -> f64 {
        LARGEST
    }
}

/// What follows from it and from public facts.
#[derive(Clone, Debug)]
pub struct FederatedPlan {
    settings: FederatedSettings,
    facts: Facts,
    terms: Terms,
}

impl FederatedPlan {
    /// What the parties agree on.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }
}

/// The family of a kind of model, for a target of so many levels where it has levels.
fn family(kind: ModelKind, levels: Option<u32>) -> Result<Family, Error> {
    match kind {
        ModelKind::Multinomial => {
            let levels = levels.ok_or_else(|| Error::field("target", "has no levels"))? as usize;
            Ok(Family::Multinomial { levels })
        }
        ModelKind::Linear => Ok(Family::Linear),
        ModelKind::Logistic => Ok(Family::Logistic),
        ModelKind::Poisson => {
            Err(Error::field("kind", "is \"poisson\", which federated averaging does not fit"))
        }
    }
}

impl Plan for FederatedPlan {
    fn outputs(&self) -> Vec<Output> {
        self.terms.outputs()
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new(Federated::NAME, ARITHMETIC)
            .with(&self.settings)?
            .with(&self.facts)?
            .field("names of the columns", &self.facts.names)
    }

    fn cost(&self, me: usize) -> Cost {
        let parties = self.terms.rows.len();
        let round = self.terms.aggregation().cost(me, parties);
        round * self.terms.rounds + aggregate::Terms::closing(me, parties)
    }

    fn figures(&self) -> Figures {
        let Terms { rounds, steps, least, threshold, patience, .. } = &self.terms;
        let precision = vec![
            "the model is near the optimum, not at it, so there are no standard errors; how much of the joint \
             gradient is left is told in the end"
                .to_owned(),
            format!("parts of a sum are rounded to steps of 2^-{FRACTION}, and their sum is exact"),
        ];
        let mut accuracy = vec![
            format!("{rounds} rounds of {steps} own steps"),
            format!("no fewer than {least} parties in a round"),
            format!("{} s for a party that is late", patience.as_secs()),
        ];
        accuracy.extend(threshold.map(|threshold| {
            format!("{threshold} parties end a round that others fall out of, and {threshold} that pool can read any part")
        }));
        Figures { steps: *rounds, precision, accuracy, ..Figures::default() }
    }
}

/// The result of the rounds, as each party has it.
#[derive(Clone, Debug)]
pub struct FederatedFit {
    fitted: Fitted,
    /// The names of the parties.
    names: Vec<String>,
}

impl Model for Federated {
    type Settings = FederatedSettings;
    type Plan = FederatedPlan;
    type Fitted = Begun;
    type Fit = FederatedFit;

    const NAME: &'static str = "federated";
    const KINDS: &'static [ModelKind] =
        &[ModelKind::Linear, ModelKind::Logistic, ModelKind::Multinomial];

    fn suits(settings: &FederatedSettings, schema: &Schema, to: Recipients) -> Result<(), Error> {
        family(settings.kind, u32::try_from(schema.target().scores()).ok())?;
        has_features(schema)?;
        if schema.offset().is_some() {
            return Err(Error::field("offset", "has no place in a federated study: remove it"));
        }
        if to != Recipients::All {
            let rule = "must be \"all\" in a federated study: every party starts its next round from the \
                        joint model, so all know it";
            return Err(Error::field("recipients", rule));
        }
        Ok(())
    }

    fn plan(settings: &FederatedSettings, facts: &Facts) -> Result<FederatedPlan, Error> {
        settings.validate()?;
        let rows = facts.rows_for::<Self>()?;
        if facts.recipients != Recipients::All {
            return Err(Error::field("recipients", "must be \"all\" in a federated study"));
        }
        let parties = rows.len();
        let terms = Terms {
            family: family(settings.kind, facts.levels)?,
            columns: facts.names.clone(),
            l2: settings.l2,
            steps: settings.own_steps,
            rounds: u64::from(settings.rounds),
            threshold: settings.threshold.map(|threshold| threshold as usize),
            least: settings.least_parties.map_or(parties, |least| least as usize),
            patience: Duration::from_secs(u64::from(settings.patience_s)),
            rows,
        };
        if terms.columns.len() != facts.columns() {
            return Err(Error::field("features", "have no names"));
        }
        terms.validate()?;
        Ok(FederatedPlan { settings: settings.clone(), facts: facts.clone(), terms })
    }

    /// Takes the own rows, and the state of an earlier run. No rounds.
    async fn fit(
        plan: &Agreed<FederatedPlan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Begun, Error> {
        let me = run.session.me();
        data.check(&plan.facts, me, f64::INFINITY)?;
        data.check_plain()?;
        if data.clipped() > 0 {
            return Err(Error::Data(format!(
                "{} encoded values of this party are beyond +-{LARGEST}, and nothing is cut in a federated study: \
                 look for wrong cells, or give the features that they are of a scale",
                data.clipped()
            )));
        }
        let rows = OwnRows::new(&plan.terms, me, data.rows().x(), data.rows().y())?;
        let terms = plan.terms.clone();
        let member = offload(move || Member::new(&terms, me, rows)).await?;
        let plan_digest = plan.digest();
        let mut begun = Begun { member, joint: Joint::new(&plan.terms), plan: plan_digest };
        if let Some(state) = run.resumed(&plan_digest)? {
            if !begun.goes_on_from(&plan.terms, &state) {
                let what = "the state that was kept of an earlier run is none of this fit";
                return Err(Error::Unusable(what.to_owned()));
            }
            run.goes_on(state.step, plan.terms.rounds);
        }
        (run.progress)(Progress::Prepared);
        Ok(begun)
    }

    /// The rounds.
    async fn release(
        plan: &Agreed<FederatedPlan>,
        begun: Begun,
        _: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<FederatedFit>, Error> {
        let (session, total) = (&mut *run.session, plan.terms.rounds);
        let production = run.source.production();
        let mut heard = |progress| {
            let progress = match progress {
                run::Progress::Round { round, members } => {
                    (run.progress)(Progress::Members { round, members });
                    Progress::Step { done: round, total, production }
                }
                run::Progress::Behind { round } => Progress::Behind { round },
                run::Progress::Lost(loss) => Progress::Lost { party: loss.party },
            };
            (run.progress)(progress);
        };
        let fitted = rounds(&plan.terms, begun, session, &mut heard).await?;
        let names = (0..session.parties()).map(|party| session.name(party)).collect();
        Ok(Some(FederatedFit { fitted, names }))
    }

    fn summary(plan: &FederatedPlan, fit: FederatedFit) -> Summary {
        let FederatedFit { fitted, names } = fit;
        let unit = libm::ldexp(1.0, FRACTION as i32);
        let rounded = fitted.joint.model.iter().map(|w| libm::round(w * unit) / unit).collect();
        let mut warnings = Vec::new();
        for (party, name) in names.iter().enumerate() {
            let members = fitted.joint.members.iter();
            let away = members.filter(|members| !members.contains(party)).count();
            if away > 0 {
                let rounds = plan.terms.rounds;
                warnings.push(format!("{name} was not in {away} of {rounds} rounds"));
            }
        }
        for class in fitted.joint.empty_classes(&plan.terms) {
            let what = match plan.terms.family {
                Family::Multinomial { levels } => {
                    format!("is level {} of {levels} of the target", class + 1)
                }
                _ => format!("has the target {class}"),
            };
            warnings.push(format!(
                "no row of the parties of the first round {what}: the model can only say that there are none, and its \
                 coefficients grow with each round"
            ));
        }
        if fitted.left > LEFT {
            warnings.push(format!(
                "the joint gradient at the model before the last one has {:.1} % of its length at the beginning: \
                 the model may be far from the optimum, and more rounds come nearer",
                100.0 * fitted.left
            ));
        }
        let lost = fitted.lost.iter().map(|loss| format!("lost on the way: {}", loss.why));
        Summary {
            release_bits: FRACTION,
            l2: plan.settings.l2,
            warnings,
            own_warnings: lost.collect(),
            // Of several classes the intercepts are several.
            ..Summary::of(rounded, plan.terms.family.scores() == 1)
        }
    }
}
