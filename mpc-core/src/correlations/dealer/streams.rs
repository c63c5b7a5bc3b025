//! The streams that the dealer and one party expand, in step with each other.

use zeroize::Zeroizing;

use crate::correlations::{MatrixShape, OwnedProductRequest};
use crate::error::Error;
use crate::rand::{MaskSite, Prg};
use crate::ring::Z128;
use crate::session::Session;

/// What one party draws: the party and the dealer each hold a copy.
pub(super) struct Streams {
    forward: Prg,
    transposed: Prg,
    pub(super) angle: Prg,
    pub(super) left: Prg,
    pub(super) right: Prg,
    pub(super) product: Prg,
    pub(super) owned_product: Prg,
    pub(super) phasor: Prg,
    pub(super) bits: Prg,
    pub(super) bit_value: Prg,
    pub(super) and_left: Prg,
    pub(super) and_right: Prg,
    pub(super) and_product: Prg,
    matrix: Prg,
    /// Where in `matrix` the party's rows of each registered matrix begin.
    matrix_starts: Vec<u64>,
    matrix_end: u64,
}

impl Streams {
    /// The streams shared with `peer`: the dealer for a party, a party for the dealer.
    pub(super) fn new(peer: usize, session: &Session) -> Result<Self, Error> {
        let open = |site| session.new_stream(peer, site);
        Ok(Self {
            forward: open(MaskSite::ForwardMask)?,
            transposed: open(MaskSite::TransposedMask)?,
            angle: open(MaskSite::AngleMask)?,
            left: open(MaskSite::TripleLeft)?,
            right: open(MaskSite::TripleRight)?,
            product: open(MaskSite::TripleProduct)?,
            owned_product: open(MaskSite::OwnedProduct)?,
            phasor: open(MaskSite::Phasor)?,
            bits: open(MaskSite::RandomBit)?,
            bit_value: open(MaskSite::RandomBitValue)?,
            and_left: open(MaskSite::AndLeft)?,
            and_right: open(MaskSite::AndRight)?,
            and_product: open(MaskSite::AndProduct)?,
            matrix: open(MaskSite::OwnedMatrix)?,
            matrix_starts: Vec::new(),
            matrix_end: 0,
        })
    }

    /// Reserves the masks of `party`'s rows of the next matrix.
    pub(super) fn register(&mut self, shape: &MatrixShape, party: usize) {
        self.matrix_starts.push(self.matrix_end);
        self.matrix_end += shape.rows[party] * u64::from(shape.columns);
    }

    /// The masks A of the rows from..to of a matrix. They belong to the matrix, so asking again
    /// gives the same ones.
    pub(super) fn matrix_rows(
        &mut self,
        matrix: usize,
        shape: &MatrixShape,
        (from, to): (u64, u64),
    ) -> Zeroizing<Vec<Z128>> {
        let columns = u64::from(shape.columns);
        self.matrix.seek_wide(self.matrix_starts[matrix] + from * columns);
        self.matrix.elements(((to - from) * columns) as usize, shape.mask_bits())
    }

    /// The masks rho of `party` for an owned product. Forward: one for each column and public
    /// column. Transposed: one for each row of the others, zero at the party's own rows.
    pub(super) fn masks(
        &mut self,
        request: &OwnedProductRequest,
        columns: u32,
        party: usize,
    ) -> Zeroizing<Vec<Z128>> {
        if !request.transposed {
            let count = (columns + request.public_columns) as usize;
            return self.forward.elements(count, request.mask_bits);
        }
        let mut rho = Zeroizing::new(Vec::with_capacity(request.total_rows()));
        for (owner, &(from, to)) in request.rows.iter().enumerate() {
            let rows = (to - from) as usize;
            if owner == party {
                let end = rho.len() + rows;
                rho.resize(end, Z128(0));
            } else {
                rho.extend_from_slice(&self.transposed.elements::<Z128>(rows, request.mask_bits));
            }
        }
        rho
    }
}
