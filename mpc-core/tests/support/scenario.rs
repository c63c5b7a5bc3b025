//! A session that goes through every step there is between the nodes: handshake, registration,
//! commands, corrections, and the three kinds of opening. For tests that disturb it, or compare
//! what was sent.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mpc_core::approx::{Series, Term};
use mpc_core::correlations::dealer::{self, DealerSource};
use mpc_core::correlations::{
    CorrelationSource, MatrixShape, OwnRows, OwnedMatrix, OwnedProductRequest, PhasorRequest,
    Request, RightRequest,
};
use mpc_core::protocols::product;
use mpc_core::protocols::solve::{InversePlan, InverseSettings, Start, StartBound, inverse};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::{Z64, Z128};
use mpc_core::{Batch, Error, Outputs, Recipients, Session, SessionOptions};
use mpc_net::memory::{MemoryTransport, MeshOptions};
use mpc_net::{Abort, AbortCode};

pub const NAMES: [&str; 4] = ["alice", "bob", "carol", "dealer"];
pub const PARTIES: usize = 3;
pub const ROWS: u64 = 4;
pub const COLUMNS: u32 = 3;
/// 97 bits: 7 of the last byte are never set.
pub const BOUNDED_RING: u32 = 97;
/// A transposed product mod 2^109: 3 bits of the last byte are never set.
pub const WIDE_RING: u32 = 109;

/// Three parties and a dealer.
pub fn mesh(timeout: Duration) -> Vec<MemoryTransport> {
    MeshOptions::default().timeout(timeout).names(NAMES).mesh(PARTIES + 1)
}

/// Runs the scenario at all nodes and gives how it ended at each; panics when it hangs.
pub fn run(mesh: Vec<MemoryTransport>, deadline: Duration) -> Vec<Result<(), Error>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let nodes = join_all(mesh.into_iter().map(node));
    runtime
        .block_on(async { tokio::time::timeout(deadline, nodes).await })
        .expect("every node ends before the deadline")
}

/// One node from the handshake to the end.
pub async fn node(transport: MemoryTransport) -> Result<(), Error> {
    let options = SessionOptions::new(PARTIES, [7; 32])
        .outputs(Outputs::none().allow("result", Recipients::All));
    let mut session = Session::establish(Box::new(transport), options).await?;
    let worked = work(&mut session).await;
    if let Err(error) = &worked
        && error.code() == AbortCode::PeerMisbehaved
    {
        // As a node does, so that the others learn who is meant.
        session.abort(Abort::new(error.code(), error.to_string()));
    }
    worked?;
    session.finish().await
}

async fn work(session: &mut Session) -> Result<(), Error> {
    if session.me() == PARTIES {
        return dealer::serve(session).await;
    }
    party(session).await?;
    session.compare().await.map(|_| ())
}

/// Every party's input is the same in every run.
pub async fn party(session: &mut Session) -> Result<(), Error> {
    let me = session.me();
    let mut source = DealerSource::start(session)?;
    session.agree("scenario", b"the same at every party").await?;

    // Registration, twice, so that there is a message before.
    let shape =
        MatrixShape { rows: vec![ROWS; PARTIES], columns: COLUMNS, entry_bits: 17, sigma: 57 };
    for _ in 0..2 {
        let own = Arc::new(OwnRows::new(vec![1000 + me as i32; (ROWS as u32 * COLUMNS) as usize]));
        source.register(OwnedMatrix { shape: shape.clone(), own }).await?;
    }
    let spec = BoundedOpening::new(40, 55, 12, PARTIES as u32)?;
    assert_eq!(spec.ring, BOUNDED_RING);
    let owned = |transposed: bool| {
        Request::OwnedProduct(OwnedProductRequest {
            matrix: 0,
            rows: vec![(0, ROWS); PARTIES],
            transposed,
            ring: if transposed { WIDE_RING } else { 64 },
            mask_bits: spec.mask_bits(),
            drop: spec.drop,
            public_columns: 0,
        })
    };
    let phasors = PhasorRequest {
        count: 5,
        harmonics: vec![1, 3],
        fraction: 18,
        ring: 104,
        angle_bits: mpc_core::trig::ANGLE_BITS,
        rounding: None,
    };
    source.demand(vec![owned(false), owned(true)])?;
    source.demand(vec![
        Request::Phasors(phasors),
        Request::Left { m: 2, k: 3, ring: 64 },
        Request::Right(RightRequest { left: 0, n: 2, last: true }),
    ])?;

    // A bounded opening.
    let v = (me == 0).then_some([Z128(12_345); COLUMNS as usize]);
    let v = session.share_input(0, v.as_ref().map(<[_; 3]>::as_slice), COLUMNS as usize)?;
    let forward = source.take().await?.forward()?;
    drop(source.take().await?.transposed()?);
    let mut batch = Batch::new("scenario/bounded");
    spec.push(&v, &forward.rho, Recipients::All, &mut batch, session)?;
    session.open(batch).await?;

    // Two masked openings.
    let terms = vec![Term { k: 1, sine: 777, cosine: 0 }, Term { k: 3, sine: 99, cosine: 0 }];
    let series = Series { period: 6, fraction: 18, terms };
    let z = (me == 1).then_some([Z64(1 << 40); 5]);
    let z = session.share_input(1, z.as_ref().map(<[_; 5]>::as_slice), 5)?;
    series.apply(&z, 36, source.take().await?.phasors()?, session).await?;
    let six = z.select(&[0, 1, 2, 3, 0, 1])?;
    let (wide, tall) = (six.clone().reshape(2, 3)?, six.reshape(3, 2)?);
    let (left, right) = (source.take().await?.left64()?, source.take().await?.right64()?);
    let result = product::multiply(&wide, &tall, left, right, session).await?;

    // A small inverse, of G = 1/2.
    let plan = InversePlan::new(InverseSettings {
        order: 2,
        parties: PARTIES as u32,
        sigma: 57,
        diagonal: 0.5,
        least: 0.5,
        start: StartBound::Identity,
        reuse: false,
    })?;
    source.demand(plan.requests(1))?;
    let half = Z128(1 << (plan.fraction() - 1));
    let g = (me == 2).then_some([half, Z128(0), Z128(0), half]);
    let g = session.share_input(2, g.as_ref().map(<[_; 4]>::as_slice), 4)?;
    let g = g.reshape(2, 2)?;
    inverse(&plan, &g, Start::Identity, &mut source, session).await?;

    // A result, of which 61 bits are left: 3 bits of the last byte are never set.
    session.reveal("result", &result, 64, 3).await?;
    source.finish().await
}
