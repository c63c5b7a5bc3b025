//! A protocol of one's own below the protocols of this crate: products of three parties' shared
//! integers without any correlated randomness, by replicated shares (Araki, Furukawa, Lindell, Nof
//! and Ohara, CCS 2016). It has a mask of its own, and a test that fails without it.
//!
//! # Security
//! Against *one* party that keeps to the protocol: two of the three parties together hold all
//! shares. That is less than what the protocols of this crate give, and is why it is an example.

use mpc_core::rand::MaskDomain;
use mpc_core::ring::{Z64, wire};
use mpc_core::session::ext;
use mpc_core::testing::World;
use mpc_core::{Error, Outputs, Recipients, Session, Shared, Tag};
use zeroize::Zeroizing;

/// Hides a party's own shares from the neighbour that gets them.
const RESHARING: MaskDomain = MaskDomain::new("example/replicated resharing");
const STEP: Tag = Tag::new("example/replicated");

/// This party's share of x y, element by element, mod 2^64. One round, of 16 bytes an element to
/// one neighbour.
///
/// Each share gets a fresh zero share and goes to the party before. With x = x_0 + x_1 + x_2, party
/// i then knows x_i and x_(i+1), and sums up the terms x_i y_i + x_i y_(i+1) + x_(i+1) y_i, of which
/// each of the nine is with one party.
///
/// # Security
/// A neighbour sees two of the three shares of x and y, which are uniform given the third by the
/// zero share of all three (`RESHARING`).
async fn multiply(
    x: &Shared<Z64>,
    y: &Shared<Z64>,
    session: &mut Session,
) -> Result<Shared<Z64>, Error> {
    let (me, parties) = (session.me(), session.parties());
    if parties != 3 {
        return Err(Error::Range(format!("replicated shares of {parties} parties, not of three")));
    }
    let mut mine = Shared::stack(&[x, y])?;
    ext::add_zero_share(session, RESHARING, &mut mine, 64)?;

    let (before, after) = ((me + 2) % 3, (me + 1) % 3);
    let mut outgoing = vec![Zeroizing::default(); 3];
    wire::encode(mine.as_slice(), 64, &mut outgoing[before]);
    let mut incoming = vec![0; 3];
    incoming[after] = mine.len() * wire::element_bytes(64);
    let received = ext::exchange(session, STEP, outgoing, incoming).await?;
    let next = wire::decode::<Z64>(&received[after], 64)
        .ok_or_else(|| ext::misbehaved(session, after, STEP, "a share is out of range"))?;

    let (x, y) = mine.as_slice().split_at(x.len());
    let (next_x, next_y) = next.split_at(x.len());
    let term = |i: usize| x[i] * (y[i] + next_y[i]) + next_x[i] * y[i];
    Ok(Shared::column((0..x.len()).map(term).collect()))
}

/// The joint total of quantity times price, of which each party has a part of both.
async fn total(
    quantities: [u64; 2],
    prices: [u64; 2],
    session: &mut Session,
) -> Result<Option<Vec<i128>>, Error> {
    // A party's own numbers are its shares of the sums.
    let [quantities, prices] =
        [quantities, prices].map(|own| Shared::column(own.map(Z64).to_vec()));
    let values = multiply(&quantities, &prices, session).await?;
    session.reveal("total", &values.sum(), 64, 0).await
}

const QUANTITIES: [[u64; 2]; 3] = [[3, 0], [4, 1], [0, 9]];
const PRICES: [[u64; 2]; 3] = [[10, 1], [5, 1], [7, 5]];

fn world() -> World {
    World::new(3).outputs(Outputs::none().allow("total", Recipients::All))
}

fn main() -> Result<(), Error> {
    let results = world().run(async |mut session| {
        let me = session.me();
        total(QUANTITIES[me], PRICES[me], &mut session).await
    });
    for result in results {
        assert_eq!(result?, Some(vec![7 * 22 + 10 * 7]));
    }
    Ok(())
}

#[test]
fn the_example_runs() {
    main().expect("runs");
}

/// What party 2 sees of party 0 is different in every run, and nothing that party 0 has; without the
/// mask it is party 0's own numbers.
#[cfg(all(test, feature = "test-util", feature = "insecure-test-masks"))]
mod views {
    use mpc_core::rand::MaskSite;

    use super::*;

    fn seen(without: Option<MaskSite>) -> Vec<u8> {
        let world = world().insecure_without(without);
        let mesh = world.mesh();
        let view = mesh[2].record();
        world.run_on(mesh, async |mut session| {
            let me = session.me();
            total(QUANTITIES[me], PRICES[me], &mut session).await.expect("runs")
        });
        view.payloads(STEP).concat()
    }

    #[test]
    fn the_mask_is_needed() {
        let own: Vec<u8> =
            [QUANTITIES[0], PRICES[0]].concat().iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(seen(Some(RESHARING.into())), own);
        let views: Vec<_> = (0..20).map(|_| seen(None)).collect();
        for (i, view) in views.iter().enumerate() {
            assert_ne!(view, &own);
            // 24 words that are uniform are all different, but with a probability of 2^-56.
            let words = views[..i].iter().flat_map(|view| view.chunks(8));
            assert!(words.chain(own.chunks(8)).all(|old| view.chunks(8).all(|new| new != old)));
        }
    }
}
