//! The dealer node: agrees on what is due, expands every party's streams, sends corrections.

use futures_util::future::try_join_all;
use mpc_net::{Due, PartyId};
use zeroize::Zeroizing;

use super::command::{CHANNEL, COMMAND, CORRECTION, Command, MAX_COMMAND};
use super::streams::Streams;
use crate::correlations::{
    MatrixShape, OwnedProductRequest, PhasorRequest, RandomBitsRequest, Request,
};
use crate::error::Error;
use crate::offload::offload;
use crate::ring::wire::encode;
use crate::ring::{PackedBits, Ring, Z64, Z128, kernels};
use crate::session::Session;
use crate::trig;

/// Serves one session to its end. The node is the last of the mesh.
///
/// Memory is bounded by the largest single request: everything streams.
///
/// # Errors
/// When the parties do not agree on what is due, or one of them is lost.
pub async fn serve(session: &mut Session) -> Result<(), Error> {
    let mut session = session.fork(CHANNEL)?;
    session.meter().enter("preparation");
    let parties = session.parties();
    let streams =
        (0..parties).map(|party| Streams::new(party, &session)).collect::<Result<_, _>>()?;
    let mut dealer = Dealer { streams, matrices: Vec::new(), lefts: Vec::new() };
    loop {
        match next_command(&session).await? {
            Command::Register(shape) => {
                shape.check(parties)?;
                shape.check_masked()?;
                for (party, streams) in dealer.streams.iter_mut().enumerate() {
                    streams.register(&shape, party);
                }
                dealer.matrices.push(shape);
            }
            Command::Produce(requests) => {
                for request in requests {
                    let shapes: Vec<_> = dealer.lefts.iter().map(|left| left.shape).collect();
                    request.check(&dealer.matrices, &shapes)?;
                    let correction;
                    (dealer, correction) = offload(move || {
                        let correction = dealer.produce(&request);
                        (dealer, correction)
                    })
                    .await?;
                    if !correction.is_empty() {
                        session.send(parties - 1, CORRECTION, &correction).await?;
                    }
                }
            }
            Command::Finish => return Ok(()),
        }
    }
}

/// The next command, which must be the same from every party.
async fn next_command(session: &Session) -> Result<Command, Error> {
    // The next order may be an epoch away.
    let due = Due::at_most(COMMAND, MAX_COMMAND).patiently();
    let all = try_join_all(
        (0..session.parties())
            .map(|party| session.transport().recv(PartyId::from_index(party), due)),
    )
    .await?;
    if let Some(party) = odd_one_out(&all) {
        return Err(session.misbehaved(party, COMMAND, "it orders other things than the rest"));
    }
    Command::decode(&all[0])
        .ok_or_else(|| session.misbehaved(0, COMMAND, "the order cannot be read"))
}

/// The first party whose command is not the most frequent one. Of two parties that differ the
/// dealer cannot know which is right, and names the second.
fn odd_one_out(commands: &[Vec<u8>]) -> Option<usize> {
    let votes = |command| commands.iter().filter(|other| *other == command).count();
    // Of equally frequent commands the first.
    let usual = commands.iter().rev().max_by_key(|command| votes(*command))?;
    commands.iter().position(|command| command != usual)
}

struct Left {
    shape: (u32, u32, u32),
    /// The sum of the parties' shares; emptied after its last use.
    a: Zeroizing<Vec<Z128>>,
}

struct Dealer {
    streams: Vec<Streams>,
    matrices: Vec<MatrixShape>,
    lefts: Vec<Left>,
}

impl Dealer {
    /// The last party's share, encoded; empty where the streams are all there is.
    fn produce(&mut self, request: &Request) -> Zeroizing<Vec<u8>> {
        match request {
            Request::OwnedProduct(it) if it.transposed => self.transposed(it),
            Request::OwnedProduct(it) => self.forward(it),
            Request::Phasors(it) => self.phasors(it),
            &Request::Left { m, k, ring } => {
                let count = m as usize * k as usize;
                let mut a = Zeroizing::new(vec![Z128::ZERO; count]);
                for streams in &mut self.streams {
                    streams.left.add_to(&mut a, ring);
                }
                self.lefts.push(Left { shape: (m, k, ring), a });
                Zeroizing::default()
            }
            Request::Right(it) => self.right(it.left as usize, it.n, it.last),
            Request::RandomBits(it) => self.random_bits(it),
            &Request::BitTriples(count) => self.bit_triples(count as usize),
        }
    }

    fn forward(&mut self, request: &OwnedProductRequest) -> Zeroizing<Vec<u8>> {
        let shape = &self.matrices[request.matrix as usize];
        let columns = shape.columns as usize;
        let mut mu = Zeroizing::new(vec![0u64; columns]);
        for (party, streams) in self.streams.iter_mut().enumerate() {
            let rho = streams.masks(request, shape.columns, party);
            for (mu, rho) in mu.iter_mut().zip(rho.iter()) {
                *mu = mu.wrapping_add((rho.0 >> request.drop) as u64);
            }
        }
        let mut product = Zeroizing::new(Vec::with_capacity(request.total_rows()));
        for (streams, &rows) in self.streams.iter_mut().zip(&request.rows) {
            let a = streams.matrix_rows(request.matrix as usize, shape, rows);
            let low: Zeroizing<Vec<u64>> = Zeroizing::new(a.iter().map(|a| a.0 as u64).collect());
            product.extend(kernels::matrix_times_vector(&low, &mu).into_iter().map(Z64));
        }
        self.correct(&mut product, 64, |streams| &mut streams.owned_product)
    }

    fn transposed(&mut self, request: &OwnedProductRequest) -> Zeroizing<Vec<u8>> {
        let shape = &self.matrices[request.matrix as usize];
        let mut mu = Zeroizing::new(vec![Z128::ZERO; request.total_rows()]);
        for (party, streams) in self.streams.iter_mut().enumerate() {
            let rho = streams.masks(request, shape.columns, party);
            for (mu, rho) in mu.iter_mut().zip(rho.iter()) {
                *mu += Z128(rho.0 >> request.drop);
            }
        }
        let columns = shape.columns as usize;
        let mut product = Zeroizing::new(vec![Z128::ZERO; columns]);
        let mut at = 0;
        for (streams, &rows) in self.streams.iter_mut().zip(&request.rows) {
            let a = streams.matrix_rows(request.matrix as usize, shape, rows);
            let count = (rows.1 - rows.0) as usize;
            kernels::add_product(&mu[at..at + count], &a, &mut product, count, columns);
            at += count;
        }
        self.correct(&mut product, request.ring, |streams| &mut streams.owned_product)
    }

    fn phasors(&mut self, request: &PhasorRequest) -> Zeroizing<Vec<u8>> {
        let count = request.count as usize;
        let mut angles = Zeroizing::new(vec![Z64::ZERO; count]);
        for streams in &mut self.streams {
            streams.angle.add_to(&mut angles, trig::ANGLE_BITS);
        }
        let drop = trig::FRACTION_BITS - request.fraction;
        let half = if drop == 0 { 0 } else { 1i64 << (drop - 1) };
        let round = |value: i64| Z128::from_i128(i128::from((value + half) >> drop));
        let terms = request.terms();
        let mut both = Zeroizing::new(vec![Z128::ZERO; 2 * terms]);
        for (i, &k) in request.harmonics.iter().enumerate() {
            for (b, angle) in angles.iter().enumerate() {
                let (cosine, sine) = trig::cosine_sine((angle.0 as u32).wrapping_mul(k));
                both[i * count + b] = round(cosine);
                both[terms + i * count + b] = round(sine);
            }
        }
        self.correct(&mut both, request.ring, |streams| &mut streams.phasor)
    }

    fn right(&mut self, left: usize, n: u32, last: bool) -> Zeroizing<Vec<u8>> {
        let (m, k, ring) = self.lefts[left].shape;
        let mut b = Zeroizing::new(vec![Z128::ZERO; k as usize * n as usize]);
        for streams in &mut self.streams {
            streams.right.add_to(&mut b, ring);
        }
        let mut product = Zeroizing::new(vec![Z128::ZERO; m as usize * n as usize]);
        kernels::add_product(&self.lefts[left].a, &b, &mut product, k as usize, n as usize);
        if last {
            // No rows any more: a further product with it is refused.
            self.lefts[left] = Left { shape: (0, k, ring), a: Zeroizing::default() };
        }
        self.correct(&mut product, ring, |streams| &mut streams.product)
    }

    fn random_bits(&mut self, request: &RandomBitsRequest) -> Zeroizing<Vec<u8>> {
        let (count, planes) = (request.count as usize, request.bits as usize);
        let mut bits = PackedBits::zero(planes, count);
        for streams in &mut self.streams {
            bits ^= &streams.bits.bits(planes, count);
        }
        let number = |lane: usize| {
            Z64((0..planes).fold(0, |sum, plane| sum | (bits.bit(plane, lane) as u64) << plane))
        };
        let mut values: Zeroizing<Vec<Z64>> = Zeroizing::new((0..count).map(number).collect());
        self.correct(&mut values, request.ring, |streams| &mut streams.bit_value)
    }

    fn bit_triples(&mut self, count: usize) -> Zeroizing<Vec<u8>> {
        let (mut a, mut b) = (PackedBits::zero(1, count), PackedBits::zero(2, count));
        for streams in &mut self.streams {
            a ^= &streams.and_left.bits(1, count);
            b ^= &streams.and_right.bits(2, count);
        }
        let mut product = b.and(&a.clone().above(&a));
        let others = self.streams.len() - 1;
        for streams in &mut self.streams[..others] {
            product ^= &streams.and_product.bits(2, count);
        }
        product.to_bytes()
    }

    /// The last party's share of `value`: what is left after the others' streams.
    fn correct<R: Ring>(
        &mut self,
        value: &mut [R],
        bits: u32,
        stream: impl Fn(&mut Streams) -> &mut crate::rand::Prg,
    ) -> Zeroizing<Vec<u8>> {
        let others = self.streams.len() - 1;
        for streams in &mut self.streams[..others] {
            stream(streams).subtract_from(value, bits);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        encode(value, bits, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_party_that_differs_is_named() {
        let odd = |commands: &[u8]| {
            odd_one_out(&commands.iter().map(|&byte| vec![byte]).collect::<Vec<_>>())
        };
        assert_eq!(odd(&[1, 1, 1]), None);
        assert_eq!(odd(&[2, 1, 1]), Some(0));
        assert_eq!(odd(&[1, 2, 1]), Some(1));
        assert_eq!(odd(&[1, 1, 2]), Some(2));
        assert_eq!(odd(&[1, 2]), Some(1));
    }
}
