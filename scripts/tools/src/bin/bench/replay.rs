//! The floor of a training: its messages without any computation.

use futures_util::future::try_join_all;
use mpc_ml::SgdPlan;
use mpc_net::{Due, PartyId, Tag, Transport};

use crate::Outcome;

const REPLAY: Tag = Tag::new("bench/replay");

/// The messages of a training, in their order and with their lengths, and nothing else.
pub async fn replay(plan: &SgdPlan, me: usize, channel: &dyn Transport) -> Outcome<()> {
    let settings = plan.settings();
    let nodes = (me, plan.parties());
    for epoch in 0..settings.epochs {
        for batch in plan.schedule().order(epoch) {
            let parts = plan.schedule().parts(batch);
            let weights = plan.weights_opened().bytes(plan.weights()) as usize;
            let deltas = plan.phasors().angle_bits.div_ceil(8) as usize * settings.batch as usize;
            let residuals = |owner: usize| {
                plan.residuals_opened().bytes((parts[owner].1 - parts[owner].0) as usize) as usize
            };
            round(nodes, channel, |_| weights, weights).await?;
            round(nodes, channel, |_| deltas, deltas).await?;
            round(nodes, channel, residuals, residuals(me)).await?;
        }
    }
    Ok(())
}

async fn round(
    (me, parties): (usize, usize),
    channel: &dyn Transport,
    to: impl Fn(usize) -> usize,
    from_each: usize,
) -> Outcome<()> {
    let peers = || (0..parties).filter(move |&peer| peer != me);
    let messages: Vec<_> =
        peers().map(|peer| (PartyId::from_index(peer), vec![7; to(peer)])).collect();
    let sends = try_join_all(messages.iter().map(|(peer, m)| channel.send(*peer, REPLAY, m)));
    let receives = try_join_all(
        peers()
            .map(|peer| channel.recv(PartyId::from_index(peer), Due::exactly(REPLAY, from_each))),
    );
    tokio::try_join!(sends, receives)?;
    Ok(())
}
