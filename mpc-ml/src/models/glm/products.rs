//! Products with matrices that their owners know, and with a left factor that is opened once, of
//! shares that know their scale (docs/protocols.md 2 and 4).

use std::ops::Range;
use std::sync::Arc;

use mpc_core::correlations::{
    LeftFactor, OwnRows, OwnedProduct, OwnedProductRequest, Request, RightFactor,
};
use mpc_core::protocols::owned;
use mpc_core::protocols::product::FixedLeft;
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::{Z64, Z128};
use mpc_core::{Batch, Fixed, Recipients, Session, Shared};
use zeroize::Zeroizing;

use crate::error::Error;

/// A registered matrix, as its owners' rows in fixed point.
#[derive(Clone)]
pub(super) struct Matrix {
    /// Its number at the source.
    pub(super) number: u32,
    pub(super) own: Arc<OwnRows>,
    pub(super) fraction: u32,
    /// Where the rows of each party stand in the stack of all.
    pub(super) places: Vec<Range<usize>>,
}

/// How a stacked vector is opened to the owners of its rows.
#[derive(Clone, Copy)]
pub(super) enum Opening {
    /// Under masks that are uniform in a ring of so many bits: nothing needs to be bounded.
    Uniform(u32),
    /// Lifted to the whole ring (3b).
    Bounded(BoundedOpening),
}

impl Opening {
    fn mask_bits(self) -> u32 {
        match self {
            Self::Uniform(bits) => bits,
            Self::Bounded(spec) => spec.mask_bits(),
        }
    }

    /// The ring of the product.
    pub(super) fn ring(self) -> u32 {
        match self {
            Self::Uniform(bits) => bits,
            Self::Bounded(_) => 128,
        }
    }

    /// The ring of what is sent.
    pub(super) fn sent(self) -> u32 {
        match self {
            Self::Uniform(bits) => bits,
            Self::Bounded(spec) => spec.ring,
        }
    }
}

impl Matrix {
    fn rows(&self) -> Vec<(u64, u64)> {
        self.places.iter().map(|place| (0, place.len() as u64)).collect()
    }

    /// What [`forward`](Self::forward) takes.
    pub(super) fn forward_request(&self) -> Request {
        Request::OwnedProduct(OwnedProductRequest {
            matrix: self.number,
            rows: self.rows(),
            transposed: false,
            ring: 64,
            // mu is uniform mod 2^64: what is opened is masked, not bounded.
            mask_bits: 128,
            drop: 64,
            public_columns: 0,
        })
    }

    /// What [`transposed`](Self::transposed) takes.
    pub(super) fn transposed_request(&self, opening: Opening) -> Request {
        Request::OwnedProduct(OwnedProductRequest {
            matrix: self.number,
            rows: self.rows(),
            transposed: true,
            ring: opening.ring(),
            mask_bits: opening.mask_bits(),
            drop: 0,
            public_columns: 0,
        })
    }

    /// X v, stacked over the rows of all parties, at the sum of the scales, in the ring of v, which is
    /// at most 2^64. One round: v is opened under masks that are uniform in its ring.
    pub(super) async fn forward(
        &self,
        v: &Fixed,
        product: OwnedProduct<Z64>,
        session: &mut Session,
    ) -> Result<(Shared<Z64>, u32), Error> {
        let (share, ring, fraction) = v.parts();
        let masked = share.as_slice().iter().zip(product.rho.iter());
        let masked = masked.map(|(v, rho)| Z64((v.0 as u64).wrapping_add((rho.0 >> 64) as u64)));
        let masked = Shared::column(masked.collect());
        let mut round = Batch::new("glm/open-coefficients");
        let slot = round.masked(&masked, ring.min(64), Recipients::All);
        let opened = session.open(round).await?;
        let public: Vec<i128> = opened.at(slot).iter().map(|c| c.0 as i128).collect();
        let place = self.places[session.me()].clone();
        let z = owned::forward(self.own.entries(), place, &public, product.product);
        Ok((z, self.fraction + fraction))
    }

    /// X^T e for one e a row, stacked over the rows of all parties, at the sum of the scales. One round:
    /// each part of e is opened to the owner of its rows, under the masks of the other parties.
    pub(super) async fn transposed(
        &self,
        e: &Fixed,
        opening: Opening,
        product: OwnedProduct<Z128>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let (share, ring, fraction) = e.parts();
        if ring < opening.sent() {
            return Err(Error::Settings(format!(
                "values mod 2^{ring} are not known mod 2^{}",
                opening.sent()
            )));
        }
        let me = session.me();
        let mut round = Batch::new("glm/open-residuals");
        let mut mine = None;
        for (owner, place) in self.places.iter().enumerate() {
            let mut part = share.slice(place.clone())?;
            // The owner adds no mask of its own, which would hide nothing from itself.
            let rho = if owner == me { &[][..] } else { &product.rho[place.clone()] };
            let to = Recipients::One(owner);
            let slot = match opening {
                Opening::Uniform(bits) => {
                    for (value, &rho) in part.as_mut_slice().iter_mut().zip(rho) {
                        *value += rho;
                    }
                    round.masked(&part, bits, to)
                }
                Opening::Bounded(spec) => spec.push(&part, rho, to, &mut round, session)?,
            };
            if owner == me {
                mine = Some(slot);
            }
        }
        let opened = session.open(round).await?;
        let slot = mine.ok_or_else(|| Error::Settings("this node owns no rows".to_owned()))?;
        let public = match opening {
            Opening::Uniform(_) => {
                Zeroizing::new(opened.at(slot).iter().map(|c| c.0 as i128).collect())
            }
            Opening::Bounded(spec) => {
                spec.accept(opened.at(slot), &[], "glm/open-residuals", session)?;
                spec.public_part(opened.at(slot))
            }
        };
        let product = owned::transposed(self.own.entries(), &public, product.product);
        Ok(Fixed::new(product, opening.ring(), self.fraction + fraction)?)
    }
}

/// A shared matrix that was opened once, under a mask that stays, and is multiplied again and again.
pub(super) struct Factor {
    left: FixedLeft<Z128>,
    ring: u32,
    fraction: u32,
}

impl Factor {
    /// Opens x, and multiplies it by y in the same round.
    pub(super) async fn open(
        x: &Fixed,
        y: &Fixed,
        (left, right): (LeftFactor<Z128>, RightFactor<Z128>),
        session: &mut Session,
    ) -> Result<(Self, Fixed), Error> {
        let mut round = Batch::new("glm/open-factors");
        let e = FixedLeft::push(x.parts().0, left, &mut round)?;
        let f = FixedLeft::push_right(y.parts().0, right, &mut round)?;
        let opened = session.open(round).await?;
        let left = FixedLeft::opened(e, &opened);
        let share = left.finish(f, &opened, session);
        let factor = Self { left, ring: x.ring(), fraction: x.fraction() };
        let product = factor.of(share, y)?;
        Ok((factor, product))
    }

    /// x y. One round.
    pub(super) async fn times(
        &self,
        y: &Fixed,
        right: RightFactor<Z128>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let share = self.left.multiply(y.parts().0, right, session).await?;
        self.of(share, y)
    }

    fn of(&self, share: Shared<Z128>, y: &Fixed) -> Result<Fixed, Error> {
        Ok(Fixed::new(share, self.ring.min(y.ring()), self.fraction + y.fraction())?)
    }
}
