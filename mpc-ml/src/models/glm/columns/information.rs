//! The curvature at a revealed model: how it is made and inverted, chosen from public facts
//! (docs/protocols.md 13.4).

use mpc_core::correlations::{MatrixShape, Origin, OwnedProductRequest, Request};
use mpc_core::protocols::solve::InversePlan;
use mpc_core::protocols::truncate::BoundedOpening;

use super::super::inverses::{ABOVE_SLACK, SMALLEST_PART, exponent, from_identity};
use super::super::link::{E_FRACTION, Link, Phasing};
use super::super::plan::X_FRACTION;
use super::plan::ColumnsPlan;
use crate::error::Error;

/// Fractional bits of the variance of a row times its entries, and of the curvature.
pub(super) const WEIGHED_FRACTION: u32 = E_FRACTION + X_FRACTION;
pub(super) const CURVATURE_FRACTION: u32 = WEIGHED_FRACTION + X_FRACTION;
/// Rows that are weighed by one product: as many as fill a ciphertext, with a dealer few.
const MOST_SLOTS: u32 = 64;
const FILLED: f64 = 8192.0;
const SLOTS_OF_A_DEALER: u32 = 4;
/// Elements that are opened to one owner at once, and the rows of a chunk at least.
const CHUNK: u64 = 1 << 21;
const LEAST_ROWS: u64 = 1 << 10;
/// What rounding moves a score by, and more.
const BESIDE: f64 = 0.25;
/// Points at which the variance is looked at.
const GRID: u32 = 1 << 16;
/// How fine variances are, if that can be.
const NOISE: f64 = 1e-3;
/// The margin that is taken off again, as a part of the variance at the mean.
const MOST_MARGIN: f64 = 0.05;
/// Bits that phasors have beside their scale.
const HEADROOMS: [u32; 6] = [76, 80, 84, 88, 94, 100];
/// The least information that is told, in rows.
const LEAST: f64 = 0.25;
/// An inverse has eigenvalues above 2^-this times the largest, at most.
const FINEST: u32 = 44;

/// How the curvature at a model becomes an inverse.
#[derive(Clone, Debug)]
pub(super) struct Information {
    pub(super) link: Link,
    /// What is taken off scores beside what is anyway.
    pub(super) middle: f64,
    pub(super) phasing: Phasing,
    /// What is added to each variance, so that none is negative.
    pub(super) margin: f64,
    /// How variances are opened to the parties that have columns.
    pub(super) variances: BoundedOpening,
    /// Rows that one product weighs, of each part.
    pub(super) slots: Vec<u32>,
    /// The ring of the curvature.
    pub(super) ring: u32,
    /// It is multiplied by 2^raise and opened.
    pub(super) raise: u32,
    pub(super) lift: BoundedOpening,
    /// The matrix that is inverted is the curvature over 2^this.
    pub(super) exponent: u32,
    pub(super) inverse: InversePlan,
    /// Units on its diagonal for rounding.
    pub(super) slack: i128,
}

/// The variances of rows as they are made, for scores between two bounds.
struct Variances {
    link: Link,
    middle: f64,
    phasing: Phasing,
    margin: f64,
    opening: BoundedOpening,
    /// None is larger, the margin in it.
    top: f64,
}

impl Variances {
    fn new(plan: &ColumnsPlan, (low, high): (f64, f64), unit: f64) -> Result<Self, Error> {
        let (parties, sigma) = (plan.parties(), plan.sigma());
        // Scores may leave their window by as much as rounding moves them.
        let edges = (low - BESIDE, high + BESIDE);
        let (link, middle) = Link::variances(plan.settings.family, edges);
        let (from, to) = (edges.0 - middle, edges.1 - middle);
        let (least, most) = extremes(&link, (from, to));
        // Between two points it moves by no more than this.
        let between = (to - from) / f64::from(GRID) * most.max(0.25);
        let rounding = |phasing: &Phasing| {
            let factors = 2.0 * link.series.terms.len() as f64;
            phasing.form.error
                + libm::ldexp(parties as f64 + 2.0, -(E_FRACTION as i32))
                + libm::ldexp(factors, -(link.series.fraction as i32))
                + between
        };
        // Phasors are as fine as the ring of what is opened leaves room for, and that follows from the margin.
        let mut found = None;
        for headroom in HEADROOMS {
            let phasing = |headroom: u32| {
                let noise = NOISE / libm::sqrt(unit.max(1.0));
                let headroom = headroom + link.series.fraction.saturating_sub(E_FRACTION);
                link.phasing(plan.facts.origin, parties, headroom, noise)
            };
            let phasing = phasing(headroom)?;
            let draft = rounding(&phasing);
            let top = most + 2.0 * draft + (draft - least).max(0.0);
            let magnitude = E_FRACTION + libm::ceil(libm::log2(top)).max(0.0) as u32 + 1;
            let opening = BoundedOpening::new(magnitude, sigma, 0, parties as u32 - 1)?;
            if opening.ring <= headroom {
                found = Some((opening, phasing));
                break;
            }
        }
        let (opening, phasing) = found.ok_or_else(|| {
            Error::Settings(
                "the phasors of so many parties are too coarse for standard errors: use a dealer, or set \
                 inference = false"
                    .to_owned(),
            )
        })?;
        // A multiple of the unit of variances, so that it is added exactly.
        let unit_of = libm::ldexp(1.0, -(E_FRACTION as i32));
        let rounding = rounding(&phasing);
        let margin = libm::ceil((rounding - least).max(0.0) / unit_of) * unit_of;
        let top = most + rounding + margin;
        Ok(Self { link, middle, phasing, margin, opening, top })
    }
}

/// The least and the largest value of a series with its constant, on a grid.
fn extremes(link: &Link, (from, to): (f64, f64)) -> (f64, f64) {
    let constant = libm::ldexp(link.constant as f64, -(E_FRACTION as i32));
    let at = |step: u32| from + (to - from) * f64::from(step) / f64::from(GRID);
    let values = (0..=GRID).map(|step| link.series.value(at(step)) + constant);
    values.fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)))
}

/// The curvature as it is made, and what of it is to be told.
struct Curvature {
    /// Over 2^this it is below 15/16.
    exponent: u32,
    /// No entry is above 2^this, at its scale.
    magnitude: u32,
    /// What an entry may be off by before it is lifted.
    off: f64,
    /// The least eigenvalue that is told, over the same power of two.
    least: f64,
}

impl Curvature {
    /// With no variance above `top`.
    fn new(plan: &ColumnsPlan, top: f64, unit: f64) -> Self {
        let (parties, rows) = (plan.parties(), plan.total_rows() as f64);
        // Entries are rounded to fixed point.
        let squares = plan.facts.mean_squares.iter();
        let squares = squares.map(|m| m + libm::sqrt(*m) / 4096.0 + 1e-6);
        let (largest, all) = squares.fold((1.0f64, 1.0), |(most, all), m| (most.max(m), all + m));
        let exponent = exponent(top * rows * all);
        let bits = libm::ceil(libm::log2(top * rows * largest)) as i32;
        let magnitude = (bits + CURVATURE_FRACTION as i32).max(1) as u32 + 1;
        let off = (parties / 2) as f64;
        let chunks = (rows / LEAST_ROWS as f64).max(1.0);
        // Of the products with variances, by Cauchy and Schwarz, and of those with what came of it.
        let off = libm::ldexp(rows * libm::sqrt(largest) * off, -(WEIGHED_FRACTION as i32))
            + libm::ldexp(off * parties as f64 * chunks, -(CURVATURE_FRACTION as i32));
        let least = libm::ldexp(LEAST / unit.max(1.0), -(exponent as i32)).max(SMALLEST_PART);
        Self { exponent, magnitude, off, least }
    }
}

/// How the curvature is lifted and inverted.
struct Inverting {
    inverse: InversePlan,
    slack: i128,
    raise: u32,
    lift: BoundedOpening,
}

impl Inverting {
    /// With the smallest eigenvalues that there is room for.
    fn new(plan: &ColumnsPlan, of: &Curvature) -> Result<Self, Error> {
        let most_bits = (-libm::log2(of.least)).max(1.0);
        let mut refused = Error::Settings(
            "an inverse of so many columns and rows has no room for its rounding: set inference = false"
                .to_owned(),
        );
        for bits in (1..=FINEST).rev().filter(|&bits| f64::from(bits) < most_bits + 1.0) {
            match Self::down_to(libm::ldexp(1.0, -(bits as i32)).max(of.least), plan, of) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// For eigenvalues down to `least`; none where these could not be told from rounding.
    fn down_to(
        least: f64,
        plan: &ColumnsPlan,
        of: &Curvature,
    ) -> Result<Option<Self>, mpc_core::Error> {
        let (parties, order, sigma) = (plan.parties(), plan.order(), plan.sigma());
        let inverse = from_identity((order, parties), sigma, least)?;
        let fraction = inverse.fraction() as i32;
        let scale = fraction - of.exponent as i32;
        let entry = 0.51 * (parties as f64 + 1.0) + libm::ldexp(of.off, scale);
        let slack = libm::ceil(entry * order as f64) + 1.0;
        if ABOVE_SLACK * libm::ldexp(slack, -fraction) > least {
            return Ok(None);
        }
        let drop = CURVATURE_FRACTION as i32 - scale;
        let raise = (-drop).max(0) as u32;
        let drop = drop.max(0) as u32;
        let magnitude = (of.magnitude + raise).max(drop);
        let lift = BoundedOpening::new(magnitude, sigma, drop, parties as u32)?;
        Ok(Some(Self { inverse, slack: slack as i128, raise, lift }))
    }
}

impl Information {
    /// For scores between these, less what is subtracted from them, at the model.
    pub(super) fn new(plan: &ColumnsPlan, scores: (f64, f64), unit: f64) -> Result<Self, Error> {
        let Variances { link, middle, phasing, margin, opening, top } =
            Variances::new(plan, scores, unit)?;
        let curvature = Curvature::new(plan, top, unit);
        let Inverting { inverse, slack, raise, lift } = Inverting::new(plan, &curvature)?;
        Ok(Self {
            link,
            middle,
            phasing,
            margin,
            variances: opening,
            slots: plan.parts.iter().map(|part| slots(plan, part.columns.len())).collect(),
            ring: (lift.ring - raise).max(65),
            raise,
            lift,
            exponent: curvature.exponent,
            inverse,
            slack,
        })
    }

    /// Whether the margin is so small a part of a variance at the mean that it can be taken off again to
    /// less than a hundredth.
    pub(super) fn is_fine(&self, variance: f64) -> bool {
        self.margin <= MOST_MARGIN * variance
    }

    /// The matrix of a part whose rows are spread over its slots.
    pub(super) fn shape(&self, plan: &ColumnsPlan, at: usize) -> MatrixShape {
        let part = &plan.parts[at];
        let mut rows = vec![0; plan.parties()];
        rows[part.owner] = plan.total_rows();
        let columns = self.slots[at] * part.columns.len() as u32;
        MatrixShape { rows, columns, entry_bits: plan.entry_bits(), sigma: plan.sigma() }
    }

    fn request(
        plan: &ColumnsPlan,
        (at, matrix): (usize, u32),
        (from, to): (u64, u64),
        (ring, mask_bits): (u32, u32),
    ) -> Request {
        let mut rows = vec![(0, 0); plan.parties()];
        rows[plan.parts[at].owner] = (from, to);
        Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows,
            transposed: true,
            ring,
            mask_bits,
            drop: 0,
            public_columns: 0,
        })
    }

    /// What weighs the rows of a part, in order.
    pub(super) fn weighing(&self, plan: &ColumnsPlan, at: usize, matrix: u32) -> Vec<Request> {
        let (rows, slots) = (plan.total_rows(), u64::from(self.slots[at]));
        let masks = (128, self.variances.mask_bits());
        let chunks = (0..rows.div_ceil(slots)).map(|chunk| {
            let part = (chunk * slots, rows.min((chunk + 1) * slots));
            Self::request(plan, (at, matrix), part, masks)
        });
        chunks.collect()
    }

    /// Columns that part `at` is multiplied with: its own and those behind it.
    pub(super) fn vectors(plan: &ColumnsPlan, at: usize) -> usize {
        plan.parts[at..].iter().map(|part| part.columns.len()).sum()
    }

    /// The rows that are multiplied at once.
    pub(super) fn chunks(plan: &ColumnsPlan) -> Vec<(u64, u64)> {
        let rows = plan.total_rows();
        let each = (CHUNK / Self::vectors(plan, 0).max(1) as u64).max(LEAST_ROWS);
        let starts = (0..rows.div_ceil(each)).map(|at| at * each);
        starts.map(|from| (from, rows.min(from + each))).collect()
    }

    /// What multiplies a chunk of rows, in order.
    pub(super) fn multiplying(
        &self,
        plan: &ColumnsPlan,
        matrices: &[u32],
        chunk: (u64, u64),
    ) -> Vec<Request> {
        let mut requests = Vec::new();
        for (at, &matrix) in matrices.iter().enumerate() {
            let request = Self::request(plan, (at, matrix), chunk, (self.ring, self.ring));
            requests.extend(std::iter::repeat_n(request, Self::vectors(plan, at)));
        }
        requests
    }

    /// Elements that are opened under statistical masks.
    pub(super) fn masked_elements(rows: u64, owners: u64, order: u64) -> u64 {
        // The variances, the curvature, and an inverse of as many steps as there may be.
        rows * owners
            + order * order
            + crate::inference::INVERSE_STEPS * (5 * order * order / 2 + 3 * order)
    }
}

/// Rows of a part that one product weighs.
fn slots(plan: &ColumnsPlan, columns: usize) -> u32 {
    let fill = match plan.facts.origin {
        Origin::Dealer => SLOTS_OF_A_DEALER,
        Origin::Pairwise => libm::sqrt(FILLED / columns as f64) as u32,
    };
    fill.clamp(1, MOST_SLOTS).min(plan.total_rows().min(64) as u32)
}
