//! Cross-validation of the penalty on shares: fits of all rows but those of one fold, of which nobody sees the
//! coefficients, and the loss of all held-out rows together (docs/protocols.md 8.12).

use mpc_core::{Cost, Fixed, Session, rand};

use super::fit::{self, RowsShares};
use super::folds::CrossValidation;
use super::held::{LOSS_FRACTION, Losses};
use super::plan::RowsPlan;
use super::settings::{Finish, GlmSettings};
use crate::artifact::CheckRecord;
use crate::data::Dataset;
use crate::error::Error;
use crate::model::{Canonical, Facts, Figures, Orders, Output, OutputKind, Plan, Run};

/// The losses of all held-out rows, by penalty.
pub const HELD_OUT: &str = "held-out losses";
/// Fractional bits of these.
const TOLD_FRACTION: u32 = 8;
/// How far a fit of a fold may be from its optimum, in standard errors, and its most passes.
const NEAR: f64 = 0.02;
const PASSES: u32 = 20;
/// The version of the arithmetic, and of the rule for folds.
const ARITHMETIC: u32 = 1;

/// Fits of folds, and a fit of all rows for each penalty that may be chosen.
#[derive(Clone, Debug)]
pub struct CrossPlan {
    pub(super) cross: CrossValidation,
    folds: Vec<Fold>,
    /// By penalty.
    pub(super) fits: Vec<RowsPlan>,
    losses: Losses,
}

/// One fold.
#[derive(Clone, Debug)]
struct Fold {
    /// Held-out rows of each party.
    held: Vec<u64>,
    /// By penalty.
    fits: Vec<RowsPlan>,
}

/// What was found of the penalties, and the fit with the best one.
#[derive(Debug)]
pub struct CrossShares {
    pub(super) chosen: usize,
    pub(super) losses: Vec<f64>,
    pub(super) shares: RowsShares,
}

/// What the labels of a fit without a fold begin with.
pub(in crate::models) fn prefix(fold: usize, l2: f64) -> String {
    format!("fold {}, l2 {l2}: ", fold + 1)
}

impl CrossValidation {
    /// What is told: by each fit without a fold (by fold, then by penalty), of all held-out rows, and by `chosen`, a fit of
    /// all rows. `figure` and `least` say what held-out rows are compared by, whole and in a word.
    pub(in crate::models) fn outputs<'p, P: Plan + 'p>(
        &self,
        folds: impl Iterator<Item = &'p [P]>,
        chosen: &P,
        (figure, least): (&str, &str),
    ) -> Vec<Output> {
        let mut list = Vec::new();
        for (fold, fits) in folds.enumerate() {
            for (plan, l2) in fits.iter().zip(&self.l2) {
                // Its coefficients are shown to nobody.
                let told = plan.outputs().into_iter().filter(|it| it.kind != OutputKind::Result);
                list.extend(told.map(|it| Output {
                    label: prefix(fold, *l2) + &it.label,
                    what: format!("of the fit without one fold: {}", it.what),
                    ..it
                }));
            }
        }
        list.push(Output::figure(
            HELD_OUT,
            format!(
                "for each of {} penalties the {figure} of all rows together, each row predicted by the fit \
                 without its fold of {}; no fit of a fold is shown",
                self.l2.len(),
                self.folds
            ),
            format!("the penalty with the least {least} is chosen, and the model is fitted with it"),
        ));
        list.extend(chosen.outputs());
        list
    }
}

/// This party's shares of the losses of held-out rows, by penalty.
pub(in crate::models) struct HeldOut(Vec<Option<Fixed>>);

impl HeldOut {
    pub(in crate::models) fn new(penalties: usize) -> Self {
        Self(vec![None; penalties])
    }

    /// Adds those of a fold, with the penalty in this place.
    pub(in crate::models) fn add(&mut self, penalty: usize, loss: Fixed) -> Result<(), Error> {
        let sum = &mut self.0[penalty];
        *sum = Some(match sum.take() {
            Some(sum) => {
                let ring = sum.ring().min(loss.ring());
                sum.narrow(ring)?.plus(&loss.narrow(ring)?)?
            }
            None => loss,
        });
        Ok(())
    }

    /// Reveals [`HELD_OUT`] with so many fractional bits. One round.
    pub(in crate::models) async fn reveal(
        self,
        fraction: u32,
        session: &mut Session,
    ) -> Result<Vec<f64>, Error> {
        let sums: Vec<Fixed> = self.0.into_iter().flatten().collect();
        let ring = sums.iter().map(Fixed::ring).min().unwrap_or(0);
        let sums = sums.into_iter().map(|sum| sum.narrow(ring)).collect::<Result<Vec<_>, _>>()?;
        let sums = Fixed::beside(&sums.iter().collect::<Vec<_>>())?;
        let told = session.reveal_fixed(HELD_OUT, &sums, fraction).await?;
        told.ok_or_else(|| Error::untold(HELD_OUT))
    }
}

impl CrossPlan {
    pub(super) fn new(settings: &GlmSettings, facts: &Facts) -> Result<Option<Self>, Error> {
        let Some(cross) = &settings.cross_validation else { return Ok(None) };
        cross.is_for(settings)?;
        let rows = facts.rows_for::<super::Glm>()?;
        cross.suits(facts, &rows)?;
        let with = |l2: f64| GlmSettings { l2, cross_validation: None, ..settings.clone() };
        // Those of all folds, and the one with the chosen penalty.
        let all = u64::from(cross.folds) * cross.l2.len() as u64 + 1;
        let fits = cross.l2.iter().map(|&l2| RowsPlan::one_of(all, &with(l2), facts));
        let fits = fits.collect::<Result<Vec<_>, _>>()?;
        let mut folds = Vec::new();
        for fold in 0..cross.folds {
            let held: Vec<u64> = rows.iter().map(|&rows| cross.held(rows, fold)).collect();
            let left: Vec<u64> = rows.iter().zip(&held).map(|(rows, held)| rows - held).collect();
            let facts = of_part(facts, &left, f64::INFINITY);
            let fits = cross.l2.iter().map(|&l2| {
                let settings = GlmSettings {
                    finish: Finish::Hidden,
                    tolerance: settings.tolerance.max(NEAR),
                    passes: settings.passes.min(PASSES),
                    ..with(l2)
                };
                RowsPlan::one_of(all, &settings, &facts)
            });
            folds.push(Fold { held, fits: fits.collect::<Result<_, _>>()? });
        }
        let losses = Losses::new(&fits[0])?;
        Ok(Some(Self { cross: cross.clone(), folds, fits, losses }))
    }

    /// The plan of the fit with the penalty that was chosen.
    pub(super) fn chosen(&self, at: usize) -> &RowsPlan {
        &self.fits[at]
    }

    fn total_rows(&self) -> u64 {
        self.fits[0].total_rows()
    }
}

/// The facts of so many of the rows: their squares are at most those of all, and no mean of them is above `most`.
pub(in crate::models) fn of_part(facts: &Facts, rows: &[u64], most: f64) -> Facts {
    let all = facts.total_rows() as f64;
    let part = rows.iter().sum::<u64>() as f64;
    let more = all / part;
    let mean_squares = facts.mean_squares.iter().map(|square| (square * more).min(most)).collect();
    let of = Facts::horizontal(rows, mean_squares, facts.origin);
    Facts {
        partition: of.partition,
        mean_squares: of.mean_squares,
        total_mean_square: facts.total_mean_square * more,
        ..facts.clone()
    }
}

impl Plan for CrossPlan {
    fn outputs(&self) -> Vec<Output> {
        let folds = self.folds.iter().map(|fold| &fold.fits[..]);
        self.cross.outputs(folds, &self.fits[0], ("loss", "loss"))
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        let first = &self.fits[0];
        Canonical::new("glm, cross-validated", ARITHMETIC)
            .with(&first.settings)?
            .with(&first.facts)?
            .field("cross", &self.cross)?
            .field("sigma", &first.sigma)
    }

    fn cost(&self, me: usize) -> Cost {
        let parties = self.fits[0].parties();
        let order = self.fits[0].order();
        let mut cost = self.fits[0].cost(me)
            + Cost::to_all(me, parties, 1, 16 * self.cross.l2.len() as u64).results(1);
        for fold in &self.folds {
            let held = fold.held.iter().sum::<u64>();
            for fit in &fold.fits {
                // Coefficients, angles, a product; none of a fit's own result.
                let bytes = 8 * order as u64 + 2 * held + 32 * order as u64;
                let rounds = 2 + held.div_ceil(65_536);
                cost = cost + fit.cost(me) + Cost::to_all(me, parties, rounds, bytes);
            }
        }
        cost
    }

    fn checkpoints(&self) -> u64 {
        self.fits[0].checkpoints()
    }

    fn figures(&self) -> Figures {
        let mut figures = self.fits[0].figures();
        let noise = self.losses.noise() * libm::sqrt(self.total_rows() as f64);
        figures.precision.push(format!(
            "a held-out loss of all rows is off by some {noise:.1e}, so penalties that differ by less may \
             change places"
        ));
        figures
    }
}

/// Fits on shares: all folds with all penalties, then all rows with the best one.
pub(super) async fn fit(
    plan: &CrossPlan,
    agreed: [u8; 32],
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<CrossShares, Error> {
    let mut orders = Orders::default();
    let mut sums = HeldOut::new(plan.cross.l2.len());
    let me = run.session.me();
    for (at, fold) in plan.folds.iter().enumerate() {
        let (fitted, held) = plan.cross.divide(me, data.len(), at as u32);
        let (fitted, held) = (data.part(&fitted), data.part(&held));
        let rows = plan.losses.register(&fold.fits[0], (&held, &fold.held), run).await?;
        for (penalty, (each, l2)) in fold.fits.iter().zip(&plan.cross.l2).enumerate() {
            run.session.labels_after(prefix(at, *l2));
            let mut quiet = |_| {};
            let mut part =
                Run { session: &mut *run.session, source: &mut *run.source, progress: &mut quiet };
            let shares = fit::part(each, &fitted, std::mem::take(&mut orders), &mut part).await;
            run.session.labels_after(String::new());
            let shares = shares?;
            orders = shares.orders;
            let loss = plan.losses.at(&rows, &shares.w, &mut orders, run).await?;
            debug_assert_eq!(loss.fraction(), LOSS_FRACTION);
            sums.add(penalty, loss)?;
        }
    }
    let told = sums.reveal(TOLD_FRACTION, run.session).await?;
    let middles = plan.losses.middle() * plan.total_rows() as f64;
    let losses: Vec<f64> = told.iter().map(|sum| sum + middles).collect();
    let chosen = least(&losses);
    // A fit with another penalty goes on from no state of this one.
    let agreed = rand::hash("fit with penalty", &[&agreed, &(chosen as u64).to_le_bytes()]);
    let shares = fit::whole(&plan.fits[chosen], agreed, data, orders, run).await?;
    Ok(CrossShares { chosen, losses, shares })
}

/// What cross-validation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossed {
    /// The penalty of the model.
    pub l2: f64,
    /// The number of folds.
    pub folds: u32,
    /// Each penalty that was compared, and the deviance of a held-out row with it: of a linear model its squared error.
    pub compared: Vec<(f64, f64)>,
}

impl Crossed {
    /// It in words: the deviance of the penalty that was chosen is at most the least of the others.
    pub(in crate::models) fn record(&self, what: &str) -> CheckRecord {
        let all = self
            .compared
            .iter()
            .map(|(l2, deviance)| format!("{} with l2 {l2}", in_digits(*deviance)));
        let all: Vec<String> = all.collect();
        let mut value = f64::INFINITY;
        let mut others = f64::INFINITY;
        for (l2, deviance) in &self.compared {
            let chosen = l2.to_bits() == self.l2.to_bits();
            let side = if chosen { &mut value } else { &mut others };
            *side = side.min(*deviance);
        }
        CheckRecord {
            what: format!(
                "{what} of a held-out row in {} folds ({}); chosen was l2 {}:",
                self.folds,
                all.join(", "),
                self.l2
            ),
            value,
            bound: others,
        }
    }
}

/// Six digits of a number of any size.
fn in_digits(number: f64) -> String {
    let before = if number > 0.0 { libm::log10(number).floor() as i32 } else { 0 };
    format!("{number:.*}", usize::try_from(5 - before).unwrap_or(0))
}

impl CrossPlan {
    /// What was found of the penalties.
    pub(super) fn found(&self, shares: &CrossShares) -> Crossed {
        let rows = self.total_rows() as f64;
        let each = self.cross.l2.iter().zip(&shares.losses);
        Crossed {
            l2: self.cross.l2[shares.chosen],
            folds: self.cross.folds,
            compared: each.map(|(l2, loss)| (*l2, 2.0 * loss / rows)).collect(),
        }
    }
}

/// The place of the least loss; of equal ones that of the largest penalty.
pub(in crate::models) fn least(losses: &[f64]) -> usize {
    let mut best = 0;
    for (at, loss) in losses.iter().enumerate() {
        if *loss <= losses[best] {
            best = at;
        }
    }
    best
}
