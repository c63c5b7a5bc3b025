//! Misbehaving on purpose, and looking at what a node sees; for tests only.
//!
//! Both hooks sit where frames are built and accepted, so they see exactly what crosses the wire:
//! [`FaultPlan`] tampers with frames that a node sends, [`View`] keeps what a node receives.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::{HEADER_BYTES, Header};
use crate::{PartyId, Tag};

/// A change to a payload before it is sent.
pub type Change = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What a node does wrong.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// Flips the bits of `mask` in byte `at` of the payload (modulo its length).
    FlipPayload {
        /// The byte.
        at: usize,
        /// The bits.
        mask: u8,
    },
    /// Flips the bits of `mask` in byte `at` of the 20-byte frame header (modulo 20).
    FlipHeader {
        /// The byte.
        at: usize,
        /// The bits.
        mask: u8,
    },
    /// Sends a well-formed frame whose payload lacks its last `bytes` bytes.
    Short {
        /// How many are missing.
        bytes: usize,
    },
    /// Sends the frame under the tag of another step.
    WrongTag,
    /// Sends nothing to that peer on that channel, now and from then on.
    Silent,
    /// Sends the previous frame of the channel once more instead of this one.
    Replay,
    /// Changes the payload at will and sends it in a frame that fits.
    Change(Change),
    /// Dies: leaves the mesh without a word instead of sending.
    Kill,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlipPayload { at, mask } => write!(f, "flip {mask:#04x} in payload byte {at}"),
            Self::FlipHeader { at, mask } => write!(f, "flip {mask:#04x} in header byte {at}"),
            Self::Short { bytes } => write!(f, "leave out the last {bytes} bytes"),
            Self::WrongTag => f.write_str("wrong tag"),
            Self::Silent => f.write_str("silent"),
            Self::Replay => f.write_str("replay"),
            Self::Change(_) => f.write_str("change the payload"),
            Self::Kill => f.write_str("kill"),
        }
    }
}

/// What is called when a fault strikes.
pub type Strike = Arc<dyn Fn() + Send + Sync>;

/// One fault, and the message that it strikes.
#[derive(Clone)]
pub struct FaultPlan {
    fault: Fault,
    to: Option<PartyId>,
    step: Option<String>,
    nth: u64,
    on_strike: Option<Strike>,
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, to, step, nth, .. } = self;
        write!(f, "{fault:?} in message {nth} of {step:?} to {to:?}")
    }
}

impl FaultPlan {
    /// `fault` at the first message to anyone in any step.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, to: None, step: None, nth: 0, on_strike: None }
    }

    /// Only messages to `peer` count.
    #[must_use]
    pub fn to(mut self, peer: PartyId) -> Self {
        self.to = Some(peer);
        self
    }

    /// Only messages of the step with this tag count.
    #[must_use]
    pub fn in_step(self, tag: Tag) -> Self {
        self.in_step_called(tag.label())
    }

    /// Only messages of the step with this label count.
    #[must_use]
    pub fn in_step_called(mut self, label: impl Into<String>) -> Self {
        self.step = Some(label.into());
        self
    }

    /// Strikes the message with number `nth` of those that count, from 0.
    #[must_use]
    pub fn at_message(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// Calls `strike` when the fault strikes.
    #[must_use]
    pub fn on_strike(mut self, strike: Strike) -> Self {
        self.on_strike = Some(strike);
        self
    }
}

/// How many messages of each step a node has sent to each peer since counting began, by the label of
/// the step.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Mutex<BTreeMap<(&'static str, PartyId), u64>>>);

impl Sent {
    /// The numbers so far.
    #[must_use]
    pub fn messages(&self) -> Vec<(&'static str, PartyId, u64)> {
        lock(&self.0).iter().map(|(&(step, to), &count)| (step, to, count)).collect()
    }
}

/// A payload that a node received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The sender.
    pub from: PartyId,
    /// The labels of the channel, joined by slashes; empty for the root channel.
    pub channel: String,
    /// The label of the step.
    pub step: &'static str,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// Everything that a node has received since recording began: with what it sent itself and its
/// own input and coins, this is its view of the protocol.
#[derive(Clone, Debug, Default)]
pub struct View(Arc<Mutex<Vec<Seen>>>);

impl View {
    /// All messages so far, in the order in which they were received.
    #[must_use]
    pub fn messages(&self) -> Vec<Seen> {
        lock(&self.0).clone()
    }

    /// The payloads of one step, in order.
    #[must_use]
    pub fn payloads(&self, tag: Tag) -> Vec<Vec<u8>> {
        let step = tag.label();
        lock(&self.0).iter().filter(|seen| seen.step == step).map(|s| s.bytes.clone()).collect()
    }
}

/// The hooks of one node.
#[derive(Default)]
pub(crate) struct Hooks {
    view: Mutex<Option<View>>,
    sent: Mutex<Option<Sent>>,
    armed: Mutex<Vec<Armed>>,
}

struct Armed {
    plan: FaultPlan,
    matched: u64,
    /// Peers and channels that hear nothing any more.
    silenced: Vec<(PartyId, String)>,
    /// The last frame to each peer on each channel.
    previous: HashMap<(PartyId, String), Vec<u8>>,
}

impl Hooks {
    pub(crate) fn record(&self) -> View {
        lock(&self.view).get_or_insert_default().clone()
    }

    #[cfg(feature = "quic")]
    pub(crate) fn count(&self) -> Sent {
        lock(&self.sent).get_or_insert_default().clone()
    }

    pub(crate) fn inject(&self, plan: FaultPlan) {
        lock(&self.armed).push(Armed {
            plan,
            matched: 0,
            silenced: Vec::new(),
            previous: HashMap::new(),
        });
    }

    pub(crate) fn seen(&self, from: PartyId, channel: &str, tag: Tag, payload: &[u8]) {
        if let Some(view) = &*lock(&self.view) {
            lock(&view.0).push(Seen {
                from,
                channel: channel.to_owned(),
                step: tag.label(),
                bytes: payload.to_vec(),
            });
        }
    }

    /// The bytes to send instead of the frame; `Some(None)` to die, `None` to send it as it is.
    pub(crate) fn tamper(
        &self,
        to: PartyId,
        tag: Tag,
        path: &str,
        header: &[u8; HEADER_BYTES],
        payload: &[u8],
    ) -> Option<Option<Vec<u8>>> {
        if let Some(sent) = &*lock(&self.sent) {
            *lock(&sent.0).entry((tag.label(), to)).or_default() += 1;
        }
        let mut armed = lock(&self.armed);
        if armed.is_empty() {
            return None;
        }
        let mut bytes = [header.as_slice(), payload].concat();
        for armed in armed.iter_mut() {
            match armed.strike(to, tag, path, bytes) {
                Some(struck) => bytes = struck,
                None => return Some(None),
            }
        }
        Some(Some(bytes))
    }
}

impl Armed {
    fn strike(&mut self, to: PartyId, tag: Tag, path: &str, frame: Vec<u8>) -> Option<Vec<u8>> {
        let key = (to, path.to_owned());
        if self.silenced.contains(&key) {
            return Some(Vec::new());
        }
        let counts = self.plan.to.is_none_or(|peer| peer == to)
            && self.plan.step.as_ref().is_none_or(|step| step == tag.label());
        let strikes = counts && self.matched == self.plan.nth;
        self.matched += u64::from(counts);
        if !strikes {
            self.previous.insert(key, frame.clone());
            return Some(frame);
        }
        if let Some(strike) = &self.plan.on_strike {
            strike();
        }
        match &self.plan.fault {
            Fault::FlipPayload { at, mask } => Some(flip(frame, HEADER_BYTES, *at, *mask)),
            Fault::FlipHeader { at, mask } => Some(flip(frame, 0, at % HEADER_BYTES, *mask)),
            Fault::Short { bytes } => {
                let missing = *bytes;
                Some(rebuild(&frame, |payload| {
                    payload.truncate(payload.len().saturating_sub(missing));
                }))
            }
            Fault::WrongTag => Some(flip(frame, 4, 0, 0xff)),
            Fault::Silent => {
                self.silenced.push(key);
                Some(Vec::new())
            }
            Fault::Replay => Some(self.previous.get(&key).cloned().unwrap_or(frame)),
            Fault::Change(change) => Some(rebuild(&frame, |payload| change(payload))),
            Fault::Kill => None,
        }
    }
}

fn flip(mut frame: Vec<u8>, offset: usize, at: usize, mask: u8) -> Vec<u8> {
    let room = frame.len().saturating_sub(offset);
    if room > 0 {
        frame[offset + at % room] ^= mask;
    }
    frame
}

/// The frame with another payload and a length that fits it.
fn rebuild(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // An earlier fault may have left less than a frame.
    let Some((header, payload)) = frame.split_at_checked(HEADER_BYTES) else {
        return frame.to_vec();
    };
    let mut payload = payload.to_vec();
    change(&mut payload);
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let header = Header::decode(header)
        .map_or([0; HEADER_BYTES], |header| Header { length, ..header }.encode());
    [header.as_slice(), &payload].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
