//! Scales and bounds of an elimination, chosen from public facts (docs/protocols.md 13.3, The widest
//! block).

use std::ops::Range;

use mpc_core::protocols::truncate::BoundedOpening;

use super::super::LinearSettings;
use super::super::cross::{Block, CrossPlan, Lift, blocks, lift};
use super::cost::sizes;
use crate::error::Error;
use crate::model::Facts;

/// Fractional bits of the own columns' basis, at most.
const BASIS_FRACTION: u32 = 24;
/// Bits of an entry of a registered matrix, and the sign.
pub(in super::super) const ENTRY_BITS: u32 = 30;
/// Fractional bits of what is multiplied with itself, at most and at least.
const FRACTIONS: [u32; 2] = [42, 24];
/// Fractional bits of the matrix that takes the coefficients of the basis to those of the columns, at most.
const COLUMNS_FRACTION: u32 = 30;
/// What covers rounding in bounds of magnitudes.
const SLACK: f64 = 1.0 + 1.0 / 32.0;

/// Who eliminates what: public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Widest {
    pub(in super::super) party: usize,
    /// Its columns of the design matrix.
    pub(in super::super) columns: Range<usize>,
    /// The places of all other coefficients, the intercept last.
    pub(in super::super) kept: Vec<usize>,
}

impl Widest {
    /// The columns of the first of the blocks, if anything is left beside them.
    pub(in super::super) fn of(facts: &Facts, intercept: bool) -> Result<Option<Self>, Error> {
        let Some(Block { party, columns, .. }) = blocks(facts)?.into_iter().next() else {
            return Ok(None);
        };
        let weights = facts.columns() + usize::from(intercept);
        let kept: Vec<usize> = (0..weights).filter(|place| !columns.contains(place)).collect();
        let some = !columns.is_empty() && !kept.is_empty();
        Ok(some.then_some(Self { party, columns, kept }))
    }
}

/// How the columns of one party are eliminated.
#[derive(Clone, Debug)]
pub(in super::super) struct Elimination {
    pub(in super::super) widest: Widest,
    pub(super) parties: usize,
    pub(super) sigma: u32,
    /// Sums over rows are divided by 2^this, nu.
    pub(super) units: u32,
    /// The shared equations are those over 2^this, less than that of `units` or more.
    pub(super) scale: i32,
    /// Fractional bits of the basis.
    pub(super) basis: u32,
    /// kappa: no row of the matrix that makes the basis is longer.
    pub(super) longest: f64,
    /// rho, and f_R of its correction.
    pub(super) rho: f64,
    pub(super) correction: u32,
    /// f_C, and f_c of the coarse summand.
    pub(super) fraction: u32,
    pub(super) coarse: u32,
    /// f_1 and f_2.
    pub(super) back: [u32; 2],
    /// f_U.
    pub(super) columns_fraction: u32,
    /// How the sums of products of the basis with other columns are lifted, and with the target.
    pub(in super::super) lifts: [Lift; 2],
    /// How the three products with the owner's matrix are opened.
    pub(super) parts: [BoundedOpening; 3],
    /// How the two summands of the product are opened.
    pub(super) products: [BoundedOpening; 2],
    /// The trace of the others' matrix and the target's square, over nu.
    trace: f64,
    /// The same of the own columns, with the penalty.
    own_trace: f64,
    /// How far the sums of products of columns may be off, over nu.
    made: f64,
    /// How many sums there are of the basis with others' columns, and of others' columns among themselves and with the
    /// target: those of columns at different parties.
    pub(super) sizes: [usize; 4],
    /// Whether the product is used again to check what is revealed, and whether there are standard errors.
    pub(super) checked: bool,
    pub(super) errors: bool,
}

/// What an elimination is planned for.
pub(in super::super) struct Wanted<'a> {
    pub(in super::super) settings: &'a LinearSettings,
    pub(in super::super) facts: &'a Facts,
    pub(in super::super) widest: Widest,
    pub(in super::super) condition: f64,
    pub(in super::super) sigma: u32,
    /// t: the equations are those over 2^t.
    pub(in super::super) scale: i32,
    /// Bounds on mean squares of all coefficients, rounding included, without the penalty.
    pub(in super::super) squares: &'a [f64],
    /// Fractional bits of the matrix that is inverted, and of the inverse.
    pub(in super::super) matrix: u32,
    pub(in super::super) inverse: u32,
}

impl Elimination {
    /// Fractional bits of the basis of so many rows, and the exponent of nu: entries are below its root.
    pub(in super::super) fn basis(rows: u64) -> (u32, u32) {
        let units = units(rows);
        (BASIS_FRACTION.min(ENTRY_BITS - 1 - units.div_ceil(2)), units)
    }

    /// Elements that are opened under statistical masks, besides those of columns that are multiplied.
    pub(in super::super) fn masked_elements(widest: &Widest) -> u64 {
        let (a, r) = (widest.columns.len() as u64, widest.kept.len() as u64);
        4 * a * (r + 1) + r * (r + 3)
    }

    /// Entries of the matrix that is registered.
    pub(in super::super) fn entries(widest: &Widest) -> u64 {
        let a = widest.columns.len() as u64;
        3 * a * a
    }

    /// # Errors
    /// [`Error::Settings`] when there are not bits enough.
    pub(in super::super) fn new(wanted: &Wanted<'_>, cross: &CrossPlan) -> Result<Self, Error> {
        let mut last = Err(Error::untold("scales"));
        for fraction in (FRACTIONS[1]..=FRACTIONS[0]).rev() {
            last = Self::with(wanted, cross, fraction);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn with(wanted: &Wanted<'_>, cross: &CrossPlan, fraction: u32) -> Result<Self, Error> {
        let &Wanted { settings, facts, ref widest, condition, sigma, scale, squares, .. } = wanted;
        let (parties, rows) = (facts.parties(), facts.total_rows());
        let too_few = |what: &str| {
            Error::Settings(format!(
                "the columns of party {} cannot be eliminated at condition {condition}: {what} needs more \
                 bits than there are beside {sigma} bits of masking",
                widest.party + 1
            ))
        };
        let opening = |what: &str, magnitude: i64, drop: u32| {
            let magnitude = u32::try_from(magnitude.max(1)).unwrap_or(128).max(drop);
            BoundedOpening::new(magnitude, sigma, drop, parties as u32).map_err(|_| too_few(what))
        };
        let (basis, units) = Self::basis(rows);
        let over = rows as f64 / libm::ldexp(1.0, units as i32);
        let a = widest.columns.len() as f64;
        // The bounds on mean squares, over nu, and the target's.
        let kept: Vec<f64> = widest.kept.iter().map(|&place| over * squares[place]).collect();
        let largest = kept.iter().fold(over, |a: f64, &b| a.max(b));
        let trace = kept.iter().sum::<f64>() + over;
        let own_squares: f64 = widest.columns.clone().map(|place| squares[place]).sum();
        let own_trace = over * (own_squares + settings.l2);
        let root = libm::sqrt(largest) * SLACK;
        let longest = condition / libm::sqrt(over);
        let rho_bits = (f64::from(basis) - libm::log2(a) / 2.0).clamp(1.0, 16.0) as i32;
        let rho = libm::ldexp(1.0, -rho_bits);
        let budget = i64::from(128 - sigma.min(128))
            - i64::from((parties as u32 + 1).next_power_of_two().ilog2());
        let room = budget - i64::from(fraction);

        // Step 4. The basis has columns of squares nu at most.
        let sums = |what: &str, square: f64, others: u32| {
            let nu_rows = libm::sqrt(square * over) * SLACK;
            let at = basis + others;
            let magnitude = i64::from(units + at) + bits(nu_rows);
            let magnitude = u32::try_from(magnitude).unwrap_or(128);
            lift(magnitude, (units as i32, at, fraction), sigma, parties).map_err(|_| too_few(what))
        };
        let most = squares_of(widest, squares);
        let lifts = [
            sums("sums of products", most, cross.fraction)?,
            sums("sums of products with the target", 1.0, cross.target_fraction)?,
        ];

        // Step 5.
        let entry = i64::from(ENTRY_BITS - 1);
        let within = |bits: i64| u32::try_from(bits).ok();
        let correction = within((entry + i64::from(rho_bits)).min(room - bits(rho * root)));
        let first =
            within((entry - bits(2.0 * longest)).min(room - bits(2.0 * longest * root) - 1));
        let (Some(correction), Some(first)) = (correction, first) else {
            return Err(too_few("the matrix of its own columns"));
        };
        let left = libm::sqrt(a) * root * libm::ldexp(1.0, -(first as i32));
        let second = within((i64::from(first) + entry).min(room - bits(left)));
        let second = second.filter(|&second| second >= first);
        let second = second.ok_or_else(|| too_few("the matrix of its own columns"))?;
        // Of the variances: U X U^T at the scales of all three, below the square of kappa over 2^(t - units).
        let scales = libm::ldexp(longest * longest, scale - units as i32);
        let variances = (120 - i64::from(wanted.inverse) - bits(scales)) / 2;
        let columns_fraction = i64::from(COLUMNS_FRACTION).min(variances);
        let columns_fraction = within(columns_fraction).map(|it| it.min(first + fraction));
        let columns_fraction = columns_fraction.filter(|&it| it >= 12);
        let columns_fraction = columns_fraction.ok_or_else(|| too_few("a variance"))?;
        let part = |what: &str, at: u32, bound: f64, wanted: u32| {
            opening(what, i64::from(fraction + at) + bits(bound), fraction + at - wanted)
        };
        let back = 2.0 * longest * root + left;
        let parts = [
            part("the correction of the basis", correction, rho * root, fraction)?,
            part("what belongs to its columns", first, back, columns_fraction)?,
            part("what is left of what belongs to its columns", second, left, columns_fraction)?,
        ];

        // Step 6.
        let coarse = within((room - bits(largest * SLACK)).min(i64::from(fraction)));
        let coarse = coarse.filter(|&it| it > 0).ok_or_else(|| too_few("the product"))?;
        let rest = libm::sqrt(a) * (parties as f64 + 1.0) * libm::ldexp(1.0, -(coarse as i32));
        let rest = root * (rest + rho * root) * SLACK;
        // No more is dropped than there is.
        let drop =
            |at: u32| (at as i32 + scale - units as i32 - wanted.matrix as i32).max(0) as u32;
        let product =
            |at: u32, bound: f64| opening("the product", i64::from(at) + bits(bound), drop(at));
        let products = [product(fraction + coarse, largest * SLACK)?, product(2 * fraction, rest)?];
        let unit = libm::ldexp(1.0, -((basis + cross.fraction + units) as i32));
        let made = cross.chunks() as f64 * (parties / 2) as f64 * unit;
        Ok(Self {
            widest: widest.clone(),
            parties,
            sigma,
            units,
            scale,
            basis,
            longest,
            rho,
            correction,
            fraction,
            coarse,
            back: [first, second],
            columns_fraction,
            lifts,
            parts,
            products,
            trace,
            own_trace,
            made,
            sizes: sizes(facts, widest)?,
            checked: facts.for_all(),
            errors: settings.std_errors(),
        })
    }

    /// a, and r.
    pub(super) fn orders(&self) -> (usize, usize) {
        (self.widest.columns.len(), self.widest.kept.len())
    }

    /// s: by so much of one the corrected basis is made smaller.
    pub(super) fn smaller(&self) -> f64 {
        let a = self.widest.columns.len() as f64;
        libm::ldexp(a, -(self.correction as i32)) + libm::ldexp(1.0, -40)
    }

    /// The norm of all errors of what is multiplied with itself.
    fn error(&self) -> f64 {
        let (a, r) = self.orders();
        let elements = (a * (r + 1)) as f64;
        let unit = libm::ldexp(self.parties as f64 + 1.0, -(self.fraction as i32));
        libm::sqrt(elements) * (unit * SLACK + self.made)
    }

    /// How far the equations may be off in norm, in units of 2^-`fraction` of the equations; an entry that is
    /// lifted is off by `rounding` of them besides.
    pub(in super::super) fn shift(&self, fraction: u32, rounding: f64) -> f64 {
        let error = self.error();
        let moved = 2.0 * libm::sqrt(self.trace) * error + error * error;
        let down = self.units as i32 - self.scale;
        let products = 0.51 * 2.0 * (self.parties as f64 + 1.0) + 1.0;
        let entries = (self.widest.kept.len() + 1) as f64;
        libm::ldexp(moved, fraction as i32 + down) + (rounding + products) * entries
    }

    /// What rounding leaves of the gradient, at most, where the coefficients have this length: over the basis and
    /// over the rest. `released` is what release rounds off a coefficient, `rest` is left of the reduced
    /// equations, and `matrix` is what their rounding does.
    pub(in super::super) fn largest_gradient(
        &self,
        (released, rest, matrix): (f64, f64, f64),
        length: f64,
    ) -> f64 {
        let (a, r) = self.orders();
        let (a, r) = (a as f64, r as f64);
        let fraction = |bits: u32| libm::ldexp(1.0, -(bits as i32));
        let with = libm::sqrt(1.0 + length * length);
        let (roots, own) = (libm::sqrt(self.trace), libm::sqrt(self.own_trace) * SLACK);
        let lifted = libm::sqrt(a * (r + 1.0)) * (self.parties as f64 + 1.0);
        let columns = lifted * fraction(self.columns_fraction)
            + a * fraction(self.back[1] + 1) * roots * SLACK;
        let basis = 2.0 * self.error() * with
            + own * (columns * with + libm::sqrt(a) * released)
            + roots * libm::sqrt(r) * released
            + roots * with * (4.0 * self.smaller() + fraction(40))
            + libm::sqrt(a) * fraction(self.length_fraction());
        let over = roots * libm::ldexp(1.0, self.units as i32 - self.scale);
        basis * (1.0 + over) + rest + libm::sqrt(r) * released + matrix * (1.0 + length)
    }

    /// Fractional bits of the coefficients of the basis at what was revealed.
    pub(super) fn length_fraction(&self) -> u32 {
        COLUMNS_FRACTION
    }

    /// Fractional bits of the products of C with them, over 2^`scale`.
    pub(super) fn product_fraction(&self) -> u32 {
        let fraction = (self.fraction + self.length_fraction()) as i32;
        (fraction + self.scale - self.units as i32).max(0) as u32
    }

    /// Fractional bits at which the gradient of all coefficients is shared, given that of the equations of the
    /// others' and the bits of the release.
    pub(in super::super) fn gradient_fraction(&self, others: u32, release: u32) -> u32 {
        others.max(self.fraction + release).max(self.length_fraction()).max(self.product_fraction())
    }

    /// Fractional bits of the variances over the own columns.
    pub(in super::super) fn variance_fraction(&self, inverse: u32) -> u32 {
        2 * self.columns_fraction + inverse
    }

    /// Fractional bits of the coefficients.
    pub(in super::super) fn coefficient_fraction(&self, solution: u32) -> u32 {
        self.columns_fraction + solution
    }

    /// Fractional bits of the sum of squared residuals, given those of the products of columns with revealed
    /// coefficients.
    pub(in super::super) fn residual_fraction(&self, products: u32, release: u32) -> u32 {
        let found = (self.fraction + self.length_fraction() + release).saturating_sub(self.units);
        products.max(found)
    }

    /// For the parties to compare.
    pub(in super::super) fn canonical(&self) -> impl serde::Serialize {
        let found = (self.fraction, self.coarse, self.back, self.columns_fraction);
        (self.widest.party as u64, self.units, self.basis, self.correction, found)
    }
}

/// The exponent of the least power of two that is at least so much.
fn units(rows: u64) -> u32 {
    rows.next_power_of_two().ilog2()
}

/// The exponent of a power of two that is at least so much.
fn bits(bound: f64) -> i64 {
    libm::ceil(libm::log2(bound) + 1e-9) as i64
}

/// The largest bound on the mean square of another party's column.
fn squares_of(widest: &Widest, squares: &[f64]) -> f64 {
    widest.kept.iter().fold(0.0, |a: f64, &place| a.max(squares[place]))
}
