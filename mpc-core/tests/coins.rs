//! All coins of a node follow from its master and from what the others contribute, and everything
//! that it sends from its master, its input, and what it received.

use crate::production;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mpc_core::protocols::truncate::{open_bounded_fixed, own_masks};
use mpc_core::rand::{MaskDomain, Master};
use mpc_core::ring::Z64;
use mpc_core::session::ext;
use mpc_core::testing::World;
use mpc_core::{Error, Fixed, Session, SessionOptions, Shared, Tag};
use mpc_net::fault::{Fault, FaultPlan, View};
use mpc_net::memory::{MemoryTransport, MeshOptions};
use mpc_net::{AbortCode, PartyId};
use production::{phasors, work};

const OWN: MaskDomain = MaskDomain::new("test/own");

fn masters<const N: usize>(bytes: [u8; N]) -> Vec<Arc<Master>> {
    bytes.map(|byte| Arc::new(Master::from_bytes(&[byte; Master::BYTES]))).to_vec()
}

/// What a node received, by sender and channel.
type Received = BTreeMap<(usize, String), Vec<(&'static str, Vec<u8>)>>;

fn received(view: &View) -> Received {
    let mut all = Received::new();
    for seen in view.messages() {
        all.entry((seen.from.index(), seen.channel)).or_default().push((seen.step, seen.bytes));
    }
    all
}

/// Own masks, own streams, and correlations of each kind.
async fn party(session: &mut Session) -> Result<(), Error> {
    work(session, &phasors(session.parties())).await?;
    let mut own = ext::own_stream(session, OWN)?;
    let share = Shared::column(own.elements::<Z64>(3, 64).to_vec());
    let mut batch = mpc_core::Batch::new("test/own");
    batch.masked(&share, 64, mpc_core::Recipients::All);
    session.open(batch).await?;
    let mut masks = own_masks(session)?;
    let x = Fixed::zero(2, 1, 20)?.narrow(100)?;
    open_bounded_fixed("test/bounded", &[(&x, 7)], 40, &mut masks, session).await?;
    Ok(())
}

fn run(masters: Vec<Arc<Master>>) -> Vec<Received> {
    let world = World::new(masters.len()).masters(masters);
    let mesh = world.mesh();
    let views: Vec<_> = mesh.iter().map(MemoryTransport::record).collect();
    for result in world.run_on(mesh, async |mut session| party(&mut session).await) {
        result.expect("the run ends well");
    }
    views.iter().map(received).collect()
}

#[test]
fn the_same_masters_give_the_same_messages() {
    let (one, again, other) =
        (run(masters([1, 2, 3])), run(masters([1, 2, 3])), run(masters([1, 2, 4])));
    assert!(one[0].len() > 12, "{:?}", one[0].keys());
    assert!(one == again, "two runs under the same masters differ");
    // With one contribution the coins of everybody change.
    for (node, (one, other)) in one.iter().zip(&other).enumerate() {
        for ((from, channel), messages) in other {
            let before = &one[&(*from, channel.clone())];
            assert_eq!(before.len(), messages.len());
            for ((step, a), (_, b)) in before.iter().zip(messages) {
                let same = *step == "session/offer" && *from != 2;
                assert_eq!(a == b, same, "{step} from {from} to {node}");
            }
        }
    }
}

#[test]
fn without_a_master_nothing_comes_twice() {
    let offers = || {
        let world = World::new(2);
        let mesh = world.mesh();
        let view = mesh[0].record();
        world.run_on(mesh, async |session| drop(session));
        view.payloads(Tag::new("session/offer"))
    };
    assert_ne!(offers(), offers());
}

#[test]
fn who_contributes_something_else_than_it_committed_to_is_named() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let names = ["here", "there", "evil"];
    let options = MeshOptions::default().timeout(Duration::from_secs(5)).names(names);
    let mesh = options.mesh(3);
    mesh[2].inject(
        FaultPlan::new(Fault::FlipPayload { at: 63, mask: 128 })
            .in_step(Tag::new("session/confirm"))
            .to(PartyId(0)),
    );
    let sessions = mesh
        .into_iter()
        .map(|node| Session::establish(Box::new(node), SessionOptions::new(3, [0; 32])));
    let mut ends = runtime.block_on(futures_util::future::join_all(sessions));
    let error = ends.remove(0).expect_err("the contribution is another one");
    assert_eq!(error.code(), AbortCode::PeerMisbehaved);
    let text = error.to_string();
    assert!(text.contains("evil") && text.contains("contribution"), "{text}");
}
