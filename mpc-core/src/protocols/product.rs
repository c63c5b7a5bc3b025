//! Products of shared matrices by Beaver triples (docs/protocols.md 2; Beaver, CRYPTO '91).
//!
//! With shares a of A, b of B and c of A B, open E = X - A and F = Y - B; then the shares
//! E b + a F + c, to which party 0 adds the public E F, are shares of X Y.

use std::fmt;

use crate::correlations::{LeftFactor, RightFactor, TripleId};
use crate::error::Error;
use crate::ring::{Ring, Z128, kernels, wire};
use crate::session::{Batch, Cost, Opened, Recipients, Session, Slot};
use crate::share::{Fixed, Shared};

/// A left operand whose E = X - A is open. It can be multiplied again and again, each time with a
/// right factor of its own; A never meets a second E, because it was consumed here.
pub struct FixedLeft<R: Ring> {
    left: LeftFactor<R>,
    e: Vec<R>,
}

/// A left operand on its way into a batch.
#[must_use = "the operand is open only after `FixedLeft::opened`"]
pub struct PendingLeft<R: Ring> {
    left: LeftFactor<R>,
    slot: Slot,
}

/// A product on its way into a batch.
#[must_use = "the product is there only after `finish`"]
pub struct PendingProduct<R: Ring> {
    right: RightFactor<R>,
    slot: Slot,
}

impl<R: Ring> fmt::Debug for FixedLeft<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedLeft").field("left", &self.left).finish_non_exhaustive()
    }
}

fn masked<R: Ring>(x: &Shared<R>, mask: &Shared<R>) -> Result<Shared<R>, Error> {
    if (x.rows(), x.columns()) != (mask.rows(), mask.columns()) {
        return Err(Error::internal("the factor of a triple has another shape than the operand"));
    }
    let mut difference = x.clone();
    difference -= mask;
    Ok(difference)
}

/// Whether a right factor can be one for this left factor: by its shape, and by the order that they
/// were made for.
fn fit<R: Ring>(left: &LeftFactor<R>, right: &RightFactor<R>) -> bool {
    (left.a.columns(), left.a.rows()) == (right.b.rows(), right.ab.rows())
        && right.b.columns() == right.ab.columns()
        && TripleId::fit(left.triple, right.triple)
}

fn check<R: Ring>(left: &LeftFactor<R>, right: &RightFactor<R>) -> Result<(), Error> {
    let why = || Error::internal("the right factor of a triple was made for another left factor");
    fit(left, right).then_some(()).ok_or_else(why)
}

impl<R: Ring> FixedLeft<R> {
    /// Puts E = X - A into a batch. MaskSite: `TripleLeft`.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn push(
        x: &Shared<R>,
        left: LeftFactor<R>,
        batch: &mut Batch,
    ) -> Result<PendingLeft<R>, Error> {
        Self::push_mod(x, left, R::BITS, batch)
    }

    /// [`push`](Self::push) for an X that is known mod 2^`bits`.
    fn push_mod(
        x: &Shared<R>,
        left: LeftFactor<R>,
        bits: u32,
        batch: &mut Batch,
    ) -> Result<PendingLeft<R>, Error> {
        let slot = batch.masked(&masked(x, &left.a)?, bits, Recipients::All);
        Ok(PendingLeft { left, slot })
    }

    /// The operand, after the batch was opened.
    #[must_use]
    pub fn opened(pending: PendingLeft<R>, opened: &Opened) -> Self {
        let e = opened.at(pending.slot).iter().map(|v| R::from_u128(v.0)).collect();
        Self { left: pending.left, e }
    }

    /// Puts F = Y - B into a batch. MaskSite: `TripleRight`.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn push_right(
        y: &Shared<R>,
        right: RightFactor<R>,
        batch: &mut Batch,
    ) -> Result<PendingProduct<R>, Error> {
        Self::push_right_mod(y, right, R::BITS, batch)
    }

    /// [`push_right`](Self::push_right) for a Y that is known mod 2^`bits`.
    fn push_right_mod(
        y: &Shared<R>,
        right: RightFactor<R>,
        bits: u32,
        batch: &mut Batch,
    ) -> Result<PendingProduct<R>, Error> {
        let slot = batch.masked(&masked(y, &right.b)?, bits, Recipients::All);
        Ok(PendingProduct { right, slot })
    }

    /// This party's share of X Y, after the batch was opened. Local.
    ///
    /// # Panics
    /// When the right factor was made for another left factor: what would come out has nothing to do
    /// with X Y.
    #[must_use]
    pub fn finish(
        &self,
        pending: PendingProduct<R>,
        opened: &Opened,
        session: &Session,
    ) -> Shared<R> {
        assert!(fit(&self.left, &pending.right), "the factors of a triple belong together");
        let f: Vec<R> = opened.at(pending.slot).iter().map(|v| R::from_u128(v.0)).collect();
        let (k, n) = (self.left.a.columns(), pending.right.b.columns());
        let mut product = pending.right.ab;
        let out = product.as_mut_slice();
        kernels::add_product(&self.e, pending.right.b.as_slice(), out, k, n);
        kernels::add_product(self.left.a.as_slice(), &f, out, k, n);
        if session.me() == 0 {
            kernels::add_product(&self.e, &f, out, k, n);
        }
        product
    }

    /// X Y for a fixed X. One round.
    ///
    /// # Errors
    /// When the shapes differ, the factor was made for another left factor, or the network fails.
    pub async fn multiply(
        &self,
        y: &Shared<R>,
        right: RightFactor<R>,
        session: &mut Session,
    ) -> Result<Shared<R>, Error> {
        check(&self.left, &right)?;
        let mut batch = Batch::new("product/fixed-left");
        let pending = Self::push_right(y, right, &mut batch)?;
        let opened = session.open(batch).await?;
        Ok(self.finish(pending, &opened, session))
    }
}

/// X Y of shared matrices, with a triple of its own. One round; [`cost`].
///
/// # Errors
/// When the shapes differ, the factors do not belong together, or the network fails.
pub async fn multiply<R: Ring>(
    x: &Shared<R>,
    y: &Shared<R>,
    left: LeftFactor<R>,
    right: RightFactor<R>,
    session: &mut Session,
) -> Result<Shared<R>, Error> {
    check(&left, &right)?;
    let mut batch = Batch::new("product");
    let x = FixedLeft::push(x, left, &mut batch)?;
    let y = FixedLeft::push_right(y, right, &mut batch)?;
    let opened = session.open(batch).await?;
    Ok(FixedLeft::opened(x, &opened).finish(y, &opened, session))
}

/// What [`multiply`] costs for X of m x k and Y of k x n.
#[must_use]
pub fn cost<R: Ring>(m: usize, k: usize, n: usize, session: &Session) -> Cost {
    let bytes = (m * k + k * n) * wire::element_bytes(R::BITS);
    Cost::to_all(session.me(), session.parties(), 1, bytes as u64)
}

/// X Y of matrices of reals: in the smaller ring of the two, at the sum of their scales. With a
/// triple of its own; opened mod 2^(that ring). One round; [`cost_fixed`].
///
/// # Errors
/// When shapes do not fit, the factors do not belong together, the scale becomes too large, or the
/// network fails.
pub async fn multiply_fixed(
    x: &Fixed,
    y: &Fixed,
    left: LeftFactor<Z128>,
    right: RightFactor<Z128>,
    session: &mut Session,
) -> Result<Fixed, Error> {
    check(&left, &right)?;
    let ring = x.ring().min(y.ring());
    // The scale is refused before anything is sent.
    let product = Fixed::new(Shared::zero(0, 0), ring, x.fraction() + y.fraction())?;
    let mut batch = Batch::new("product/fixed");
    let e = FixedLeft::push_mod(x.share(), left, ring, &mut batch)?;
    let f = FixedLeft::push_right_mod(y.share(), right, ring, &mut batch)?;
    let opened = session.open(batch).await?;
    let share = FixedLeft::opened(e, &opened).finish(f, &opened, session);
    Fixed::new(share, product.ring(), product.fraction())
}

/// What [`multiply_fixed`] costs for X of m x k and Y of k x n in a common ring 2^`ring`.
#[must_use]
pub fn cost_fixed(ring: u32, (m, k, n): (usize, usize, usize), session: &Session) -> Cost {
    let bytes = (m * k + k * n) * wire::element_bytes(ring);
    Cost::to_all(session.me(), session.parties(), 1, bytes as u64)
}
