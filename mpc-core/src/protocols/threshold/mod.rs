//! Whether counts of all parties together may be released (docs/protocols.md 15).
//!
//! A family of cells is released whole or not at all: one bit is opened, and it says whether any cell is
//! small. Where coarser families are named too, the number of the first that may be released is opened.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::correlations::{BitTriples, Correlations, Ordered, Orders};
use crate::error::Error;
use crate::protocols::bits::{self, AndFactors};
use crate::protocols::compare::{self, Comparison, OrderedComparison, Prepared};
use crate::ring::{PackedBits, Z64};
use crate::session::{Cost, Session};
use crate::share::{Shared, SharedBits};

/// The largest threshold.
pub const MOST: u32 = 1_000_000;

/// Who must not learn a small count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Those who see the released counts and nothing else.
    Outsiders,
    /// Also each party, which takes its own count away: with two parties the other one's is what is
    /// left.
    #[default]
    Participants,
}

/// Which counts are too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdRule {
    /// A count below it is small. From 1 to [`MOST`].
    pub least: u32,
    /// Whether a count of zero may be told.
    pub zeros: bool,
    /// From whom small counts are kept.
    pub level: Level,
}

impl Default for ThresholdRule {
    /// Five; zeros may be told; kept from the parties too.
    fn default() -> Self {
        Self { least: 5, zeros: true, level: Level::Participants }
    }
}

impl ThresholdRule {
    /// Whether a count is small.
    #[must_use]
    pub fn is_small(&self, count: u64) -> bool {
        count < u64::from(self.least) && !(self.zeros && count == 0)
    }

    /// Whether it refuses all that `other` refuses.
    #[must_use]
    pub fn is_as_strict_as(&self, other: &Self) -> bool {
        self.least >= other.least
            && (other.zeros || !self.zeros)
            && (self.level == Level::Participants || other.level == Level::Outsiders)
    }
}

/// The public shape of a test: the rule, and how many cells each family has, the finest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    rule: ThresholdRule,
    parties: usize,
    families: Vec<usize>,
}

impl Gate {
    /// A test of families with so many cells each, the one that is wanted most first.
    ///
    /// # Errors
    /// When the threshold is out of range, or a family has no cells or too many.
    pub fn new(rule: ThresholdRule, parties: usize, families: Vec<usize>) -> Result<Self, Error> {
        if !(1..=MOST).contains(&rule.least) {
            return Err(Error::Range(format!(
                "a threshold of {}; from 1 to {MOST} are possible",
                rule.least
            )));
        }
        let most = families.iter().copied().max().unwrap_or(0);
        if families.contains(&0) || families.is_empty() || families.len() > 16 || most > 1 << 16 {
            return Err(Error::Range(format!(
                "a family of {most} cells; from 1 to {} in each of 1 to 16 families are possible",
                1 << 16
            )));
        }
        let gate = Self { rule, parties, families };
        gate.comparison()?;
        Ok(gate)
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> ThresholdRule {
        self.rule
    }

    /// Whether each party knows by itself which of the counts that it must not tell are small.
    pub(super) fn is_local(&self) -> bool {
        self.parties == 2 && self.rule.level == Level::Participants
    }

    /// Sums that are tested of one cell.
    fn tests(&self) -> usize {
        if self.rule.level == Level::Participants { self.parties } else { 1 }
    }

    /// The comparisons of all families' cells; none where no party needs the others for them.
    pub(super) fn comparison(&self) -> Result<Option<Comparison>, Error> {
        if self.is_local() {
            return Ok(None);
        }
        let lanes = self.families.iter().sum::<usize>() * self.tests();
        // No part of a sum is above the threshold, and there are so many.
        let parts = self.parties - usize::from(self.rule.level == Level::Participants);
        let largest = parts as u64 * u64::from(self.rule.least);
        let bits = u64::BITS - largest.leading_zeros() + 1;
        Comparison::new(lanes, bits, 1 + usize::from(self.rule.zeros)).map(Some)
    }

    /// Lanes in which the bits of one family are taken together.
    fn width(&self) -> usize {
        if self.is_local() {
            return self.parties;
        }
        self.families.iter().copied().max().unwrap_or(0) * self.tests()
    }

    /// Bits that are taken together for one cell ([`small_cells`]).
    pub(super) fn tests_of_a_cell(&self) -> usize {
        if self.is_local() { self.parties } else { self.tests() }
    }

    /// Products of bits beside those of the comparisons.
    fn triples(&self) -> usize {
        self.families.len() * (self.width() - 1) + self.families.len() - 1
    }

    /// Orders what it needs.
    ///
    /// # Errors
    /// None, where the gate was made.
    pub fn order(&self, orders: &mut Orders) -> Result<OrderedGate, Error> {
        let comparison = self.comparison()?.map(|of| of.order(orders));
        let triples = (self.triples() > 0).then(|| orders.bit_triples(self.triples()));
        Ok(OrderedGate { gate: self.clone(), comparison, triples })
    }

    /// What it costs, when what it needs was made: with the revealing of its bits.
    ///
    /// # Errors
    /// None, where the gate was made.
    pub fn cost(&self, me: usize) -> Result<Cost, Error> {
        let parties = self.parties;
        let mut cost = Cost::to_all(me, parties, 0, 0);
        if let Some(of) = self.comparison()? {
            cost = cost + of.cost(me, parties);
        }
        let families = self.families.len();
        cost = cost + bits::any_cost(families, self.width(), me, parties);
        let chain = families as u64 - 1;
        cost = cost + Cost::to_all(me, parties, chain, chain * bits::and_bytes(1));
        Ok(cost + Cost::to_all(me, parties, 1, families as u64).results(1))
    }

    /// Whether the rule holds for counts that were released, as far as a party with these own counts can
    /// see: it does, unless a party changed its program or its counts.
    #[must_use]
    pub fn holds_for(&self, released: &[u64], own: &[u64]) -> bool {
        released.iter().zip(own).all(|(&all, &own)| match self.rule.level {
            Level::Outsiders => !self.rule.is_small(all),
            Level::Participants => all >= own && !self.rule.is_small(all - own),
        })
    }
}

/// What was ordered for a [`Gate`].
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct OrderedGate {
    gate: Gate,
    comparison: Option<OrderedComparison>,
    triples: Option<Ordered<BitTriples>>,
}

/// What a [`Gate`] uses up.
#[derive(Debug)]
pub struct PreparedGate {
    gate: Gate,
    comparison: Option<Prepared>,
    factors: Option<AndFactors>,
}

impl OrderedGate {
    /// Takes it.
    ///
    /// # Errors
    /// When it is not due, or production has stopped.
    pub async fn take(self, from: &mut Correlations<'_>) -> Result<PreparedGate, Error> {
        let comparison = match self.comparison {
            Some(comparison) => Some(comparison.take(from).await?),
            None => None,
        };
        let factors = match self.triples {
            Some(triples) => Some(AndFactors::new(from.take(triples).await?)),
            None => None,
        };
        Ok(PreparedGate { gate: self.gate, comparison, factors })
    }
}

/// The number of the first family that has no small cell, if there is one: revealed as the output `label`,
/// a bit for each family, to those whom the output names; `None` to the others. `own` are this party's
/// counts, family by family. [`Gate::cost`].
///
/// # Errors
/// When the counts are of other families, what is revealed cannot be, or as
/// [`Session::reveal`].
pub async fn first_released(
    own: &[Vec<u64>],
    prepared: PreparedGate,
    label: &str,
    session: &mut Session,
) -> Result<Option<Option<usize>>, Error> {
    let PreparedGate { gate, comparison, factors } = prepared;
    let cells = own.iter().map(Vec::len);
    if gate.parties != session.parties() || !cells.eq(gate.families.iter().copied()) {
        return Err(Error::internal("counts of other families than were planned for"));
    }
    let small = match comparison {
        None => own_small(&gate, own, session),
        Some(comparison) => {
            let tested = small(&gate, own, comparison, session).await?;
            by_family(&gate, &tested)
        }
    };
    let families = gate.families.len();
    let withheld = match factors {
        None => small,
        Some(mut factors) => {
            let any = bits::any(&small, &mut factors, session).await?;
            // All families up to this one have a small cell.
            let mut all = any.select(&[0]);
            let mut withheld = all.clone();
            for family in 1..families {
                all = bits::and(&all, &any.select(&[family]), &mut factors, session).await?;
                withheld = withheld.above(&all);
            }
            withheld
        }
    };
    let Some(bits) = session.reveal(label, &withheld.modulo_two(), 1, 0).await? else {
        return Ok(None);
    };
    let first = bits.iter().position(|&bit| bit == 0);
    if bits.iter().skip(first.unwrap_or(families)).any(|&bit| bit != 0) {
        return Err(session.beyond_bound(label));
    }
    // With two parties each knows what must not be told of it: what says otherwise was bent.
    let knows = |family: usize| own[family].iter().any(|&count| gate.rule.is_small(count));
    if gate.is_local() && first.is_some_and(knows) {
        return Err(session.beyond_bound(label));
    }
    Ok(Some(first))
}

/// Where each party sees which counts of its own are small: a lane for each party.
fn own_small(gate: &Gate, own: &[Vec<u64>], session: &Session) -> SharedBits {
    let me = session.me();
    let any = |family: &Vec<u64>| family.iter().any(|&count| gate.rule.is_small(count));
    SharedBits::new(PackedBits::of(own.len(), gate.parties, |family, party| {
        u128::from(party == me && any(&own[family]))
    }))
}

/// For each sum that is tested, family by family, whether it is small: one plane.
async fn small(
    gate: &Gate,
    own: &[Vec<u64>],
    comparison: Prepared,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let (me, least) = (session.me(), u64::from(gate.rule.least));
    // A sum is below the threshold iff it is with no part above it.
    let part = |count: u64| Z64(count.min(least));
    let sums = own.iter().flatten().flat_map(|&count| {
        (0..gate.tests()).map(move |test| {
            let left_out = gate.rule.level == Level::Participants && test == me;
            if left_out { Z64(0) } else { part(count) }
        })
    });
    let sums = Shared::column(sums.collect());
    let lanes = sums.len();
    let constants: Vec<Vec<u64>> = if gate.rule.zeros {
        vec![vec![least; lanes], vec![1; lanes]]
    } else {
        vec![vec![least; lanes]]
    };
    let below = compare::below(&sums, &constants, comparison, session).await?;
    if !gate.rule.zeros {
        return Ok(below);
    }
    // What is below one is below the threshold too.
    Ok(below.select(&[0]).xor(&below.select(&[1])))
}

/// A plane for each family, filled up with zeros.
fn by_family(gate: &Gate, small: &SharedBits) -> SharedBits {
    let width = gate.width();
    let mut out = SharedBits::new(PackedBits::zero(0, width));
    let mut from = 0;
    for cells in &gate.families {
        let lanes = cells * gate.tests();
        let own = small.lane_range(from, lanes);
        let filled = own.own().beside(&PackedBits::zero(1, width - lanes));
        out = out.above(&SharedBits::new(filled));
        from += lanes;
    }
    out
}

/// For each cell of the one family of a gate, whether it must not be told: planes of one lane. Takes of the factors
/// for each cell one less than [`Gate::tests_of_a_cell`].
pub(super) async fn small_cells(
    gate: &Gate,
    own: &[u64],
    comparison: Option<Prepared>,
    factors: &mut AndFactors,
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let tests = gate.tests_of_a_cell();
    let tested = match comparison {
        None => PackedBits::of(own.len(), tests, |cell, party| {
            u128::from(party == session.me() && gate.rule.is_small(own[cell]))
        }),
        Some(comparison) => {
            let tested = small(gate, &[own.to_vec()], comparison, session).await?;
            PackedBits::from_row(tested.own().plane(0), 0, own.len(), tests)
        }
    };
    bits::any(&SharedBits::new(tested), factors, session).await
}
