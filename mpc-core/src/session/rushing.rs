//! A party that waits for the others' shares before it sends its own (docs/protocols.md 0, Covert).

use mpc_net::{AbortCode, Due, Tag};

use super::{Against, Session};
use crate::error::Error;
use crate::protocols::truncate::{BoundedOpening, open_bounded, own_masks};
use crate::rand::MaskSite;
use crate::ring::{Ring, Z128, wire};
use crate::share::Shared;
use crate::testing::World;

const STEP: &str = "test/open-weights";
/// A weight, and an entry of the victim's row: what the deviating party wants to read.
const WEIGHT: i128 = 12_345;
const ENTRY: u128 = 0b1011_0010;
const BITS: u32 = 8;
const VICTIM: usize = 0;
/// Elements of a row: each is caught by itself with some probability only.
const ROW: usize = 64;

fn spec(parties: usize) -> BoundedOpening {
    BoundedOpening::new(40, 55, 12, parties as u32).expect("fits")
}

/// The shares of `count` weights at `me`, each bent by the victim's entry times
/// 2^(ring - 1 - bit): what a lie in the input of a product with the victim's rows comes to.
fn bent(me: usize, bit: u32, ring: u32, count: usize) -> Shared<Z128> {
    let error = Z128(ENTRY).shl(ring - 1 - bit);
    let share = if me == VICTIM { Z128::from_i128(WEIGHT) + error } else { Z128::ZERO };
    Shared::column(vec![share; count])
}

/// The deviating party's opening without a commitment: it reads bit `bit` of what stands above the
/// masks, takes it out of its own share with what it knows already, and sends.
async fn rush(bit: u32, known: u128, session: &mut Session) -> Result<u128, Error> {
    let (me, parties) = (session.me(), session.parties());
    let spec = spec(parties);
    let mut own = bent(me, bit, spec.ring, 1);
    session.add_zero_share(MaskSite::ZeroShareBounded, &mut own, spec.ring)?;
    let mask = wire::mask(spec.ring);
    let mut opened = own.as_slice()[0];
    let due = Due::exactly(Tag::new(STEP), wire::element_bytes(spec.ring));
    for peer in (0..parties).filter(|&peer| peer != me) {
        let theirs = session.receive(peer, due).await?;
        opened += wire::decode::<Z128>(&theirs, spec.ring).expect("a share")[0];
    }
    // The lower bits are known, and what is opened is far below 2^(ring - 1) without the error.
    let rest = opened - Z128(known).shl(spec.ring - 1 - bit);
    let read = (rest.0 & mask) >> (spec.ring - 1);
    let error = Z128(known | read << bit).shl(spec.ring - 1 - bit);
    let mut bytes = Vec::new();
    wire::encode(&[Z128((own.as_slice()[0] - error).0 & mask)], spec.ring, &mut bytes);
    for peer in (0..parties).filter(|&peer| peer != me) {
        session.send(peer, Tag::new(STEP), &bytes).await?;
    }
    Ok(read)
}

async fn honest(bit: u32, count: usize, session: &mut Session) -> Result<i128, Error> {
    let (me, spec) = (session.me(), spec(session.parties()));
    let shares = bent(me, bit, spec.ring, count);
    let opened = open_bounded(STEP, &[(spec, &shares)], &mut own_masks(session)?, session).await?;
    Ok(opened[0].part(0, me)[0].0 as i128)
}

#[test]
fn a_rushing_party_reads_a_row_of_a_semi_honest_session() {
    for parties in [2, 3] {
        let world = World::new(parties).against(Against::SemiHonest);
        let ends = world.run(async |mut session| {
            let evil = session.me() == session.parties() - 1;
            let mut known = 0;
            for bit in 0..BITS {
                if evil {
                    known |= rush(bit, known, &mut session).await? << bit;
                } else {
                    honest(bit, 1, &mut session).await?;
                }
            }
            Ok::<_, Error>(known)
        });
        assert_eq!(*ends.last().unwrap().as_ref().unwrap(), ENTRY, "{parties} parties");
        assert!(ends.iter().all(Result::is_ok), "and nobody notices");
    }
}

#[test]
fn in_a_covert_session_it_cannot_take_the_error_out_again() {
    for parties in [2, 3] {
        for bit in 0..BITS {
            let ends = World::new(parties).run(async |mut session| {
                // All commit; whoever bent the weight does not know by how much.
                honest(bit, ROW, &mut session).await
            });
            // How far the error moves an element, in whole ranges of a mask, of four in the ring:
            // two parties see each such move. Of three, what a party does not know itself fills two
            // ranges, and what is below a whole range may bring the sum back among them: an element
            // escapes all three with probability below 1/2 (docs/protocols.md 0, Covert).
            let moved = (ENTRY >> bit & 1) << 1 | (ENTRY << 1 >> bit & 1);
            if moved != 0 {
                let caught = |end: &Result<i128, Error>| match end {
                    Err(error @ Error::BeyondBound { step, .. }) => {
                        step == STEP && error.code() == AbortCode::PeerMisbehaved
                    }
                    _ => false,
                };
                assert!(ends.iter().any(caught), "{parties} parties, bit {bit}: {ends:?}");
            }
        }
    }
}

#[test]
fn an_opening_without_a_commitment_is_not_awaited() {
    let ends = World::new(2).run(async |mut session| {
        if session.me() == 1 {
            rush(0, 0, &mut session).await.map(|_| 0)
        } else {
            honest(0, 1, &mut session).await
        }
    });
    assert!(ends.iter().all(Result::is_err), "{ends:?}");
}
