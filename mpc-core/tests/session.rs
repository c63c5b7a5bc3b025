//! What holds of a session as a whole: it is new every time, it is unusable after an interruption,
//! and nothing of it is printed.
#![allow(clippy::unwrap_used)]

use crate::scenario;

use std::collections::HashMap;
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, OwnRows, PhasorRequest, Request, RightRequest};
use mpc_core::protocols::product::FixedLeft;
use mpc_core::protocols::truncate::{open_bounded_fixed, own_masks};
use mpc_core::rand::{MaskSite, Prg, Seed, hash};
use mpc_core::ring::{Z64, Z128};
use mpc_core::testing::{Labels, World, stream_with};
use mpc_core::{
    Batch, Error, Fixed, Outputs, Recipients, ReleaseLog, Session, SessionOptions, Shared, Tag,
};
use mpc_net::AbortCode;
use mpc_net::fault::{Fault, FaultPlan, View};
use mpc_net::memory::{MemoryTransport, MeshOptions};
use scenario::{NAMES, mesh};

const TIMEOUT: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(20);

/// What is public and the same in every session.
const FIXED: [&str; 3] = ["dealer/command", "session/agree", "session/compare"];

/// Everything that was sent in all sessions so far.
#[derive(Default)]
struct Seen(HashMap<Vec<u8>, String>);

impl Seen {
    /// Notes all messages of a session; every payload of 8 bytes and more, and every 16 bytes of a
    /// longer one, may occur in one message of one session only.
    fn note(&mut self, session: usize, views: &[View]) -> usize {
        let mut messages = 0;
        for seen in views.iter().flat_map(View::messages) {
            if FIXED.contains(&seen.step) || seen.bytes.len() < 8 {
                continue;
            }
            messages += 1;
            // The same message goes to several peers; the first half of a confirmation is the same
            // from all.
            let confirm = seen.step == "session/confirm";
            let common = if confirm { 32 } else { 0 };
            // What follows a commitment where a result is revealed is the same at all: what they heard.
            let end = if seen.step == "session/commit" { 32 } else { seen.bytes.len() };
            let all = seen.bytes.as_slice();
            for (part, from) in [(&all[..common], 0), (&all[common..end], seen.from.0)] {
                let digest = &hash("message", &[part])[..8];
                let name = format!("session {session}, {} of {from}: {digest:?}", seen.step);
                self.once(part.to_vec(), &name);
                for (at, chunk) in part.chunks_exact(16).enumerate() {
                    self.once(chunk.to_vec(), &format!("{name}, chunk {at}"));
                }
            }
        }
        messages
    }

    fn once(&mut self, bytes: Vec<u8>, name: &str) {
        if bytes.is_empty() {
            return;
        }
        let first = self.0.entry(bytes).or_insert_with(|| name.to_owned());
        assert!(
            first == name || first.starts_with(name) || name.starts_with(&**first),
            "the same bytes in {first} and in {name}"
        );
    }
}

fn record(mesh: &[MemoryTransport]) -> Vec<View> {
    mesh.iter().map(MemoryTransport::record).collect()
}

#[test]
fn no_two_sessions_share_a_message() {
    let mut seen = Seen::default();
    for session in 0..100 {
        let mesh = mesh(TIMEOUT);
        let views = record(&mesh);
        for result in scenario::run(mesh, LIMIT) {
            result.expect("ends well");
        }
        assert!(seen.note(session, &views) > 50);
    }
}

#[test]
fn a_session_that_was_killed_and_started_anew_repeats_nothing() {
    let mut seen = Seen::default();
    let steps = [
        "session/confirm",
        "dealer/masked-matrix",
        "dealer/correction",
        "scenario/bounded",
        "series/open-delta",
        "product",
        "inverse/truncate-gx",
        "reveal",
    ];
    for (turn, step) in steps.into_iter().enumerate() {
        let victim = mesh(TIMEOUT);
        let node = if step == "dealer/correction" { 3 } else { turn % 3 };
        victim[node].inject(FaultPlan::new(Fault::Kill).in_step(Tag::new(step)));
        let views = record(&victim);
        let results = scenario::run(victim, LIMIT);
        assert!(results.iter().all(Result::is_err), "{step}: everybody notices");
        seen.note(2 * turn, &views);

        let again = mesh(TIMEOUT);
        let views = record(&again);
        for result in scenario::run(again, LIMIT) {
            result.expect("a new session ends well");
        }
        seen.note(2 * turn + 1, &views);
    }
}

#[test]
fn no_seed_and_no_mask_recurs() {
    let mut sessions = HashMap::new();
    let mut masks: HashMap<Vec<u8>, String> = HashMap::new();
    for run in 0..100 {
        let parties = World::new(3).run(async |mut session| {
            let me = session.me();
            let mut drawn = Vec::new();
            let fork = session.fork("beside").unwrap();
            for (which, session) in [("root", &session), ("fork", &fork)] {
                for peer in (0..3).filter(|&peer| peer != me) {
                    for site in MaskSite::ALL {
                        let mut stream = stream_with(session, peer, site).unwrap();
                        let words = stream.elements::<Z128>(2, 128);
                        let bytes = words.iter().flat_map(|w| w.0.to_le_bytes()).collect();
                        let (low, high) = (me.min(peer), me.max(peer));
                        drawn.push((bytes, format!("{run} {which} {low} {high} {site:?}")));
                    }
                }
            }
            (session.id(), drawn)
        });
        assert!(sessions.insert(parties[0].0, run).is_none(), "a session id recurs");
        for (id, drawn) in parties {
            assert_eq!(sessions.get(&id), Some(&run), "one id for all nodes");
            for (bytes, name) in drawn {
                // Both ends of a pair draw the same, and nobody else ever does.
                assert_eq!(masks.entry(bytes).or_insert_with(|| name.clone()), &name);
            }
        }
    }
    assert_eq!(masks.len(), 100 * 2 * 3 * MaskSite::ALL.len());
}

async fn establish(transport: MemoryTransport) -> Session {
    let outputs = Outputs::none().allow("result", Recipients::All);
    let options = SessionOptions::new(2, [0; 32]).outputs(outputs);
    Session::establish(Box::new(transport), options).await.unwrap()
}

fn two_sessions<T>(run: impl AsyncFnOnce(Session, Session) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let options = MeshOptions::default().timeout(TIMEOUT).names(NAMES);
    let mut nodes = options.mesh(2).into_iter();
    let (a, b) = (nodes.next().unwrap(), nodes.next().unwrap());
    runtime.block_on(async {
        let (a, b) = tokio::join!(establish(a), establish(b));
        tokio::time::timeout(LIMIT, run(a, b)).await.expect("ends in time")
    })
}

#[test]
fn a_dropped_round_makes_the_session_unusable() {
    let share = Shared::column(vec![Z64(1); 4]);
    let interrupted = |error: Error| {
        assert!(error.to_string().contains("interrupted"), "{error}");
    };
    two_sessions(async |mut session, other| {
        let log = Labels::default();
        session.record_releases(Box::new(log.clone()));
        let mut batch = Batch::new("test/dropped");
        batch.masked(&share, 64, Recipients::All);
        // Nobody answers; the future is dropped while it waits.
        let round = tokio::time::timeout(Duration::from_millis(20), session.open(batch));
        assert!(round.await.is_err());

        let mut batch = Batch::new("test/again");
        batch.masked(&share, 64, Recipients::All);
        interrupted(session.open(batch).await.expect_err("open"));
        interrupted(session.reveal("result", &share, 64, 0).await.expect_err("reveal"));
        interrupted(session.announce(Tag::new("test/announce"), b"x").await.expect_err("announce"));
        interrupted(session.agree("thing", b"x").await.expect_err("agree"));
        interrupted(session.share_input::<Z64>(1, None, 3).expect_err("input"));
        interrupted(session.fork("later").expect_err("fork"));
        interrupted(DealerSource::start(&mut session).err().expect("source"));
        interrupted(session.finish().await.expect_err("finish"));
        assert!(log.all().is_empty(), "nothing was recorded that was never sent");
        drop(other);
    });
}

/// A log whose disk is full.
struct Full;

impl ReleaseLog for Full {
    fn record(&mut self, _: &str, _: &[u8]) -> Result<(), String> {
        Err("the disk is full".to_owned())
    }
}

#[test]
fn what_cannot_be_recorded_is_not_sent() {
    let share = Shared::column(vec![Z64(1); 4]);
    let world = World::new(2).outputs(Outputs::none().allow("result", Recipients::All));
    let mesh = world.mesh();
    let views = record(&mesh);
    let ends = world.run_on(mesh, async |mut session| {
        if session.me() == 0 {
            session.record_releases(Box::new(Full));
        }
        session.reveal("result", &share, 64, 0).await
    });
    assert!(matches!(ends[0], Err(Error::Record(_))), "{:?}", ends[0]);
    let part = views[1].messages().into_iter().find(|seen| seen.step == "reveal");
    assert!(part.is_none(), "a part of the result was sent before it was recorded");
}

#[test]
fn a_failed_round_makes_the_session_unusable() {
    let share = Shared::column(vec![Z64(1); 4]);
    two_sessions(async |mut session, other| {
        drop(other);
        let mut batch = Batch::new("test/failed");
        batch.masked(&share, 64, Recipients::All);
        let error = session.open(batch).await.expect_err("the peer is gone");
        assert!(error.to_string().contains("bob"), "{error}");
        let error = session.agree("thing", b"x").await.expect_err("unusable");
        assert!(error.to_string().contains("interrupted"), "{error}");
    });
}

/// Digits that a secret would show, in every base that `Debug` and `Display` know.
fn shows(text: &str, secret: u128) -> bool {
    let text = text.to_lowercase().replace('_', "");
    [format!("{secret}"), format!("{secret:x}"), format!("{}", secret as i64)]
        .iter()
        .any(|digits| text.contains(digits.as_str()))
}

#[test]
fn nothing_secret_is_printed() {
    const SECRET: u64 = 7_182_818_284_590;
    let printed: Vec<Vec<String>> = World::new(2).with_dealer().run(async |mut session| {
        let mut texts = Vec::new();
        let me = session.me();
        let share = Shared::column(vec![Z64(SECRET); 4]);
        let mut source = DealerSource::start(&mut session).unwrap();
        let left = Request::Left { m: 2, k: 2, ring: 64 };
        let right = Request::Right(RightRequest { left: 0, n: 2, last: true });
        let phasors = PhasorRequest {
            count: 2,
            harmonics: vec![1],
            fraction: 18,
            ring: 64,
            angle_bits: mpc_core::trig::ANGLE_BITS,
            rounding: None,
        };
        let phasors = Request::Phasors(phasors);
        source.demand(vec![left.clone(), right, phasors, left]).unwrap();

        let mut secrets = vec![u128::from(SECRET)];
        let mut print = |text: String, secrets: &[u128]| {
            assert!(!secrets.iter().any(|&secret| shows(&text, secret)), "{text}");
            texts.push(text);
        };
        print(format!("{session:?} {session:#?} {share:?} {share:#?}"), &secrets);
        print(format!("{:?} {:?}", Z64(SECRET), Z128(SECRET.into())), &secrets);
        let fixed = Fixed::widened(&share, 64, 20).unwrap();
        print(format!("{fixed:?} {fixed:#?}"), &secrets);
        let wrong = fixed.clone().narrow(65).expect_err("larger");
        print(format!("{wrong} {wrong:?}"), &secrets);
        let mut masks = own_masks(&mut session).unwrap();
        let items = [(&fixed, 24)];
        let lifted = open_bounded_fixed("test/lifted", &items, 15, &mut masks, &mut session);
        let lifted = lifted.await.unwrap();
        print(format!("{lifted:?} {:?}", lifted[0].at(20).unwrap()), &secrets);
        print(format!("{:?}", OwnRows::new(vec![SECRET as u32 as i32])), &[SECRET as u32 as u128]);
        let seed = Seed::from_secret("test", &[b"seed"]);
        let mut prg = Prg::new(&seed, MaskSite::AngleMask);
        print(format!("{seed:?} {prg:?}"), &[prg.elements::<Z64>(1, 64)[0].0.into()]);

        let left = source.take().await.unwrap().left64().unwrap();
        let right = source.take().await.unwrap().right64().unwrap();
        let phasors = source.take().await.unwrap().phasors().unwrap();
        for share in [&left.a, &right.b, &right.ab] {
            secrets.extend(share.as_slice().iter().map(|v| u128::from(v.0)));
        }
        secrets.extend(phasors.cosine.as_slice().iter().map(|v| v.0));
        // Angles of 24 bits may be short; five digits of them would not be chance.
        secrets.extend(phasors.mask.iter().map(|v| u128::from(v.0)).filter(|&v| v > 99_999));
        print(format!("{left:?} {right:#?} {phasors:?}"), &secrets);
        let other = source.take().await.unwrap();
        print(format!("{other:?}"), &secrets);
        print(format!("{}", other.phasors().expect_err("another kind")), &secrets);

        let x = share.clone().reshape(2, 2).unwrap();
        let mut batch = Batch::new("test/printed");
        let pending = FixedLeft::push(&x, left, &mut batch).unwrap();
        let slot = batch.masked(&share, 64, Recipients::All);
        print(format!("{batch:?} {slot:?}"), &secrets);
        let opened = session.open(batch).await.unwrap();
        secrets.extend(opened.at(slot).iter().map(|value| value.0));
        print(format!("{opened:?} {:?}", FixedLeft::opened(pending, &opened)), &secrets);

        let wrong = session.share_input(me, Some(&[Z64(SECRET)]), 2).expect_err("length");
        print(format!("{wrong} {wrong:?}"), &secrets);
        let wrong = mpc_core::fixed::encode(SECRET as f64, 12, 20).expect_err("range");
        print(format!("{wrong} {wrong:?}"), &secrets);
        let wrong = session.reveal("other", &share, 64, 0).await.expect_err("not allowed");
        print(format!("{wrong} {wrong:?}"), &secrets);
        let wrong = session.agree("fact", &(SECRET + me as u64).to_le_bytes()).await;
        let wrong = wrong.expect_err("they differ");
        print(format!("{wrong} {wrong:?}"), &secrets);
        source.finish().await.unwrap();
        texts
    });
    assert_eq!(printed[0].len(), printed[1].len());
    assert!(printed[0][0].contains("rows: 4"), "shapes are public: {}", printed[0][0]);
}

/// A party that is alive and busy with what it ordered before is not a silent one: the dealer waits
/// for its next order without a time-out.
#[test]
fn the_dealer_waits_for_busy_parties() {
    let world = World::new(2).with_dealer();
    let options = MeshOptions::default().timeout(Duration::from_millis(200));
    let results = world.run_on(options.mesh(3), async |mut session| {
        let mut source = DealerSource::start(&mut session)?;
        let left = || vec![Request::Left { m: 1, k: 1, ring: 64 }];
        source.demand(left())?;
        source.take().await?;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            session.agree("progress", b"still working").await?;
        }
        source.demand(left())?;
        source.take().await?;
        source.finish().await
    });
    for result in results {
        result.expect("the dealer is still there");
    }
}

#[test]
fn outputs_can_be_added_and_none_can_be_named_again() {
    let world = World::new(2).outputs(Outputs::none().allow("count", Recipients::All));
    let results = world.run(async |mut session| {
        let one = Shared::column(vec![Z64(1)]);
        let early = session.reveal("sum", &one, 64, 0).await;
        assert!(matches!(early, Err(Error::Reveal { .. })), "{early:?}");
        session.allow(Outputs::none().allow("sum", Recipients::All))?;
        let sum = session.reveal("sum", &one, 64, 0).await?;
        // What was revealed is not revealed again under a name that is given anew.
        for label in ["sum", "count"] {
            let again = session.allow(Outputs::none().allow(label, Recipients::All));
            assert!(matches!(again, Err(Error::Reveal { .. })), "{label}");
        }
        assert!(session.reveal("sum", &one, 64, 0).await.is_err());
        Ok::<_, Error>(sum)
    });
    for result in results {
        assert_eq!(result.unwrap(), Some(vec![2]));
    }
}

/// A node that cannot agree on a session says so, and the others need not wait for it.
#[test]
fn a_node_that_establishes_no_session_tells_the_others_why() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let options = MeshOptions::default().timeout(Duration::from_secs(15)).names(NAMES);
    let mut nodes = options.mesh(3).into_iter();
    let (a, b, c) = (nodes.next().unwrap(), nodes.next().unwrap(), nodes.next().unwrap());
    // The offer of b to a alone is cut short; c hears nothing but what a says.
    b.inject(FaultPlan::new(Fault::Short { bytes: 1 }).at_message(0));
    let establish = |transport: MemoryTransport| {
        let options = SessionOptions::new(3, [0; 32]);
        Session::establish(Box::new(transport), options)
    };
    let ends = runtime.block_on(async {
        let all = async { tokio::join!(establish(a), establish(b), establish(c)) };
        tokio::time::timeout(LIMIT, all).await.expect("ends in time")
    });
    let errors = [ends.0, ends.1, ends.2].map(|end| end.unwrap_err());
    assert_eq!(errors[0].code(), AbortCode::PeerMisbehaved, "{}", errors[0]);
    for error in &errors[1..] {
        let text = error.to_string();
        assert!(text.contains("gave up") && text.contains("bytes"), "{text}");
    }
}
