//! A party's half of the dealer's correlations: pure algebra on streams and corrections.

use zeroize::Zeroizing;

use super::streams::Streams;
use crate::correlations::{
    BitTriples, Correlation, LeftFactor, MatrixShape, OwnedProduct, OwnedProductRequest,
    PhasorRequest, Phasors, RandomBits, RandomBitsRequest, Request, RightFactor,
};
use crate::rand::Prg;
use crate::ring::wire::{decode, element_bytes};
use crate::ring::{PackedBits, Ring, Z64, Z128, kernels};
use crate::share::{Shared, SharedBits};
use crate::trig;

/// D = X - A of one owner's rows, as high 2^64 + low: public among the parties.
pub(super) struct MaskedRows {
    low: Vec<u64>,
    high: Vec<i32>,
}

impl MaskedRows {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Self { low: Vec::with_capacity(entries), high: Vec::with_capacity(entries) }
    }

    /// Appends entries mod 2^bits.
    pub(super) fn extend(&mut self, entries: &[Z128], bits: u32) {
        for entry in entries {
            let value = entry.to_signed(bits);
            self.low.push(value as u64);
            self.high.push((value >> 64) as i32);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.low.len()
    }
}

pub(super) struct Registered {
    pub(super) shape: MatrixShape,
    pub(super) owners: Vec<MaskedRows>,
}

/// The state of a party's production; moves to a worker thread and back.
pub(super) struct PartyState {
    pub(super) me: usize,
    pub(super) parties: usize,
    pub(super) streams: Streams,
    pub(super) matrices: Vec<Registered>,
    /// Shape and ring of each left factor.
    pub(super) lefts: Vec<(u32, u32, u32)>,
}

impl PartyState {
    /// The bytes of the dealer's correction for `request`: they go to the last party.
    pub(super) fn correction_bytes(&self, request: &Request) -> usize {
        match request {
            Request::OwnedProduct(it) if it.transposed => {
                let columns = self.matrices[it.matrix as usize].shape.columns as usize;
                columns * element_bytes(it.ring)
            }
            Request::OwnedProduct(it) => it.total_rows() * element_bytes(64),
            Request::Phasors(it) => 2 * it.terms() * element_bytes(it.ring),
            Request::Left { .. } => 0,
            Request::Right(it) => {
                let (m, _, ring) = self.lefts[it.left as usize];
                m as usize * it.n as usize * element_bytes(ring)
            }
            Request::RandomBits(it) => it.count as usize * element_bytes(it.ring),
            &Request::BitTriples(count) => PackedBits::wire_bytes(2 * count as usize),
        }
    }

    /// This party's part of the correlation; `None` if the correction is not one.
    pub(super) fn produce(
        &mut self,
        request: &Request,
        correction: Option<&[u8]>,
    ) -> Option<Correlation> {
        Some(match request {
            Request::OwnedProduct(it) if it.transposed => {
                Correlation::Transposed(self.transposed(it, correction)?)
            }
            Request::OwnedProduct(it) => Correlation::Forward(self.forward(it, correction)?),
            Request::Phasors(it) => Correlation::Phasors(self.phasors(it, correction)?),
            &Request::Left { m, k, ring } => {
                self.lefts.push((m, k, ring));
                if ring == 64 {
                    Correlation::Left64(LeftFactor::new(self.left(m, k)))
                } else {
                    Correlation::Left128(LeftFactor::new(self.left(m, k)))
                }
            }
            Request::Right(it) => {
                let (m, k, ring) = self.lefts[it.left as usize];
                if it.last {
                    // No rows any more: a further product with it is refused.
                    self.lefts[it.left as usize].0 = 0;
                }
                if ring == 64 {
                    Correlation::Right64(self.right(m, k, it.n, correction)?)
                } else {
                    Correlation::Right128(self.right(m, k, it.n, correction)?)
                }
            }
            Request::RandomBits(it) => Correlation::RandomBits(self.random_bits(it, correction)?),
            &Request::BitTriples(count) => {
                Correlation::BitTriples(self.bit_triples(count as usize, correction)?)
            }
        })
    }

    fn forward(
        &mut self,
        request: &OwnedProductRequest,
        correction: Option<&[u8]>,
    ) -> Option<OwnedProduct<Z64>> {
        let matrix = &self.matrices[request.matrix as usize];
        let columns = matrix.shape.columns as usize;
        let rho = self.streams.masks(request, matrix.shape.columns, self.me);
        let mu: Zeroizing<Vec<u64>> = Zeroizing::new(
            rho[..columns].iter().map(|rho| (rho.0 >> request.drop) as u64).collect(),
        );
        let mut product = own_share::<Z64>(
            &mut self.streams.owned_product,
            correction,
            request.total_rows(),
            64,
        )?;
        // The share of A mu, and the public D times the own mu, over all parties' rows.
        let mut at = 0;
        for (owner, &(from, to)) in matrix.owners.iter().zip(&request.rows) {
            let rows = from as usize * columns..to as usize * columns;
            for value in kernels::matrix_times_vector(&owner.low[rows], &mu) {
                product[at] += Z64(value);
                at += 1;
            }
        }
        Some(OwnedProduct { rho, product: Shared::column(product) })
    }

    fn transposed(
        &mut self,
        request: &OwnedProductRequest,
        correction: Option<&[u8]>,
    ) -> Option<OwnedProduct<Z128>> {
        let matrix = &self.matrices[request.matrix as usize];
        let columns = matrix.shape.columns as usize;
        let rho = self.streams.masks(request, matrix.shape.columns, self.me);
        let share =
            own_share::<Z128>(&mut self.streams.owned_product, correction, columns, request.ring)?;
        let mut sums: Vec<u128> = share.iter().map(|v| v.0).collect();
        let mut at = 0;
        for (party, (owner, &(from, to))) in matrix.owners.iter().zip(&request.rows).enumerate() {
            let count = (to - from) as usize;
            if party != self.me {
                let mu: Zeroizing<Vec<u128>> = Zeroizing::new(
                    rho[at..at + count].iter().map(|rho| rho.0 >> request.drop).collect(),
                );
                let rows = from as usize * columns..to as usize * columns;
                kernels::add_wide_transposed(
                    &owner.low[rows.clone()],
                    &owner.high[rows],
                    &mu,
                    &mut sums,
                );
            }
            at += count;
        }
        let product = Shared::column(sums.into_iter().map(Z128).collect());
        Some(OwnedProduct { rho, product })
    }

    fn phasors(&mut self, request: &PhasorRequest, correction: Option<&[u8]>) -> Option<Phasors> {
        let (count, harmonics) = (request.count as usize, request.harmonics.len());
        let mask = self.streams.angle.elements::<Z64>(count, trig::ANGLE_BITS);
        let mut both = own_share::<Z128>(
            &mut self.streams.phasor,
            correction,
            2 * request.terms(),
            request.ring,
        )?;
        let sine = both.split_off(request.terms());
        Some(Phasors {
            mask,
            cosine: Shared::new(both, harmonics, count),
            sine: Shared::new(sine, harmonics, count),
            fraction: request.fraction,
            ring: request.ring,
            angle_bits: trig::ANGLE_BITS,
            gains: Vec::new(),
        })
    }

    fn random_bits(
        &mut self,
        request: &RandomBitsRequest,
        correction: Option<&[u8]>,
    ) -> Option<RandomBits> {
        let (count, bits) = (request.count as usize, request.bits as usize);
        let bits = SharedBits::new(self.streams.bits.bits(bits, count));
        let value = own_share(&mut self.streams.bit_value, correction, count, request.ring)?;
        Some(RandomBits { bits, value: Shared::column(value), ring: request.ring })
    }

    fn bit_triples(&mut self, count: usize, correction: Option<&[u8]>) -> Option<BitTriples> {
        let a = self.streams.and_left.bits(1, count);
        let b = self.streams.and_right.bits(2, count);
        let ab = match correction {
            None => self.streams.and_product.bits(2, count),
            Some(bytes) => PackedBits::from_bytes(bytes, 2, count)?,
        };
        let [a, b, ab] = [a, b, ab].map(SharedBits::new);
        Some(BitTriples { a, b, ab })
    }

    fn left<R: Ring>(&mut self, m: u32, k: u32) -> Shared<R> {
        let a = self.streams.left.elements(m as usize * k as usize, R::BITS).to_vec();
        Shared::new(a, m as usize, k as usize)
    }

    fn right<R: Ring>(
        &mut self,
        m: u32,
        k: u32,
        n: u32,
        correction: Option<&[u8]>,
    ) -> Option<RightFactor<R>> {
        let b = self.streams.right.elements(k as usize * n as usize, R::BITS).to_vec();
        let ab =
            own_share(&mut self.streams.product, correction, m as usize * n as usize, R::BITS)?;
        Some(RightFactor::new(
            Shared::new(b, k as usize, n as usize),
            Shared::new(ab, m as usize, n as usize),
        ))
    }
}

/// The last party's share is the dealer's correction; the others' come from their streams.
fn own_share<R: Ring>(
    stream: &mut Prg,
    correction: Option<&[u8]>,
    len: usize,
    bits: u32,
) -> Option<Vec<R>> {
    match correction {
        None => Some(stream.elements(len, bits).to_vec()),
        Some(bytes) => decode(bytes, bits).filter(|v| v.len() == len).map(|v| v.to_vec()),
    }
}
