//! What is kept of an elimination until the release: variances, the check of the revealed coefficients, and
//! the sum of squared residuals (docs/protocols.md 13.3, The widest block).

use mpc_core::protocols::product::FixedLeft;
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Shared};

use super::basis::Corrected;
use super::plan::Elimination;
use crate::error::Error;
use crate::model::Run;
use crate::models::linear::columns::Products;
use crate::models::linear::cross::CrossPlan;
use crate::models::linear::plan::LinearPlan;

/// This party's shares of the equations, of which the widest block is eliminated.
pub(in super::super) struct Eliminated {
    pub(super) products: Products,
    /// Those of the other columns, with what was added to the diagonal.
    pub(super) g: Shared<Z128>,
    pub(super) c: Shared<Z128>,
    /// C: rows are those of the basis; the target's column is the last.
    pub(super) corrected: Shared<Z128>,
    /// C^T, opened under its masks.
    pub(super) left: FixedLeft<Z128>,
    /// What the owner has besides.
    pub(super) owner: Option<Corrected>,
    /// The diagonal of the inverse of all coefficients.
    pub(in super::super) diagonal: Option<Fixed>,
}

/// What the revealed coefficients give with the basis.
pub(in super::super) struct Fitted {
    /// C^T g.
    products: Shared<Z128>,
    /// The coefficients of the basis, g, at the owner; and as integers.
    own: Option<(Vec<f64>, Vec<Z128>)>,
}

impl Eliminated {
    /// The diagonal of the inverse, from that of the reduced one and from the own columns' part.
    pub(super) fn diagonal(
        &self,
        how: &Elimination,
        (inverse, fraction): (&Shared<Z128>, u32),
        variances: &[Z128],
    ) -> Result<Fixed, Error> {
        let (a, r) = how.orders();
        let mut all = Shared::zero(a + r, 1);
        let at = how.variance_fraction(fraction);
        for (i, (column, &value)) in how.widest.columns.clone().zip(variances).enumerate() {
            let own = self.owner.as_ref().map_or(0.0, |owner| owner.diagonal[i]);
            let own = libm::rint(libm::ldexp(own, at as i32 + how.scale - how.units as i32));
            all.as_mut_slice()[column] = value + Z128::from_i128(own as i128);
        }
        for (i, &place) in how.widest.kept.iter().enumerate() {
            let value = inverse.as_slice()[i * (r + 1)];
            all.as_mut_slice()[place] = value.shl(at - fraction);
        }
        Ok(Fixed::new(all, 128, at)?)
    }

    /// Multiplies C^T by the coefficients of the basis that belong to the revealed ones. One round.
    ///
    /// # Errors
    /// Network errors.
    pub(in super::super) async fn fitted(
        &self,
        how: &Elimination,
        values: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Fitted, Error> {
        let a = how.orders().0;
        let one = |v: &f64| libm::ldexp(*v, how.length_fraction() as i32);
        let own = self.owner.as_ref().map(|owner| {
            let g = owner.coefficients(&values[how.widest.columns.clone()]);
            let whole: Vec<f64> = g.iter().map(one).map(libm::rint).collect();
            let back = |v: &f64| libm::ldexp(*v, -(how.length_fraction() as i32));
            let rounded = whole.iter().map(back).collect();
            (rounded, whole.iter().map(|v| Z128::from_i128(*v as i128)).collect::<Vec<_>>())
        });
        let share = own.as_ref().map_or_else(|| vec![Z128::ZERO; a], |own| own.1.clone());
        let right = run.source.take().await?.right128()?;
        let products = self.left.multiply(&Shared::column(share), right, run.session).await?;
        Ok(Fitted { products, own })
    }

    /// What the revealed coefficients leave of the equations of the basis and of the others': zero but for
    /// rounding, at the scale of the plan. Local.
    pub(in super::super) fn gradient(
        &self,
        (plan, how): (&LinearPlan, &Elimination),
        values: &[f64],
        fitted: &Fitted,
        me: usize,
    ) -> Result<Fixed, Error> {
        let (a, r) = how.orders();
        let bits = plan.settings().release_bits;
        let fraction = plan.shared_gradient_fraction();
        let w = whole(&how.widest.kept, values, bits);
        let up = |value: Z128, at: u32| value.shl(fraction - at);
        let mut all = Vec::with_capacity(a + r);
        for (i, row) in self.corrected.as_slice().chunks_exact(r + 1).enumerate() {
            let fits = row.iter().zip(&w).fold(Z128::ZERO, |sum, (&c, &w)| sum + c * w);
            let own = fitted.own.as_ref().map_or(Z128::ZERO, |own| own.1[i]);
            all.push(
                up(row[r].shl(bits) - fits, how.fraction + bits) - up(own, how.length_fraction()),
            );
        }
        let matrix = plan.inverse().fraction() + bits;
        let shift = if me == 0 { Z128(u128::from(plan.shift())) } else { Z128::ZERO };
        for (i, row) in self.g.as_slice().chunks_exact(r).enumerate() {
            let fits = row.iter().zip(&w).fold(Z128::ZERO, |sum, (&g, &w)| sum + g * w);
            let right = up(self.c.as_slice()[i], plan.solution().right_fraction());
            let basis = up(fitted.products.as_slice()[i], how.product_fraction());
            all.push(right - up(fits - shift * w[i], matrix) - basis);
        }
        Ok(Fixed::new(Shared::column(all), 128, fraction)?)
    }

    /// Shares of the three sums of squares: of residuals at the revealed coefficients (in units of half the
    /// target's range, the intercept from its middle), of the target from its middle, and of its squares.
    pub(in super::super) fn sums(
        &self,
        (plan, how): (&LinearPlan, &Elimination),
        cross: &CrossPlan,
        values: &[f64],
        fitted: &Fitted,
    ) -> Result<Fixed, Error> {
        let (settings, columns) = (plan.settings(), plan.encoding().columns);
        let bits = settings.release_bits;
        let r = how.orders().1;
        // With what is fitted by the others' columns alone, at the scale of the products.
        let mut others = values.to_vec();
        others[how.widest.columns.clone()].fill(0.0);
        let places: Vec<usize> = (0..others.len()).collect();
        let others = whole(&places, &others, bits);
        let others: Vec<i128> = others.iter().map(|v| v.0 as i128).collect();
        let (ring, fraction) = plan.sums_of_columns(cross);
        let up = |value: Z128, at: u32| value.shl(fraction - at);
        let at = cross.residual_fraction(settings);
        let mut residual = up(self.products.residual(cross, &others, bits, columns), at);
        // Less twice its products with what the basis fits, and the square of that.
        let w = whole(&how.widest.kept, values, bits);
        let products = fitted.products.as_slice();
        let fits = products[..r].iter().zip(&w).fold(Z128::ZERO, |sum, (&c, &w)| sum + c * w);
        // The rows are nu times as many as what it is over; `fraction` is large enough.
        let at = how.fraction + how.length_fraction() + bits;
        residual -= (products[r].shl(bits) - fits).shl(1 + how.units + fraction - at);
        if let (Some(owner), Some((g, _))) = (&self.owner, &fitted.own) {
            let square = libm::ldexp(owner.square(g), (fraction + how.units) as i32);
            residual += Z128::from_i128(libm::rint(square) as i128);
        }
        let [sum, squares] = self.products.of_target(columns, settings.intercept);
        let sum = up(sum, cross.fraction + cross.target_fraction);
        let squares = up(squares, 2 * cross.target_fraction);
        Ok(Fixed::new(Shared::column(vec![residual, sum, squares]), ring, fraction)?)
    }
}

/// Revealed coefficients of these places as integers: exact, since they were revealed to so many bits.
fn whole(places: &[usize], values: &[f64], bits: u32) -> Vec<Z128> {
    let whole = |&place: &usize| libm::rint(libm::ldexp(values[place], bits as i32)) as i128;
    places.iter().map(whole).map(Z128::from_i128).collect()
}
