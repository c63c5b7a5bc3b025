//! Agreement on a session: nonces, pairwise seeds, and a name that binds them.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use futures_util::future::try_join_all;
use mpc_net::{Due, PartyId, Tag, Transport};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::rand::{Seed, drawn, hash};

const OFFER: Tag = Tag::new("session/offer");
const CONFIRM: Tag = Tag::new("session/confirm");

pub(super) struct Agreed {
    pub(super) session: [u8; 32],
    pub(super) seeds: Vec<Option<Seed>>,
}

/// Two rounds among all nodes of the mesh, a dealer included.
pub(super) async fn agree(transport: &dyn Transport, context: &[u8; 32]) -> Result<Agreed, Error> {
    let me = transport.id().index();
    let secret = fresh_scalar()?;
    let point = (&*secret * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::internal(format!("no randomness: {error}")))?;

    drawn::note("nonce", &nonce);
    drawn::note("secret scalar", secret.as_bytes());

    // Round 1: nonce and public point of everybody to everybody.
    let offers = all_to_all(transport, OFFER, &[nonce, point].concat()).await?;

    // The name of the session binds the context and every offer, in the order of the nodes.
    let mut parts: Vec<&[u8]> = vec![context];
    parts.extend(offers.iter().map(Vec::as_slice));
    let session = hash("session", &parts);

    // Round 2: everybody saw the same offers.
    let confirmation = hash("session confirmed", &[&session]);
    for (node, theirs) in all_to_all(transport, CONFIRM, &confirmation).await?.iter().enumerate() {
        if !bool::from(theirs.as_slice().ct_eq(&confirmation)) {
            return Err(misbehaved(transport, node, "it takes part in another session"));
        }
    }
    transport.bind_session(session[..8].try_into().expect("a hash has 32 bytes"));

    let mut seeds = Vec::with_capacity(offers.len());
    for (node, offer) in offers.iter().enumerate() {
        if node == me {
            seeds.push(None);
            continue;
        }
        let theirs: [u8; 32] = offer[32..].try_into().expect("an offer has 64 bytes");
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
    Ok(Agreed { session, seeds })
}

fn fresh_scalar() -> Result<Zeroizing<Scalar>, Error> {
    let mut wide = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *wide)
        .map_err(|error| Error::internal(format!("no randomness: {error}")))?;
    Ok(Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide)))
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
