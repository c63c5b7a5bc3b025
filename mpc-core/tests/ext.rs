//! What protocols outside the crate stand on: zero shares, streams of a pair, messages; and that a
//! mask is switched off in one world at a time.
#![allow(clippy::unwrap_used)]

use mpc_core::rand::{MaskDomain, MaskSite};
use mpc_core::ring::{Z64, Z128};
use mpc_core::session::ext;
use mpc_core::testing::World;
use mpc_core::{Error, Fixed, Outputs, Recipients, Session, Shared, Tag, ideal};
use zeroize::Zeroizing;

const MINE: MaskDomain = MaskDomain::new("test/mine");
const OTHER: MaskDomain = MaskDomain::new("test/other");
const STEP: Tag = Tag::new("test/step");

#[test]
fn zero_shares_are_fresh_and_sum_to_zero() {
    for parties in [2, 3, 5] {
        let shares = World::new(parties).run(async |mut session| {
            let mut all = Vec::new();
            for domain in [MINE, MINE, OTHER] {
                let mut share = Shared::<Z128>::zero(8, 1);
                ext::add_zero_share(&mut session, domain, &mut share, 100).unwrap();
                all.push(share);
            }
            let fixed = Fixed::zero(8, 1, 20).unwrap().narrow(100).unwrap();
            let fixed = ext::with_zero_share(&mut session, MINE, fixed).unwrap();
            assert_eq!((fixed.ring(), fixed.fraction()), (100, 20));
            all.push(fixed.into_parts().0);
            let mut share = Shared::<Z64>::zero(1, 1);
            assert!(ext::add_zero_share(&mut session, MINE, &mut share, 65).is_err());
            assert!(ext::add_zero_share(&mut session, MINE, &mut share, 0).is_err());
            all
        });
        for draw in 0..4 {
            let one: Vec<_> = shares.iter().map(|all| all[draw].clone()).collect();
            assert!(ideal::reconstruct(&one).iter().all(|sum| sum.0 << 28 == 0));
            assert!(shares[0][..draw].iter().all(|earlier| *earlier != one[0]), "draw {draw}");
        }
    }
}

#[test]
fn pairs_draw_alike_and_go_on() {
    let drawn = World::new(3).run(async |mut session| {
        let me = session.me();
        assert!(ext::pair_stream(&mut session, me, MINE).is_err());
        assert!(ext::pair_stream(&mut session, 3, MINE).is_err());
        let mut all = Vec::new();
        for domain in [MINE, OTHER, MINE] {
            for peer in (0..3).filter(|&peer| peer != me) {
                let stream = ext::pair_stream(&mut session, peer, domain).unwrap();
                all.push(((me.min(peer), me.max(peer)), stream.elements::<Z64>(1, 64)[0].0));
            }
        }
        let own =
            [(); 2].map(|()| ext::own_stream(&mut session, MINE).unwrap().elements::<Z64>(1, 64));
        assert_ne!(own[0][0], own[1][0]);
        all
    });
    let words = |party: usize, pair| {
        let mine = drawn[party].iter().filter(move |(of, _)| *of == pair);
        mine.map(|&(_, word)| word).collect::<Vec<_>>()
    };
    let mut seen = std::collections::BTreeSet::new();
    for pair in [(0, 1), (0, 2), (1, 2)] {
        assert_eq!(words(pair.0, pair), words(pair.1, pair));
        seen.extend(words(pair.0, pair));
    }
    assert_eq!(seen.len(), 9);
}

fn bytes(len: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![7; len])
}

#[test]
fn messages_have_the_lengths_that_are_due() {
    World::new(3).run(async |mut session| {
        let (me, next, before) = (session.me(), (session.me() + 1) % 3, (session.me() + 2) % 3);
        let mut wrong = async |outgoing, incoming| {
            let error = ext::exchange(&mut session, STEP, outgoing, incoming).await;
            assert!(matches!(error, Err(Error::Internal(_) | Error::Range(_))));
        };
        wrong(vec![bytes(0); 2], vec![0; 3]).await;
        wrong(vec![bytes(0); 3], vec![0; 4]).await;
        wrong(vec![bytes(1); 3], vec![0; 3]).await;
        wrong(vec![bytes(0); 3], vec![1; 3]).await;
        let mut incoming = vec![0; 3];
        incoming[next] = usize::MAX;
        wrong(vec![bytes(0); 3], incoming).await;

        // Nothing was broken by it: each party sends its number and one to the next.
        session.meter().enter("round");
        let mut outgoing = vec![bytes(0); 3];
        outgoing[next] = bytes(me + 1);
        let mut incoming = vec![0; 3];
        incoming[before] = before + 1;
        let received = ext::exchange(&mut session, STEP, outgoing, incoming).await.unwrap();
        assert_eq!(*received[before], vec![7; before + 1]);
        assert!(received[next].is_empty() && received[me].is_empty());
        let counted = session.meter().phase("round");
        assert_eq!((counted.rounds, counted.sent()), (1, me as u64 + 1));
        let error = ext::misbehaved(&session, next, STEP, "no share").to_string();
        assert!(error.contains("test/step") && error.contains("no share"), "{error}");
    });
}

/// Whether party 0's zero share of a domain is zero.
fn is_off(world: &World, domain: MaskDomain) -> bool {
    let off = world.run(async |mut session| {
        let mut share = Shared::<Z128>::zero(4, 1);
        ext::add_zero_share(&mut session, domain, &mut share, 128).unwrap();
        share.as_slice().iter().all(|v| v.0 == 0)
    });
    assert!(off.iter().all(|&party| party == off[0]));
    off[0]
}

#[test]
fn a_mask_is_off_in_one_world_alone() {
    // At once, in as many threads.
    std::thread::scope(|scope| {
        let worlds = [None, Some(MINE), Some(OTHER)].map(|off| {
            let world = World::new(3).insecure_without(off.map(MaskSite::from));
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(is_off(&world, MINE), off == Some(MINE));
                    assert_eq!(is_off(&world, OTHER), off == Some(OTHER));
                }
            })
        });
        worlds.into_iter().for_each(|world| world.join().unwrap());
    });
}

#[test]
fn a_mask_is_off_in_what_is_forked_as_well() {
    let world = World::new(2).insecure_without(Some(MINE.into()));
    world.run(async |mut session: Session| {
        let mut fork = session.fork("beside").unwrap();
        for session in [&mut session, &mut fork] {
            let mut share = Shared::<Z64>::zero(1, 1);
            ext::add_zero_share(session, MINE, &mut share, 64).unwrap();
            assert_eq!(share.as_slice(), [Z64(0)]);
            let own = ext::own_stream(session, MINE).unwrap().elements::<Z64>(1, 64);
            assert_eq!(own[0], Z64(0));
        }
    });
}

#[test]
fn a_dealer_takes_no_part_in_an_exchange() {
    let outputs = Outputs::none().allow("sum", Recipients::All);
    World::new(2).with_dealer().outputs(outputs).run(async |mut session| {
        assert!(ext::pair_stream(&mut session, 2, MINE).is_err());
        let error = ext::exchange(&mut session, STEP, vec![bytes(0); 3], vec![0; 3]).await;
        assert!(matches!(error, Err(Error::Internal(_))));
    });
}
