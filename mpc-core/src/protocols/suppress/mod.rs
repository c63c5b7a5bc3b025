//! One-way tables of which the small counts are kept back, and others beside them (docs/protocols.md 15.8).
//!
//! Which cells are marked is found on shares; opened is the final mark alone, which does not tell small cells
//! from the one that is kept back beside them.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod views;

use crate::correlations::{
    BitTriples, Correlations, LeftFactor, Ordered, Orders, RandomBits, RandomBitsRequest,
    RightFactor,
};
use crate::error::Error;
use crate::protocols::bits::{self, AndFactors};
use crate::protocols::compare::{self, Comparison, OrderedComparison, Prepared};
use crate::protocols::product::FixedLeft;
use crate::ring::{PackedBits, Ring, Z64, wire};
use crate::session::{Batch, Cost, Session};
use crate::share::{Shared, SharedBits};

/// The most cells of a list, and the most lists.
pub const MOST_CELLS: usize = 256;
const MOST_LISTS: usize = 64;
/// The least threshold: below it a small count is a known one.
pub const LEAST: u32 = 3;

/// The public shape of lists of counts of which small ones are kept back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    least: u32,
    parties: usize,
    lists: Vec<usize>,
    rows: u64,
}

/// What one product of a bit and a sum uses up, ordered and made.
type OrderedFactors = (Ordered<LeftFactor<Z64>>, Ordered<RightFactor<Z64>>);
type Factors = (LeftFactor<Z64>, RightFactor<Z64>);

/// What was ordered for a [`Suppression`].
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct OrderedSuppression {
    of: Suppression,
    triples: Ordered<BitTriples>,
    integers: Ordered<RandomBits>,
    products: Vec<OrderedFactors>,
    sums: OrderedComparison,
}

/// What a [`Suppression`] uses up.
#[derive(Debug)]
pub struct PreparedSuppression {
    of: Suppression,
    factors: AndFactors,
    integers: RandomBits,
    products: Vec<(LeftFactor<Z64>, RightFactor<Z64>)>,
    sums: Prepared,
}

impl Suppression {
    /// Lists of so many cells each, whose counts of all parties together are `rows` at most. A count below `least` that
    /// is not 0 is small.
    ///
    /// # Errors
    /// When something is out of range.
    pub fn new(least: u32, parties: usize, lists: Vec<usize>, rows: u64) -> Result<Self, Error> {
        let fits = lists.iter().all(|cells| (2..=MOST_CELLS).contains(cells));
        if lists.is_empty() || lists.len() > MOST_LISTS || !fits {
            return Err(Error::Range(format!(
                "{} lists of counts; from 1 to {MOST_LISTS} are possible, of 2 to {MOST_CELLS} cells",
                lists.len()
            )));
        }
        if !(LEAST..=1_000_000).contains(&least) || !(1..=1 << 40).contains(&rows) {
            return Err(Error::Range(format!(
                "a threshold of {least}; small counts are kept back for thresholds from {LEAST} on"
            )));
        }
        let of = Self { least, parties, lists, rows };
        of.sums()?;
        Ok(of)
    }

    fn cells(&self) -> usize {
        self.lists.iter().sum()
    }

    fn longest(&self) -> usize {
        self.lists.iter().copied().max().unwrap_or(0)
    }

    /// What the marked counts of a party have to be together, less one for each of them.
    fn bound(&self) -> u64 {
        u64::from(2 * self.least - 3)
    }

    /// The comparison of the sums of marked counts, one for each list and party.
    fn sums(&self) -> Result<Comparison, Error> {
        let largest = self.rows + self.longest() as u64 + self.bound();
        let bits = u64::BITS - largest.leading_zeros() + 1;
        Comparison::new(self.lists.len() * self.parties, bits, 1)
    }

    /// The distances over which cells are taken together in a running "any".
    fn strides(&self) -> impl Iterator<Item = usize> + use<> {
        let longest = self.longest();
        std::iter::successors(Some(1), |stride| Some(2 * stride))
            .take_while(move |&stride| stride < longest)
    }

    /// The products of bits, one after the other: planes and lanes that each takes.
    fn triples(&self) -> usize {
        let (lists, longest) = (self.lists.len(), self.longest());
        let running: usize = self.strides().map(|stride| (longest - stride) * lists).sum();
        2 * self.cells() * (self.parties - 1)
            + running
            + lists * (longest - 1)
            + 2 * longest * lists
            + lists * (self.parties - 1)
            + 2 * lists
    }

    /// Orders what it needs.
    ///
    /// # Errors
    /// None, where it was made.
    pub fn order(&self, orders: &mut Orders) -> Result<OrderedSuppression, Error> {
        let triples = orders.bit_triples(self.triples());
        let count = u32::try_from(self.cells()).unwrap_or(u32::MAX);
        let integers = orders.random_bits(RandomBitsRequest { count, bits: 1, ring: Z64::BITS });
        let products = self
            .lists
            .iter()
            .map(|&cells| {
                let left = orders.left::<Z64>(1, cells);
                let right = orders.right(&left, self.parties);
                (left, right)
            })
            .collect();
        let sums = self.sums()?.order(orders);
        Ok(OrderedSuppression { of: self.clone(), triples, integers, products, sums })
    }

    /// What it costs, when what it needs was made.
    ///
    /// # Errors
    /// None, where it was made.
    pub fn cost(&self, me: usize) -> Result<Cost, Error> {
        let (parties, lists, longest) = (self.parties, self.lists.len(), self.longest());
        let and = |bits| Cost::to_all(me, parties, 1, bits::and_bytes(bits));
        let mut cost = bits::any_cost(2 * self.cells(), parties, me, parties);
        for stride in self.strides() {
            cost = cost + and((longest - stride) * lists);
        }
        cost = cost + bits::any_cost(lists, longest, me, parties) + and(longest * lists);
        cost = cost + bits::to_integers_cost(self.cells(), me, parties);
        let elements: usize = self.lists.iter().map(|&cells| cells + cells * parties).sum();
        let bytes = elements * wire::element_bytes(Z64::BITS);
        cost = cost + Cost::to_all(me, parties, 1, bytes as u64) + self.sums()?.cost(me, parties);
        cost = cost + bits::any_cost(lists, parties, me, parties) + and(lists) + and(lists);
        cost = cost + and(longest * lists);
        Ok(cost + Cost::to_all(me, parties, 1, self.cells() as u64).results(1))
    }
}

impl OrderedSuppression {
    /// Takes it.
    ///
    /// # Errors
    /// When it is not due, or production has stopped.
    pub async fn take(self, from: &mut Correlations<'_>) -> Result<PreparedSuppression, Error> {
        let factors = AndFactors::new(from.take(self.triples).await?);
        let integers = from.take(self.integers).await?;
        let mut products = Vec::with_capacity(self.products.len());
        for (left, right) in self.products {
            products.push((from.take(left).await?, from.take(right).await?));
        }
        let sums = self.sums.take(from).await?;
        Ok(PreparedSuppression { of: self.of, factors, integers, products, sums })
    }
}

/// Which cells are kept back, list by list: revealed as the output `label`, which has to be for everybody. Where a
/// list cannot be released with some of its cells, all of them are. `own` are this party's counts.
/// [`Suppression::cost`].
///
/// # Errors
/// When the counts are of other lists, what is revealed cannot be, or as [`Session::reveal`].
pub async fn marked(
    own: &[Vec<u64>],
    prepared: PreparedSuppression,
    label: &str,
    session: &mut Session,
) -> Result<Vec<Vec<bool>>, Error> {
    let PreparedSuppression { of, mut factors, integers, products, sums } = prepared;
    let cells = own.iter().map(Vec::len);
    if of.parties != session.parties() || !cells.eq(of.lists.iter().copied()) {
        return Err(Error::internal("counts of other lists than were planned for"));
    }
    let factors = &mut factors;
    let (lists, longest) = (of.lists.len(), of.longest());
    // 1. Whether a count of anybody is small; whether one is below the threshold.
    let (small, below) = tested(&of, own, factors, session).await?;
    // 2. The first cell that is large for everybody: where a running "any" begins to be one.
    let mut running = below.not(session);
    for stride in of.strides() {
        let upper: Vec<usize> = (stride..longest).collect();
        let lower: Vec<usize> = (0..longest - stride).collect();
        let (x, y) = (running.select(&upper), running.select(&lower));
        let both = bits::and(&x, &y, factors, session).await?;
        let either = x.xor(&y).xor(&both);
        running = running.select(&(0..stride).collect::<Vec<_>>()).above(&either);
    }
    let zero = SharedBits::new(PackedBits::zero(1, lists));
    let before = zero.above(&running.select(&(0..longest - 1).collect::<Vec<_>>()));
    let first = running.xor(&before);
    let large = running.select(&[longest - 1]);
    // 3. It is marked with the small ones, where there are any.
    let any = bits::any(&turned(&small), factors, session).await?;
    let any = turned(&any);
    let beside = bits::and(&first, &repeated(&any, longest), factors, session).await?;
    let mark = small.xor(&beside);
    // 4. Whether what each party has in marked cells leaves every small count open.
    let few = few(&of, own, &mark, (integers, products, sums), session).await?;
    let few = turned(&bits::any(&few, factors, session).await?);
    // 5. If not, or without a large cell, all cells are marked.
    let good = bits::and(&few.not(session), &large, factors, session).await?;
    let bad = bits::and(&any, &good.not(session), factors, session).await?;
    let rest = bits::and(&mark.not(session), &repeated(&bad, longest), factors, session).await?;
    let mark = mark.xor(&rest);
    let told = by_list(&of, &mark);
    let told = session.reveal(label, &told.modulo_two(), 1, 0).await?;
    let told = told.ok_or_else(|| Error::internal("what is kept back is for everybody"))?;
    let mut told = told.iter().map(|&bit| bit != 0);
    Ok(of.lists.iter().map(|&cells| told.by_ref().take(cells).collect()).collect())
}

/// For each cell (a plane) of each list (a lane) whether it is small for anybody, and whether it is below the
/// threshold for anybody. Cells behind the end of a list are neither small nor large.
async fn tested(
    of: &Suppression,
    own: &[Vec<u64>],
    factors: &mut AndFactors,
    session: &mut Session,
) -> Result<(SharedBits, SharedBits), Error> {
    let (me, least) = (session.me(), u64::from(of.least));
    let counts: Vec<u64> = own.iter().flatten().copied().collect();
    let cells = counts.len();
    let bits = PackedBits::of(2 * cells, of.parties, |plane, party| {
        let count = counts[plane % cells];
        let is = count < least && (plane >= cells || count > 0);
        u128::from(party == me && is)
    });
    let any = bits::any(&SharedBits::new(bits), factors, session).await?;
    let mut starts = Vec::with_capacity(of.lists.len());
    let mut next = 0;
    for &cells in &of.lists {
        starts.push(next);
        next += cells;
    }
    let place = |cell: usize, list: usize| (cell < of.lists[list]).then(|| starts[list] + cell);
    let at = |from: usize, otherwise: u128| {
        PackedBits::of(of.longest(), of.lists.len(), |cell, list| {
            place(cell, list).map_or(otherwise, |at| any.own().bit(from + at, 0))
        })
    };
    let end = u128::from(me == 0);
    Ok((SharedBits::new(at(0, 0)), SharedBits::new(at(cells, end))))
}

/// For each list (a plane) and party (a lane), whether the party's marked counts are too few together.
async fn few(
    of: &Suppression,
    own: &[Vec<u64>],
    mark: &SharedBits,
    (integers, products, sums): (RandomBits, Vec<Factors>, Prepared),
    session: &mut Session,
) -> Result<SharedBits, Error> {
    let (me, parties) = (session.me(), of.parties);
    let marks = bits::to_integers(&by_list(of, mark), integers, session).await?;
    let mut marks = marks.as_slice();
    let mut batch = Batch::new("suppress/sums");
    let mut pending = Vec::with_capacity(products.len());
    for (own, (left, right)) in own.iter().zip(products) {
        let (list, rest) = marks.split_at(own.len());
        marks = rest;
        let mut counts = vec![Z64(0); own.len() * parties];
        for (cell, &count) in own.iter().enumerate() {
            counts[cell * parties + me] = Z64(count.wrapping_sub(1));
        }
        let (list, counts) =
            (Shared::new(list.to_vec(), 1, own.len()), Shared::new(counts, own.len(), parties));
        let left = FixedLeft::push(&list, left, &mut batch)?;
        pending.push((left, FixedLeft::push_right(&counts, right, &mut batch)?));
    }
    let opened = session.open(batch).await?;
    let mut all = Vec::with_capacity(pending.len() * parties);
    for (left, right) in pending {
        let product = FixedLeft::opened(left, &opened).finish(right, &opened, session);
        all.extend_from_slice(product.as_slice());
    }
    let bound = vec![vec![of.bound(); all.len()]];
    let below = compare::below(&Shared::column(all), &bound, sums, session).await?;
    let row = below.own().plane(0);
    Ok(SharedBits::new(PackedBits::from_row(row, 0, of.lists.len(), parties)))
}

/// One plane of all cells, list by list.
fn by_list(of: &Suppression, mark: &SharedBits) -> SharedBits {
    let places: Vec<(usize, usize)> = of
        .lists
        .iter()
        .enumerate()
        .flat_map(|(list, &cells)| (0..cells).map(move |cell| (cell, list)))
        .collect();
    SharedBits::new(PackedBits::of(1, places.len(), |_, lane| {
        mark.own().bit(places[lane].0, places[lane].1)
    }))
}

/// Planes as lanes.
fn turned(bits: &SharedBits) -> SharedBits {
    let turned = |plane: usize, lane: usize| bits.own().bit(lane, plane);
    SharedBits::new(PackedBits::of(bits.lanes(), bits.planes(), turned))
}

/// One plane, so many times.
fn repeated(plane: &SharedBits, times: usize) -> SharedBits {
    plane.select(&vec![0; times])
}
