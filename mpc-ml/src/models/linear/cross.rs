//! Sums of products of columns that are at different parties: how they are made, chosen from public
//! facts (docs/protocols.md 13.3).

use std::ops::Range;

use mpc_core::Cost;
use mpc_core::correlations::{MatrixShape, OwnedProductRequest, Request};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::wire::element_bytes;

use super::{LinearSettings, eliminate};
use crate::error::Error;
use crate::model::Facts;

/// Fractional bits of entries, where the clip leaves room for so many.
const FRACTION: u32 = 18;
/// Bits of an entry at most.
const ENTRY_BITS: u32 = 29;
/// Fractional bits that a target has more than entries, where its bits allow.
const TARGET_MORE: u32 = 3;
/// Elements that are opened to one owner at once.
const CHUNK: u64 = 1 << 22;
/// Rows of a chunk, at least.
const LEAST_ROWS: u64 = 1 << 10;

/// What one party multiplies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) party: usize,
    /// Its columns of the design matrix.
    pub(super) columns: Range<usize>,
    /// Whether the target is one more, the last.
    pub(super) target: bool,
}

impl Block {
    pub(super) fn width(&self) -> usize {
        self.columns.len() + usize::from(self.target)
    }
}

/// How columns at different parties become shares of the sums of their products.
#[derive(Clone, Debug)]
pub(in crate::models) struct CrossPlan {
    /// The parties that have anything, the widest first: each multiplies what those behind it have.
    pub(super) blocks: Vec<Block>,
    parties: usize,
    rows: u64,
    /// Fractional bits of entries, and of the target.
    pub(super) fraction: u32,
    pub(super) target_fraction: u32,
    /// Fractional bits of the entries of the widest block, where its party makes a basis of its columns, and
    /// the exponent of the bound of their squares' sum.
    basis: Option<(u32, u32)>,
    entry_bits: u32,
    sigma: u32,
    /// Sums of products are mod 2^this.
    pub(super) ring: u32,
    /// Sums of products of entries are below 2^magnitude.
    magnitude: u32,
}

/// How the sums are brought to a scale: they are multiplied by 2^raise, opened, and divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lift {
    pub(super) raise: u32,
    pub(super) opening: BoundedOpening,
}

/// What the sums are to become: bits of statistical masking, t of the scale 2^t / n, and the fractional bits of
/// both sides of the equations.
#[derive(Clone, Copy)]
pub(super) struct Aim {
    pub(super) sigma: u32,
    pub(super) scale: i32,
    pub(super) matrix: u32,
    pub(super) right: u32,
}

impl CrossPlan {
    /// Fractional bits of entries below `clip` in magnitude.
    pub(super) fn entry_fraction(clip: f64) -> u32 {
        FRACTION.min(ENTRY_BITS - whole_bits(clip))
    }

    /// Elements that are opened to all: sums of products of columns at different parties.
    pub(super) fn masked_elements(facts: &Facts) -> Result<u64, Error> {
        let widths = blocks(facts)?.into_iter().map(|block| block.width() as u64);
        let widths: Vec<u64> = widths.collect();
        let all: u64 = widths.iter().sum();
        Ok((all * all - widths.iter().map(|width| width * width).sum::<u64>()) / 2)
    }

    /// A `basis` of the widest block has so many fractional bits, and a sum of squares of 2^(the second) at
    /// most.
    ///
    /// # Errors
    /// [`Error::Settings`] with the numbers when they do not fit.
    pub(super) fn new(
        settings: &LinearSettings,
        facts: &Facts,
        largest: f64,
        aim: Aim,
        basis: Option<(u32, u32)>,
    ) -> Result<(Self, [Lift; 2]), Error> {
        let (rows, parties) = (facts.total_rows(), facts.parties());
        let fraction = Self::entry_fraction(settings.clip);
        let whole = whole_bits(settings.clip);
        let target_fraction = fraction + whole.min(TARGET_MORE);
        // Cauchy and Schwarz; the squares of a target are at most 1 in the mean.
        let most = |square: f64, fraction: u32| {
            libm::ceil(libm::log2(rows as f64 * square * (1.0 + 1e-9))) as u32 + fraction + 1
        };
        let magnitude = most(largest, 2 * fraction);
        let with_target = most(libm::sqrt(largest), fraction + target_fraction);
        let lift = |magnitude: u32, scale: u32, wanted: u32| {
            let lift = lift(magnitude, (aim.scale, scale, wanted), aim.sigma, parties);
            lift.map_err(|error| {
                Error::Settings(format!(
                    "{rows} rows with columns at different parties need more bits than there are: \
                     {error}. A smaller clip, or a smaller condition, needs fewer"
                ))
            })
        };
        let lifts = [
            lift(magnitude, 2 * fraction, aim.matrix)?,
            lift(with_target, fraction + target_fraction, aim.right)?,
        ];
        let ring = lifts.iter().map(|lift| lift.opening.ring - lift.raise).max().unwrap_or(128);
        // Masks are made for more than 64 bits.
        let ring = ring.max(65);
        let plan = Self {
            blocks: blocks(facts)?,
            parties,
            rows,
            fraction,
            target_fraction,
            basis,
            entry_bits: fraction + whole + 1,
            sigma: aim.sigma,
            ring,
            magnitude,
        };
        if plan.residual_fraction(settings) + plan.row_bits() + 2 > ring {
            let rule = format!(
                "is {}, and the sum of squared residuals of {rows} rows then needs more than {ring} \
                 bits",
                settings.release_bits
            );
            return Err(Error::field("release_bits", rule));
        }
        Ok((plan, lifts))
    }

    /// The same with sums of products in a ring that is large enough for these lifts too.
    pub(super) fn for_lifts(mut self, lifts: &[Lift]) -> Self {
        let rings = lifts.iter().map(|lift| lift.opening.ring - lift.raise);
        self.ring = rings.fold(self.ring, u32::max);
        self
    }

    /// Fractional bits of the entries of a block.
    pub(super) fn fraction_of(&self, block: &Block) -> u32 {
        self.basis_of(block).map_or(self.fraction, |basis| basis.0)
    }

    /// Entries of a block are at most 2^this, the target in its units included.
    pub(super) fn whole_of(&self, block: &Block, clip: f64) -> u32 {
        let most = whole_bits(clip.max(8.0));
        self.basis_of(block).map_or(most, |basis| most.max(basis.1.div_ceil(2))) + 1
    }

    fn basis_of(&self, block: &Block) -> Option<(u32, u32)> {
        self.basis.filter(|_| self.blocks.first() == Some(block))
    }

    /// Who has which of so many columns, and the target behind them.
    pub(super) fn holders(&self, columns: usize) -> Holders {
        let mut party = vec![None; columns + 1];
        for block in &self.blocks {
            for column in 0..block.width() {
                party[place(block, column, columns)] = Some(block.party);
            }
        }
        Holders(party)
    }

    fn row_bits(&self) -> u32 {
        64 - self.rows.leading_zeros()
    }

    /// Fractional bits of the sum of squared residuals.
    pub(super) fn residual_fraction(&self, settings: &LinearSettings) -> u32 {
        2 * (self.fraction + settings.release_bits)
    }

    /// Fractional bits of the revealed sums of squares: these are at most 2 n.
    pub(super) fn sums_fraction(&self, settings: &LinearSettings) -> u32 {
        self.residual_fraction(settings).min(60)
    }

    /// Units of the matrix by which one of its entries may be off that comes out of a product.
    pub(super) fn rounding(&self, lift: Lift) -> f64 {
        let products = (self.parties / 2) as f64 * self.chunks() as f64;
        let scale = lift.raise as i32 - lift.opening.drop as i32;
        0.51 * (self.parties as f64 + 1.0) + libm::ldexp(products, scale)
    }

    /// The shapes of the matrices that are registered: those of all blocks but the last.
    pub(super) fn shapes(&self) -> Vec<MatrixShape> {
        self.owners().map(|block| self.shape(block)).collect()
    }

    fn shape(&self, block: &Block) -> MatrixShape {
        let mut rows = vec![0; self.parties];
        rows[block.party] = self.rows;
        let columns = block.width() as u32;
        let of_basis = self.basis_of(block).map(|_| eliminate::ENTRY_BITS);
        let entry_bits = of_basis.unwrap_or(self.entry_bits);
        MatrixShape { rows, columns, entry_bits, sigma: self.sigma }
    }

    /// The blocks whose party multiplies.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().take(self.blocks.len().saturating_sub(1))
    }

    /// How many vectors the owner at this place multiplies: the columns of those behind it.
    pub(super) fn vectors(&self, owner: usize) -> usize {
        self.blocks[owner + 1..].iter().map(Block::width).sum()
    }

    /// Rows that are multiplied at once.
    fn chunk_rows(&self) -> u64 {
        (CHUNK / (self.vectors(0).max(1) as u64)).max(LEAST_ROWS).min(self.rows)
    }

    /// How often rows are multiplied.
    pub(super) fn chunks(&self) -> usize {
        if self.blocks.len() < 2 { 0 } else { self.rows.div_ceil(self.chunk_rows()) as usize }
    }

    /// The rows of a chunk.
    pub(super) fn chunk(&self, chunk: usize) -> Range<usize> {
        let from = chunk as u64 * self.chunk_rows();
        from as usize..(from + self.chunk_rows()).min(self.rows) as usize
    }

    /// The products of a chunk: for each owner, one for each vector.
    pub(super) fn requests(&self, matrices: &[u32], chunk: usize) -> Vec<Request> {
        let rows = self.chunk(chunk);
        let of = |(owner, (block, &matrix)): (usize, (&Block, &u32))| {
            let mut parts = vec![(0, 0); self.parties];
            parts[block.party] = (rows.start as u64, rows.end as u64);
            let request = Request::OwnedProduct(OwnedProductRequest {
                matrix,
                rows: parts,
                transposed: true,
                ring: self.ring,
                mask_bits: self.ring,
                drop: 0,
                public_columns: 0,
            });
            std::iter::repeat_n(request, self.vectors(owner))
        };
        self.owners().zip(matrices).enumerate().flat_map(of).collect()
    }

    /// What the products cost `me`: a round for each chunk, in which each owner learns masked columns.
    pub(super) fn products_cost(&self, me: usize) -> Cost {
        let mut bytes = vec![0; self.parties];
        for (at, block) in self.owners().enumerate() {
            let elements = self.rows * self.vectors(at) as u64;
            bytes[block.party] = elements * element_bytes(self.ring) as u64;
        }
        bytes[me] = 0;
        Cost { rounds: self.chunks() as u64, bytes, ..Cost::default() }
    }

    /// What the sums cost `me`: the products, and a round in which they are lifted.
    pub(super) fn cost(&self, me: usize, lifts: &[Lift; 2]) -> Cost {
        if self.chunks() == 0 {
            return Cost::to_all(me, self.parties, 0, 0);
        }
        let (entries, targets) = self.sizes();
        let opened = lifts[0].opening.bytes(entries) + lifts[1].opening.bytes(targets);
        self.products_cost(me) + Cost::to_all(me, self.parties, 1, opened).bounded(1)
    }

    /// How many sums of products of entries there are, and of entries with the target.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let mut sizes = (0, 0);
        for (at, owner) in self.owners().enumerate() {
            for other in &self.blocks[at + 1..] {
                let targets = if owner.target {
                    other.columns.len()
                } else if other.target {
                    owner.columns.len()
                } else {
                    0
                };
                sizes.1 += targets;
                sizes.0 += owner.width() * other.width() - targets;
            }
        }
        sizes
    }

    /// For the parties to compare.
    pub(in crate::models) fn canonical(&self) -> (u32, u32, u32, u32, u64) {
        (self.fraction, self.target_fraction, self.ring, self.magnitude, self.chunk_rows())
    }
}

/// The party of each column, the target last.
pub(super) struct Holders(Vec<Option<usize>>);

impl Holders {
    /// Whether one party has the sum of the products of two columns by itself: the ones of an intercept, which
    /// stand behind the target, are everybody's.
    pub(super) fn at_one(&self, i: usize, j: usize) -> bool {
        match (self.0.get(i), self.0.get(j)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// How integers below 2^magnitude at scale `at` are divided by 2^over and brought to scale `wanted`.
pub(super) fn lift(
    magnitude: u32,
    (over, at, wanted): (i32, u32, u32),
    sigma: u32,
    parties: usize,
) -> Result<Lift, mpc_core::Error> {
    let drop = over + at as i32 - wanted as i32;
    let raise = (-drop).max(0) as u32;
    let drop = drop.max(0) as u32;
    let magnitude = (magnitude + raise).max(drop);
    let opening = BoundedOpening::new(magnitude, sigma, drop, parties as u32)?;
    Ok(Lift { raise, opening })
}

/// The place of a block's column among all, the target behind them.
pub(super) fn place(block: &Block, column: usize, columns: usize) -> usize {
    if column < block.columns.len() { block.columns.start + column } else { columns }
}

/// Bits before the point of what is below `clip`.
fn whole_bits(clip: f64) -> u32 {
    libm::ceil(libm::log2(clip.max(1.0))) as u32
}

/// What each party multiplies, the widest first.
pub(super) fn blocks(facts: &Facts) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    for party in 0..facts.parties() {
        let target = facts.holder == Some(party);
        let block = Block { party, columns: facts.columns_of(party)?, target };
        if block.width() > 0 {
            blocks.push(block);
        }
    }
    blocks.sort_by_key(|block| (usize::MAX - block.width(), block.party));
    Ok(blocks)
}
