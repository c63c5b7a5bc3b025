//! Quantiles of the numbers of all parties by bisection (docs/protocols.md 15.7).
//!
//! Numbers lie in cells. Each step halves an interval that all know, as long as the half in which the quantile
//! lies holds no small count of numbers; nothing but that path is told, and it follows from its end.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod views;

use std::ops::Range;

use crate::correlations::{BitTriples, Correlations, Ordered, Orders};
use crate::error::Error;
use crate::protocols::bits::{self, AndFactors};
use crate::protocols::compare::{self, Comparison, OrderedComparison, Prepared};
use crate::protocols::threshold::{Gate, MOST, ThresholdRule, small_cells};
use crate::ring::{PackedBits, Z64};
use crate::session::{Cost, Session};
use crate::share::{Shared, SharedBits};

/// So many times the threshold of numbers a quantile is of at least.
pub const LEAST_TIMES: u32 = 4;
/// The most halvings.
const MOST_LEVELS: u32 = 24;
/// The most lanes.
const MOST_LANES: usize = 4096;

/// One quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// There are 2^levels cells.
    pub levels: u32,
    /// The share of numbers that do not exceed the quantile: this part of a hundred, from 5 to 95.
    pub percent: u32,
}

/// The public shape of a bisection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    rule: ThresholdRule,
    parties: usize,
    lanes: Vec<Lane>,
    rows: u64,
}

/// What was ordered for a step.
#[derive(Debug)]
struct OrderedStep {
    side: Option<OrderedComparison>,
    counts: Option<OrderedComparison>,
    triples: Option<Ordered<BitTriples>>,
}

/// What a step uses up.
#[derive(Debug)]
struct Step {
    side: Option<Prepared>,
    counts: Option<Prepared>,
    factors: AndFactors,
}

/// What was ordered for a [`Bisection`].
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct OrderedBisection {
    of: Bisection,
    steps: Vec<OrderedStep>,
}

/// What a [`Bisection`] uses up.
#[derive(Debug)]
pub struct PreparedBisection {
    of: Bisection,
    steps: Vec<Step>,
}

impl Bisection {
    /// Quantiles of numbers of which there are `rows` at most, of all parties together.
    ///
    /// # Errors
    /// When something is out of range.
    pub fn new(
        rule: ThresholdRule,
        parties: usize,
        lanes: Vec<Lane>,
        rows: u64,
    ) -> Result<Self, Error> {
        let fits = |lane: &Lane| {
            (1..=MOST_LEVELS).contains(&lane.levels) && (5..=95).contains(&lane.percent)
        };
        if lanes.is_empty() || lanes.len() > MOST_LANES || !lanes.iter().all(fits) {
            return Err(Error::Range(format!(
                "{} quantiles; from 1 to {MOST_LANES} are possible, of 5% to 95%, of 2 to 2^{MOST_LEVELS} cells",
                lanes.len()
            )));
        }
        if !(1..=1 << 40).contains(&rows) || rule.least > MOST / LEAST_TIMES {
            let most = MOST / LEAST_TIMES;
            return Err(Error::Range(format!(
                "quantiles of {rows} rows with a threshold of {}; up to 2^40 and {most} are possible",
                rule.least
            )));
        }
        let of = Self { rule, parties, lanes, rows };
        for step in 0..of.steps() {
            of.gate(step)?;
            of.side(step)?;
        }
        Ok(of)
    }

    /// Outputs that are revealed, one after the other.
    #[must_use]
    pub fn steps(&self) -> usize {
        1 + self.lanes.iter().map(|lane| lane.levels as usize).max().unwrap_or(0)
    }

    /// The label of one of the [`steps`](Self::steps).
    #[must_use]
    pub fn label(label: &str, step: usize) -> String {
        format!("{label}/{}", step + 1)
    }

    /// The lanes that take part in a step.
    fn lanes_of(&self, step: usize) -> Vec<usize> {
        let part = |&lane: &usize| self.lanes[lane].levels as usize >= step;
        (0..self.lanes.len()).filter(part).collect()
    }

    /// The test of counts: of all numbers in the first step, of both halves in the others.
    fn gate(&self, step: usize) -> Result<Gate, Error> {
        let lanes = self.lanes_of(step).len();
        let (least, cells) = match step {
            0 => (self.rule.least * LEAST_TIMES, lanes),
            _ => (self.rule.least, 2 * lanes),
        };
        Gate::new(ThresholdRule { least, ..self.rule }, self.parties, vec![cells])
    }

    /// In which half the quantile lies.
    fn side(&self, step: usize) -> Result<Option<Comparison>, Error> {
        if step == 0 {
            return Ok(None);
        }
        // Of 100 C - p n, which is at most 100 times all numbers either way.
        let bits = u64::BITS - (100 * self.rows).leading_zeros() + 1;
        Comparison::new(self.lanes_of(step).len(), bits, 1).map(Some)
    }

    /// Products of bits of a step beside those of its comparisons.
    fn triples(&self, step: usize) -> Result<usize, Error> {
        let lanes = self.lanes_of(step).len();
        let more = self.gate(step)?.tests_of_a_cell() - 1;
        Ok(if step == 0 { lanes * more } else { 2 * lanes * more + 2 * lanes })
    }

    /// Orders what it needs.
    ///
    /// # Errors
    /// None, where it was made.
    pub fn order(&self, orders: &mut Orders) -> Result<OrderedBisection, Error> {
        let mut steps = Vec::with_capacity(self.steps());
        for step in 0..self.steps() {
            let side = self.side(step)?.map(|of| of.order(orders));
            let counts = self.gate(step)?.comparison()?.map(|of| of.order(orders));
            let triples = self.triples(step)?;
            let triples = (triples > 0).then(|| orders.bit_triples(triples));
            steps.push(OrderedStep { side, counts, triples });
        }
        Ok(OrderedBisection { of: self.clone(), steps })
    }

    /// What it costs, when what it needs was made and no lane ends early.
    ///
    /// # Errors
    /// None, where it was made.
    pub fn cost(&self, me: usize) -> Result<Cost, Error> {
        let parties = self.parties;
        let mut cost = Cost::to_all(me, parties, 0, 0);
        for step in 0..self.steps() {
            let lanes = self.lanes_of(step).len();
            let gate = self.gate(step)?;
            for of in [self.side(step)?, gate.comparison()?].into_iter().flatten() {
                cost = cost + of.cost(me, parties);
            }
            let cells = if step == 0 { lanes } else { 2 * lanes };
            cost = cost + bits::any_cost(cells, gate.tests_of_a_cell(), me, parties);
            let revealed = if step == 0 {
                lanes
            } else {
                cost = cost + Cost::to_all(me, parties, 2, 2 * bits::and_bytes(lanes));
                2 * lanes
            };
            cost = cost + Cost::to_all(me, parties, 1, revealed as u64).results(1);
        }
        Ok(cost)
    }
}

impl OrderedBisection {
    /// Takes it.
    ///
    /// # Errors
    /// When it is not due, or production has stopped.
    pub async fn take(self, from: &mut Correlations<'_>) -> Result<PreparedBisection, Error> {
        let mut steps = Vec::with_capacity(self.steps.len());
        for OrderedStep { side, counts, triples } in self.steps {
            let side = match side {
                Some(side) => Some(side.take(from).await?),
                None => None,
            };
            let counts = match counts {
                Some(counts) => Some(counts.take(from).await?),
                None => None,
            };
            let factors = match triples {
                Some(triples) => AndFactors::new(from.take(triples).await?),
                None => AndFactors::none(),
            };
            steps.push(Step { side, counts, factors });
        }
        Ok(PreparedBisection { of: self.of, steps })
    }
}

/// Where a lane has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    cells: Range<u64>,
    ended: bool,
}

/// For each lane the interval of cells in which its quantile lies; none where there are too few numbers.
/// `own[lane]` are the cells of this party's numbers, sorted. Reveals the outputs
/// [`Bisection::label`], which have to be for everybody. [`Bisection::cost`].
///
/// # Errors
/// When the lanes are others than were planned, what is revealed cannot be, or as [`Session::reveal`].
pub async fn bisect(
    own: &[&[u32]],
    prepared: PreparedBisection,
    label: &str,
    session: &mut Session,
) -> Result<Vec<Option<Range<u64>>>, Error> {
    let PreparedBisection { of, steps } = prepared;
    if of.parties != session.parties() || own.len() != of.lanes.len() {
        return Err(Error::internal("quantiles of other lanes than were planned for"));
    }
    let start = |lane: &Lane| Place { cells: 0..1 << lane.levels, ended: false };
    let mut places: Vec<Place> = of.lanes.iter().map(start).collect();
    let mut enough = vec![false; of.lanes.len()];
    for (step, prepared) in steps.into_iter().enumerate() {
        let label = Bisection::label(label, step);
        let lanes = of.lanes_of(step);
        if step == 0 {
            enough = first(&of, own, prepared, &label, session).await?;
            places.iter_mut().zip(&enough).for_each(|(place, &enough)| place.ended = !enough);
            continue;
        }
        let went = halve(&of, (own, &places), (step, &lanes), prepared, &label, session).await?;
        for (&lane, (go, right)) in lanes.iter().zip(went) {
            let Place { cells, ended } = &mut places[lane];
            if *ended {
                continue;
            }
            *ended = !go;
            let middle = cells.start + (cells.end - cells.start) / 2;
            match (go, right) {
                (true, true) => cells.start = middle,
                (true, false) => cells.end = middle,
                (false, false) => {}
                (false, true) => return Err(session.beyond_bound(&label)),
            }
        }
    }
    let told = places.into_iter().zip(enough);
    Ok(told.map(|(place, enough)| enough.then_some(place.cells)).collect())
}

/// The numbers below a cell.
fn below(own: &[u32], cell: u64) -> u64 {
    own.partition_point(|&number| u64::from(number) < cell) as u64
}

/// Which lanes have numbers enough: revealed.
async fn first(
    of: &Bisection,
    own: &[&[u32]],
    prepared: Step,
    label: &str,
    session: &mut Session,
) -> Result<Vec<bool>, Error> {
    let Step { counts, mut factors, .. } = prepared;
    let all: Vec<u64> = own.iter().map(|own| own.len() as u64).collect();
    let small = small_cells(&of.gate(0)?, &all, counts, &mut factors, session).await?;
    let told = revealed(label, &small.not(session), session).await?;
    Ok(told)
}

/// For each lane that takes part whether it goes on, and if so whether to the upper half: revealed.
async fn halve(
    of: &Bisection,
    (own, places): (&[&[u32]], &[Place]),
    (step, lanes): (usize, &[usize]),
    prepared: Step,
    label: &str,
    session: &mut Session,
) -> Result<Vec<(bool, bool)>, Error> {
    let Step { side, counts, mut factors } = prepared;
    let side = side.ok_or_else(|| Error::internal("a step without a comparison"))?;
    let mut parts: [Vec<u64>; 2] = Default::default();
    let mut differences = Vec::with_capacity(lanes.len());
    for &lane in lanes {
        let Place { cells, ended } = &places[lane];
        // What has ended takes part with nothing.
        let own: &[u32] = if *ended { &[] } else { own[lane] };
        let middle = cells.start + (cells.end - cells.start) / 2;
        let [start, at, end] = [cells.start, middle, cells.end].map(|cell| below(own, cell));
        parts[0].push(at - start);
        parts[1].push(end - at);
        let share = u64::from(of.lanes[lane].percent) * own.len() as u64;
        differences.push(Z64((100 * at).wrapping_sub(share)));
    }
    let zero = vec![vec![0; lanes.len()]];
    let right = compare::below(&Shared::column(differences), &zero, side, session).await?;
    let right = SharedBits::new(PackedBits::from_row(right.own().plane(0), 0, lanes.len(), 1));
    let small =
        small_cells(&of.gate(step)?, &parts.concat(), counts, &mut factors, session).await?;
    let half = |upper: usize| {
        small.select(&(upper * lanes.len()..(upper + 1) * lanes.len()).collect::<Vec<_>>())
    };
    let (lower, upper) = (half(0), half(1));
    let turned = bits::and(&right, &lower.xor(&upper), &mut factors, session).await?;
    let go = lower.xor(&turned).not(session);
    let side = bits::and(&right, &go, &mut factors, session).await?;
    let told = revealed(label, &go.above(&side), session).await?;
    let (go, side) = told.split_at(lanes.len());
    Ok(go.iter().copied().zip(side.iter().copied()).collect())
}

/// Reveals bits to everybody.
async fn revealed(
    label: &str,
    bits: &SharedBits,
    session: &mut Session,
) -> Result<Vec<bool>, Error> {
    let told = session.reveal(label, &bits.modulo_two(), 1, 0).await?;
    let told = told.ok_or_else(|| Error::internal("the steps of a quantile are for everybody"))?;
    Ok(told.iter().map(|&bit| bit != 0).collect())
}
