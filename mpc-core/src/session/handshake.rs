//! Agreement on a session: nonces, pairwise seeds, a name that binds them, and coins that no node
//! chooses for itself.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use futures_util::future::try_join_all;
use mpc_net::{Due, PartyId, Tag, Transport};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::rand::{Coins, Master, Seed, drawn, hash};

const OFFER: Tag = Tag::new("session/offer");
const CONFIRM: Tag = Tag::new("session/confirm");

pub(super) struct Agreed {
    pub(super) session: [u8; 32],
    pub(super) seeds: Vec<Option<Seed>>,
    /// What this node draws for itself.
    pub(super) coins: Coins,
    /// What each node committed to: the seed of its coins.
    pub(super) commitments: Vec<[u8; 32]>,
}

/// The parts of an offer: a nonce, which commits to the node's contribution to the others' coins; a
/// public point; the commitment to its own.
const NONCE: std::ops::Range<usize> = 0..32;
const POINT: std::ops::Range<usize> = 32..64;
const COMMITMENT: std::ops::Range<usize> = 64..96;

/// Two rounds among all nodes of the mesh, a dealer included.
pub(super) async fn agree(
    transport: &dyn Transport,
    context: &[u8; 32],
    master: &Master,
) -> Result<Agreed, Error> {
    let me = transport.id().index();
    let mut own = master.before();
    let secret = scalar(&mut own);
    let point = (&*secret * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
    let contribution = own.bytes::<32>("contribution to the others' coins");
    let nonce = nonce_of(&*contribution);

    drawn::note("nonce", &nonce);
    drawn::note("secret scalar", secret.as_bytes());

    // Round 1: nonce, public point and commitment of everybody to everybody.
    let offer = [nonce, point, master.commitment()].concat();
    let offers = all_to_all(transport, OFFER, &offer).await?;

    // The name of the session binds the context and every offer, in the order of the nodes.
    let mut parts: Vec<&[u8]> = vec![context];
    parts.extend(offers.iter().map(Vec::as_slice));
    let session = hash("session", &parts);

    // Round 2: everybody saw the same offers. Now that all are bound to their seeds, each opens its
    // nonce, and the coins of a node are made of its seed and what all others contribute.
    let confirmation = hash("session confirmed", &[&session]);
    let confirmed = all_to_all(transport, CONFIRM, &[confirmation, *contribution].concat()).await?;
    for (node, theirs) in confirmed.iter().enumerate() {
        let (theirs, contributed) = theirs.split_at(confirmation.len());
        if !bool::from(theirs.ct_eq(&confirmation)) {
            return Err(misbehaved(transport, node, "it takes part in another session"));
        }
        if nonce_of(contributed) != offers[node][NONCE] {
            let detail = "its contribution to the coins is not the one that it committed to";
            return Err(misbehaved(transport, node, detail));
        }
    }
    let mut tossed: Vec<&[u8]> = vec![&session];
    let others = confirmed.iter().enumerate().filter(|&(node, _)| node != me);
    tossed.extend(others.map(|(_, theirs)| &theirs[confirmation.len()..]));
    let coins = master.toss(&tossed);
    transport.bind_session(session[..8].try_into().expect("a hash has 32 bytes"));

    let mut seeds = Vec::with_capacity(offers.len());
    for (node, offer) in offers.iter().enumerate() {
        if node == me {
            seeds.push(None);
            continue;
        }
        let theirs: [u8; 32] = offer[POINT].try_into().expect("a point has 32 bytes");
        let theirs = CompressedRistretto(theirs)
            .decompress()
            .filter(|point| !point.is_identity())
            .ok_or_else(|| misbehaved(transport, node, "its public point is not valid"))?;
        let shared = Zeroizing::new((theirs * *secret).compress().to_bytes());
        let (low, high) = (me.min(node), me.max(node));
        seeds.push(Some(Seed::from_secret(
            "pair seed",
            &[
                &session,
                &(low as u64).to_le_bytes(),
                &(high as u64).to_le_bytes(),
                &offers[low],
                &offers[high],
                &*shared,
            ],
        )));
    }
    let commitment =
        |offer: &Vec<u8>| offer[COMMITMENT].try_into().expect("a commitment has 32 bytes");
    let commitments = offers.iter().map(commitment).collect();
    Ok(Agreed { session, seeds, coins, commitments })
}

/// The nonce that commits to a contribution.
fn nonce_of(contribution: &[u8]) -> [u8; 32] {
    hash("nonce", &[contribution])
}

fn scalar(coins: &mut Coins) -> Zeroizing<Scalar> {
    let wide = coins.bytes::<64>("secret scalar");
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

/// Sends `message` to every node and gives everybody's message, the own one included.
async fn all_to_all(
    transport: &dyn Transport,
    tag: Tag,
    message: &[u8],
) -> Result<Vec<Vec<u8>>, Error> {
    let me = transport.id().index();
    let peers = || (0..transport.nodes()).filter(move |&node| node != me);
    let sends =
        try_join_all(peers().map(|node| transport.send(PartyId::from_index(node), tag, message)));
    let receives =
        try_join_all(peers().map(|node| {
            transport.recv(PartyId::from_index(node), Due::exactly(tag, message.len()))
        }));
    let (_, mut messages) = tokio::try_join!(sends, receives)?;
    messages.insert(me, message.to_vec());
    transport.meter().round();
    Ok(messages)
}

fn misbehaved(transport: &dyn Transport, node: usize, detail: &str) -> Error {
    Error::Misbehaved {
        peer: transport.name(PartyId::from_index(node)),
        step: "session".to_owned(),
        detail: detail.to_owned(),
    }
}
