//! Golden vectors of the key derivation, the streams, the zero share and the public factors.
#![allow(clippy::unwrap_used)]

use crate::golden;

use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::rand::{MaskSite, Prg, Seed, hash};
use mpc_core::ring::{Ring, Z128, wire};
use mpc_core::testing::{World, stream_with};
use mpc_core::{Against, Batch, Recipients, Shared, trig};
use mpc_net::PartyId;
use serde_json::{Value, json};

fn check(name: &str, now: &Value) {
    golden::check("vectors/rand.json", include_str!("vectors/rand.json"), name, now);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pair_seed(low: u64, high: u64) -> Seed {
    Seed::from_secret("vectors", &[b"pair", &low.to_le_bytes(), &high.to_le_bytes()])
}

#[test]
fn key_derivation() {
    check("hash", &hex(&hash("vectors", &[b"one", b"", b"three"])).into());
    let mut streams = serde_json::Map::new();
    for site in MaskSite::ALL {
        // The seed itself is never shown; its streams are what the nodes have in common.
        let seed = pair_seed(0, 1).derive("fork correlations/dealer");
        let mut stream = Prg::new(&seed, site);
        let narrow = stream.elements::<Z128>(2, 24);
        let middle = stream.elements::<Z128>(2, 64);
        let wide = stream.elements::<Z128>(2, 98);
        let words = [&narrow[..], &middle, &wide].concat();
        let words: Vec<Value> = words.iter().map(|w| format!("{:x}", w.0).into()).collect();
        streams.insert(site.domain().to_owned(), words.into());
    }
    check("streams", &streams.into());
}

/// z_i = sum of the streams with later parties less the streams with earlier ones.
fn zero_share(me: usize, stream: impl Fn(usize) -> Prg, len: usize, bits: u32) -> Vec<Z128> {
    let mut share = vec![Z128::ZERO; len];
    for peer in (0..3).filter(|&peer| peer != me) {
        if me < peer {
            stream(peer).add_to(&mut share, bits);
        } else {
            stream(peer).subtract_from(&mut share, bits);
        }
    }
    share.iter().map(|v| Z128(v.0 & wire::mask(bits))).collect()
}

#[test]
fn zero_shares() {
    let shares: Vec<Vec<Z128>> = (0..3usize)
        .map(|me| {
            let stream = |peer: usize| {
                let seed = pair_seed(me.min(peer) as u64, me.max(peer) as u64);
                Prg::new(&seed, MaskSite::ZeroShareBounded)
            };
            zero_share(me, stream, 2, 98)
        })
        .collect();
    for i in 0..2 {
        let sum = shares.iter().fold(Z128::ZERO, |sum, share| sum + share[i]);
        assert_eq!(sum.0 & wire::mask(98), 0);
    }
    let shown: Vec<Vec<String>> =
        shares.iter().map(|share| share.iter().map(|v| format!("{:x}", v.0)).collect()).collect();
    check("zero shares", &json!(shown));
}

/// The zero share of a session is the one of the vectors, on the streams of that session.
#[test]
fn a_session_adds_the_zero_share_of_the_vectors() {
    let spec = BoundedOpening::new(40, 56, 0, 3).unwrap();
    let world = World::new(3).against(Against::SemiHonest);
    let mesh = world.mesh();
    let view = mesh[2].record();
    let shares = world.run_on(mesh, async |mut session| {
        let me = session.me();
        let stream = |peer| stream_with(&session, peer, MaskSite::ZeroShareBounded).unwrap();
        let share = zero_share(me, stream, 3, spec.ring);
        let mut batch = Batch::new("vectors/zero");
        let nothing = Shared::zero(3, 1);
        spec.push(&nothing, &[], Recipients::All, &mut batch, &mut session).unwrap();
        session.open(batch).await.unwrap();
        share
    });
    for seen in view.messages().iter().filter(|seen| seen.step == "vectors/zero") {
        let sent = wire::decode::<Z128>(&seen.bytes, spec.ring).unwrap();
        // Party 0 adds the offset 2^E.
        let offset = if seen.from == PartyId(0) { 1 << spec.magnitude } else { 0 };
        for (sent, share) in sent.iter().zip(&shares[seen.from.index()]) {
            assert_eq!(sent.0, share.0.wrapping_add(offset) & wire::mask(spec.ring));
        }
    }
}

#[test]
fn cosines_and_sines() {
    let angles = [0u32, 1, 4095, 4096, 1 << 21, 1 << 22, 9_999_991, (1 << 24) - 1];
    let values: Vec<_> = angles.iter().map(|&angle| trig::cosine_sine(angle)).collect();
    check("cosines and sines", &json!(values));
}
