//! One node misbehaves in one message. Every honest node ends with an error that names a node and
//! is of the right class, soon after its time-out at the latest; nothing hangs and nothing panics.
//!
//! A share that was committed to cannot be changed, and one that not all received alike is noticed
//! before the next result. A mask or correction that was changed to another possible value is not
//! noticed here and makes the result wrong. What cannot be the value of a ring element is noticed, and
//! the handshake and the commands are compared between the nodes.
#![allow(clippy::unwrap_used)]

use crate::scenario;

use std::time::Duration;

use mpc_core::{Error, Tag};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::{AbortCode, NetError, PartyId};
use scenario::{NAMES, mesh};

const TIMEOUT: Duration = Duration::from_secs(1);

/// The time-out twice (one node waits for another that waits itself), a second for the reason of a
/// broken stream, and room for a machine with other work.
const LIMIT: Duration = Duration::from_secs(8);

const DEALER: usize = 3;

/// A message of the scenario: who sends which step to whom.
#[derive(Clone, Copy, Debug)]
struct Message {
    step: &'static str,
    nth: u64,
    from: usize,
    to: usize,
}

const fn message(step: &'static str, nth: u64, from: usize, to: usize) -> Message {
    Message { step, nth, from, to }
}

/// One of every kind.
const MESSAGES: [Message; 16] = [
    message("session/offer", 0, 0, 1),
    message("session/offer", 0, 1, DEALER),
    message("session/offer", 0, DEALER, 0),
    message("session/confirm", 0, 1, 2),
    message("session/agree", 0, 2, 0),
    message("dealer/command", 2, 0, DEALER),
    message("dealer/masked-matrix", 1, 1, 0),
    message("dealer/correction", 1, DEALER, 2),
    message("scenario/bounded", 0, 0, 1),
    message("series/open-delta", 0, 2, 1),
    message("product", 0, 1, 2),
    message("reveal", 0, 2, 0),
    message("inverse/start", 0, 1, 0),
    message("inverse/open-x", 0, 2, 1),
    message("inverse/truncate-gx", 1, 0, 2),
    message("inverse/truncate-x", 0, 1, 2),
];

/// The steps of the openings.
const OPENINGS: [&str; 8] = [
    "scenario/bounded",
    "series/open-delta",
    "product",
    "reveal",
    "inverse/start",
    "inverse/open-x",
    "inverse/truncate-gx",
    "inverse/truncate-x",
];

/// Runs the scenario with `fault` at `message` and gives the errors of the honest nodes, by node;
/// `None` at the attacker.
fn strike(message: Message, fault: &Fault) -> Vec<Option<Error>> {
    let mesh = mesh(TIMEOUT);
    let plan = FaultPlan::new(fault.clone())
        .to(PartyId::from_index(message.to))
        .in_step(Tag::new(message.step))
        .at_message(message.nth);
    mesh[message.from].inject(plan);
    let results = scenario::run(mesh, LIMIT);
    let errors = results.into_iter().enumerate().map(|(node, result)| {
        if node == message.from {
            return None;
        }
        let error = result.err();
        let error = error.unwrap_or_else(|| panic!("{message:?}, {fault:?}: {node} saw nothing"));
        let text = error.to_string();
        let others = NAMES.iter().enumerate().filter(|&(other, _)| other != node);
        assert!(
            others.clone().any(|(_, name)| text.contains(name)),
            "{message:?}, {fault:?}: {node} names nobody: {text}"
        );
        assert_ne!(error.code(), AbortCode::Internal, "{message:?}, {fault:?}: {text}");
        Some(error)
    });
    errors.collect()
}

/// Strikes every message and hands the receiver's error to `expect`; it names sender and step.
fn strike_all(fault: &Fault, skip: &[&str], expect: impl Fn(&Error) -> bool) {
    for message in MESSAGES.into_iter().filter(|message| !skip.contains(&message.step)) {
        let mut errors = strike(message, fault);
        let error = errors.swap_remove(message.to).expect("the receiver is honest");
        let text = error.to_string();
        assert!(expect(&error), "{message:?}, {fault:?}: {error:?}");
        // Of a node that died, the third may have noticed first, and have left before the receiver did.
        let left = |node: usize| node == message.from || matches!(fault, Fault::Kill);
        let mut others = (0..NAMES.len()).filter(|&node| node != message.to && left(node));
        assert!(others.any(|node| text.contains(NAMES[node])), "{message:?}, {fault:?}: {text}");
        let step = message.step.split('/').next().unwrap();
        assert!(text.contains(step), "{message:?}, {fault:?}: {text}");
    }
}

#[test]
fn without_a_fault_the_scenario_ends_well() {
    for result in scenario::run(mesh(TIMEOUT), LIMIT) {
        result.expect("ends well");
    }
}

#[test]
fn a_short_frame() {
    let length = |error: &Error| matches!(error, Error::Net(NetError::Length { .. }));
    // A command has no length that is due; a shorter one is another command.
    strike_all(&Fault::Short { bytes: 1 }, &["dealer/command"], length);
}

#[test]
fn a_frame_under_another_tag() {
    let out = |error: &Error| matches!(error, Error::Net(NetError::OutOfStep { .. }));
    strike_all(&Fault::WrongTag, &[], out);
}

#[test]
fn a_frame_of_another_session_or_place() {
    let out = |error: &Error| matches!(error, Error::Net(NetError::OutOfStep { .. }));
    for at in [8, 12] {
        strike_all(&Fault::FlipHeader { at, mask: 1 }, &[], out);
    }
}

#[test]
fn a_replayed_frame() {
    let out = |error: &Error| matches!(error, Error::Net(NetError::OutOfStep { .. }));
    // There is nothing before an offer that could be replayed.
    strike_all(&Fault::Replay, &["session/offer"], out);
}

/// The silent node may have given up waiting itself, a moment before.
fn silent(error: &Error) -> bool {
    matches!(error, Error::Net(NetError::Timeout { .. } | NetError::Lost { .. }))
}

/// Whether another node gave up for this reason.
fn told(error: &Error, why: AbortCode) -> bool {
    matches!(error, Error::Net(NetError::Aborted { reason, .. }) if reason.code == why)
}

#[test]
fn a_silent_peer_in_the_handshake() {
    let skip = ["dealer/command", "dealer/masked-matrix", "dealer/correction"];
    // A node that waits for the receiver, which waits, may give up first, and says so.
    let ends = |error: &Error| silent(error) || told(error, AbortCode::PeerLost);
    strike_all(&Fault::Silent, &[skip.as_slice(), &OPENINGS].concat(), ends);
}

#[test]
fn a_silent_peer_in_preparation() {
    let skip = ["session/offer", "session/confirm", "session/agree"];
    strike_all(&Fault::Silent, &[skip.as_slice(), &OPENINGS].concat(), silent);
}

#[test]
fn a_silent_peer_in_an_opening() {
    let skip = ["session/offer", "session/confirm", "session/agree"];
    let rest = ["dealer/command", "dealer/masked-matrix", "dealer/correction"];
    strike_all(&Fault::Silent, &[skip.as_slice(), &rest].concat(), silent);
}

#[test]
fn a_peer_that_dies() {
    let lost = |error: &Error| matches!(error, Error::Net(NetError::Lost { .. }));
    strike_all(&Fault::Kill, &[], lost);
}

#[test]
fn values_beyond_the_ring() {
    let misbehaved = |error: &Error| matches!(error, Error::Misbehaved { .. });
    // The last byte of the first element: 97 bits in 13 bytes; D in 10 bytes of 76 bits; 109 bits
    // in 14 bytes; 61 bits in 8 bytes. The top bit of each is never set.
    for (message, at) in [
        (message("scenario/bounded", 0, 0, 1), 12),
        (message("dealer/masked-matrix", 1, 1, 0), 9),
        (message("dealer/correction", 1, DEALER, 2), 13),
        (message("reveal", 0, 2, 0), 7),
    ] {
        let mut errors = strike(message, &Fault::FlipPayload { at, mask: 0x80 });
        let error = errors.swap_remove(message.to).unwrap();
        assert!(misbehaved(&error), "{message:?}: {error:?}");
        assert!(error.to_string().contains(NAMES[message.from]), "{message:?}: {error}");
        // What was committed to is noticed before.
        let committed = ["scenario/bounded", "reveal"].contains(&message.step);
        let what = if committed { "had committed to" } else { "out of range" };
        assert!(error.to_string().contains(what), "{message:?}: {error}");
    }
}

#[test]
fn changed_bytes_that_the_nodes_compare() {
    let flip = Fault::FlipPayload { at: 40, mask: 1 };
    for message in &MESSAGES[..6] {
        let errors = strike(*message, &flip);
        let error = errors[message.to].as_ref().unwrap();
        let mut seen = matches!(error, Error::Misbehaved { .. } | Error::Disagreement { .. });
        // The others see that the receiver has another session, and may say so first.
        seen |= message.step == "session/offer" && told(error, AbortCode::PeerMisbehaved);
        assert!(seen, "{message:?}: {error:?}");
        // Who saw another offer than the rest has another session than everybody, and cannot know
        // whose fault it is.
        let named = error.to_string().contains(NAMES[message.from]);
        assert!(named || message.step == "session/offer", "{message:?}: {error}");
    }
    // The dealer names the party that orders something else, whichever it is.
    for (from, name) in NAMES.iter().enumerate().take(3) {
        for fault in [flip.clone(), Fault::Short { bytes: 1 }] {
            let errors = strike(message("dealer/command", 2, from, DEALER), &fault);
            let error = errors[DEALER].as_ref().unwrap();
            assert!(matches!(error, Error::Misbehaved { .. }), "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

/// A changed byte that leaves a possible value. What was committed to names its sender; what went to
/// all without a commitment is compared at the next result, and then the sender is named with who
/// heard something else.
#[test]
fn changed_shares() {
    for message in MESSAGES[6..].iter().filter(|message| OPENINGS.contains(&message.step)) {
        let errors = strike(*message, &Fault::FlipPayload { at: 0, mask: 1 });
        let misbehaved = |error: &Error| matches!(error, Error::Misbehaved { .. });
        // What follows from it may be beyond a bound before it is compared.
        let differs = |error: &Error| {
            matches!(error, Error::Contradiction { .. } | Error::BeyondBound { .. })
        };
        let masked = ["series/open-delta", "product", "inverse/open-x"].contains(&message.step);
        for (node, error) in errors[..DEALER].iter().enumerate() {
            let Some(error) = error else { continue };
            // The dealer stops when it is told, and so does the sender: another node may see that first.
            let text = error.to_string();
            let lost = matches!(error, Error::Net(NetError::Lost { .. }));
            let stopped = silent(error) && text.contains("dealer")
                || lost && text.contains(NAMES[message.from]);
            if node != message.to && stopped {
                continue;
            }
            let seen = misbehaved(error) || masked && differs(error);
            assert!(seen || told(error, AbortCode::PeerMisbehaved), "{message:?}: {error:?}");
            assert!(error.to_string().contains(NAMES[message.from]), "{message:?}: {error}");
        }
    }
}

/// What nobody notices here, written down so that a change of it is seen: another masked matrix, or
/// other corrections. The run goes to its end, with a wrong result.
#[test]
fn changed_bytes_that_nobody_can_compare() {
    for message in MESSAGES[6..].iter().filter(|message| !OPENINGS.contains(&message.step)) {
        let mesh = mesh(TIMEOUT);
        let plan = FaultPlan::new(Fault::FlipPayload { at: 0, mask: 1 })
            .to(PartyId::from_index(message.to))
            .in_step(Tag::new(message.step))
            .at_message(message.nth);
        mesh[message.from].inject(plan);
        for result in scenario::run(mesh, LIMIT) {
            assert!(result.is_ok(), "{message:?}: {result:?}");
        }
    }
}
