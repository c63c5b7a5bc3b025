//! Misbehaving on command, for `scripts/faults.sh`. Only under the feature `test-faults`, which no
//! release binary has.
//!
//! `MPC_FAULT` holds one fault or several, with `|` between them, each as `key=value` with `;` between
//! the keys: `kind` and what it needs (below), `step` the label of a step, `peer` a number of a node,
//! `nth` which of the messages that count, from 0. `MPC_FAULT_STRUCK` names a file that is written when one
//! strikes, `MPC_FAULT_SENT` one that is written at the end and tells what was sent.
//!
//! `MPC_DIE_AT` names a place at which the process is killed, for the first time that it comes there or, with `:N`
//! behind it, when it was there N times before:
//!
//! | place | |
//! |---|---|
//! | `joined`, `begun` | the nodes have met; the store knows of the run |
//! | `keeping`, `kept` | all have committed to a state of the fit, and it is not on the disk; it is |
//! | `round` | a round of a federated study has ended, or a party was lost in it |
//! | `recorded` | a part of the result is recorded and not sent |
//! | `committed`, `revealed` | all have committed to theirs, and no share of it is sent; it is known |
//! | `model` | the result is known and nothing of it written |
//! | `receipt` | the model is written |
//! | `closing` | everything is written, and the others do not know it |
//!
//! | kind | |
//! |---|---|
//! | `flip-payload`, `flip-header` | flips the bits of `mask` in byte `at` |
//! | `short` | leaves out the last `bytes` bytes |
//! | `wrong-tag`, `silent`, `replay`, `kill` | |
//! | `add` | adds `delta` to the number that begins at byte `at`, so that another value of the same form is sent |

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fs};

use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan, Sent};
use mpc_net::quic::QuicTransport;

use crate::exit::{Exit, Failure};

/// Holds a process still that is to die when it has recorded its part of the result: what it sent before is
/// on its way then, and the others have recorded theirs when they hear of its death. Shorter than any
/// silence that tests allow.
pub async fn before_release() {
    if env::var("MPC_DIE_AT").as_deref() == Ok("recorded") {
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

/// Kills this process, if `MPC_DIE_AT` names this place: nothing is said to anybody, and nothing written any more.
pub fn die_at(place: &str) {
    static BEFORE: AtomicU64 = AtomicU64::new(0);
    // Read anew each time: it is asked for a few times in a run.
    let due = env::var("MPC_DIE_AT").unwrap_or_default();
    let (name, nth) = due.split_once(':').unwrap_or((&due, "0"));
    if name != place || Ok(BEFORE.fetch_add(1, Ordering::Relaxed)) != nth.parse() {
        return;
    }
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
    }
    // An exit would run what is to be run at the end.
    std::process::abort();
}

/// What was sent, to be written at the end.
#[derive(Debug)]
pub struct Armed {
    sent: Option<(PathBuf, Sent)>,
}

/// Lets a node misbehave as the environment says.
///
/// # Errors
/// When it says something that is no fault.
pub fn arm(transport: &QuicTransport) -> Result<Armed, Failure> {
    let sent = env::var_os("MPC_FAULT_SENT").map(|path| (path.into(), transport.count_sent()));
    for text in env::var("MPC_FAULT").unwrap_or_default().split('|').filter(|text| !text.is_empty())
    {
        let plan = plan(text)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("MPC_FAULT: {text:?} is no fault")))?;
        let struck = env::var_os("MPC_FAULT_STRUCK");
        transport.inject(plan.on_strike(Arc::new(move || {
            if let Some(path) = &struck {
                // Who started this process sees that the file is not there.
                let _ = fs::write(path, "struck");
            }
        })));
    }
    Ok(Armed { sent })
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some((path, sent)) = &self.sent {
            let lines = sent.messages().into_iter();
            let lines = lines.map(|(step, to, count)| format!("{step} {} {count}\n", to.index()));
            let _ = fs::write(path, lines.collect::<String>());
        }
    }
}

fn plan(text: &str) -> Option<FaultPlan> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for field in text.split(';') {
        fields.push(field.split_once('=')?);
    }
    let given = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let fault = match given("kind")? {
        "flip-payload" => {
            Fault::FlipPayload { at: number(given("at"))?, mask: number(given("mask"))? }
        }
        "flip-header" => {
            Fault::FlipHeader { at: number(given("at"))?, mask: number(given("mask"))? }
        }
        "short" => Fault::Short { bytes: number(given("bytes"))? },
        "wrong-tag" => Fault::WrongTag,
        "silent" => Fault::Silent,
        "replay" => Fault::Replay,
        "kill" => Fault::Kill,
        "add" => {
            let (at, delta) = (number(given("at"))?, number(given("delta"))?);
            Fault::Change(Arc::new(move |payload| add(payload, at, delta)))
        }
        _ => return None,
    };
    let mut plan = FaultPlan::new(fault);
    if let Some(step) = given("step") {
        plan = plan.in_step_called(step);
    }
    if let Some(peer) = given("peer") {
        plan = plan.to(PartyId::from_index(peer.parse().ok()?));
    }
    if let Some(nth) = given("nth") {
        plan = plan.at_message(nth.parse().ok()?);
    }
    Some(plan)
}

fn number<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// Adds to a little-endian number of at most 8 bytes, modulo what it holds.
fn add(payload: &mut [u8], at: usize, delta: u64) {
    let length = payload.len().max(1);
    let mut carry = 0;
    for (byte, more) in payload.iter_mut().skip(at % length).zip(delta.to_le_bytes()) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_text() {
        let plan = plan("kind=short;bytes=3;step=reveal;peer=1;nth=2").unwrap();
        let text = format!("{plan:?}");
        assert!(text.contains("last 3 bytes") && text.contains("message 2"), "{text}");
        for wrong in ["", "kind=fly", "kind=short", "kind=short;bytes=x", "silent", "kind=add;at=0"]
        {
            assert!(super::plan(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn sums_carry() {
        let mut payload = [0xff, 0xff, 1, 9];
        add(&mut payload, 0, 1);
        assert_eq!(payload, [0, 0, 2, 9]);
        add(&mut payload, 7, 255);
        assert_eq!(payload, [0, 0, 2, 8]);
        add(&mut [], 3, 1);
    }
}
