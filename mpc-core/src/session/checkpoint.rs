//! The state of a computation between two of its steps, kept so that a later session can go on from there
//! (docs/protocols.md 0, Checkpoints).

use std::fmt;

use mpc_net::Tag;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Session;
use super::resend::{private_bytes, secret};
use crate::error::Error;
use crate::rand::{MaskSite, hash};
use crate::ring::{Ring, Z128, wire};
use crate::share::{Fixed, Shared};

const STEP: Tag = Tag::new("checkpoint");

/// The version of the bytes of a checkpoint.
const VERSION: u8 = 2;
/// The length of the name of a checkpoint.
const NAME: usize = 16;
/// No state has more shares.
const MOST_SHARES: usize = 64;

/// What a computation needs to go on: this party's shares, and what all parties hold alike.
#[derive(Clone)]
pub struct State {
    /// How many steps were done.
    pub step: u64,
    /// Public bytes, the same at every party.
    pub public: Vec<u8>,
    /// This party's shares, whose shapes, rings and scales are public.
    pub shares: Vec<Fixed>,
    /// What this party knows of its own rows and needs again. Nobody else ever sees it.
    pub own: Zeroizing<Vec<u8>>,
}

/// Shape, ring and scale of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Form {
    rows: u64,
    columns: u64,
    ring: u32,
    fraction: u32,
}

impl Form {
    fn of(share: &Fixed) -> Self {
        Self {
            rows: share.rows() as u64,
            columns: share.columns() as u64,
            ring: share.ring(),
            fraction: share.fraction(),
        }
    }

    fn bytes(&self) -> Option<usize> {
        let elements = self.rows.checked_mul(self.columns)?;
        usize::try_from(elements).ok()?.checked_mul(wire::element_bytes(Z128::BITS))
    }
}

/// One party's part of a state that all parties have committed to: as a [`CheckpointLog`] keeps it.
///
/// # Security
/// It holds a share of each value. Whoever has those of all parties has the values: it is kept sealed, and
/// removed when it is not needed any more.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u8,
    session: [u8; 32],
    me: u16,
    step: u64,
    plan: [u8; 32],
    public: Vec<u8>,
    forms: Vec<Form>,
    #[serde(with = "secret")]
    nonce: Zeroizing<Vec<u8>>,
    /// The commitments of all parties.
    commitments: Vec<[u8; 32]>,
    #[serde(with = "secret")]
    shares: Zeroizing<Vec<u8>>,
    #[serde(with = "secret")]
    own: Zeroizing<Vec<u8>>,
}

impl Checkpoint {
    /// The checkpoint that a log was given; none where these bytes are no such checkpoint, or where the shares
    /// are not those that this party committed to.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let read: Self = postcard::from_bytes(bytes).ok()?;
        if read.version != VERSION || read.forms.len() > MOST_SHARES {
            return None;
        }
        let mut length = 0usize;
        for form in &read.forms {
            length = length.checked_add(form.bytes()?)?;
        }
        let own = read.commitments.get(usize::from(read.me))?;
        let same = bool::from(own.as_slice().ct_eq(&read.commitment()));
        (length == read.shares.len() && same).then_some(read)
    }

    /// Its bytes, for a log.
    ///
    /// # Errors
    /// Not for what a session made.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        private_bytes(self)
    }

    /// The session in which it was made.
    #[must_use]
    pub fn session(&self) -> [u8; 32] {
        self.session
    }

    /// How many steps were done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The digest of what all parties computed by.
    #[must_use]
    pub fn plan(&self) -> [u8; 32] {
        self.plan
    }

    /// A name that is the same at all parties of a checkpoint, and at no two checkpoints: of session, step,
    /// plan, public numbers, and what each party committed to.
    #[must_use]
    pub fn name(&self) -> [u8; NAME] {
        let mut commitments = Vec::with_capacity(32 * self.commitments.len());
        self.commitments.iter().for_each(|it| commitments.extend_from_slice(it));
        let step = self.step.to_le_bytes();
        let parts = [&self.session[..], &step, &self.plan, &self.public, &commitments];
        let digest = hash("name of a checkpoint", &parts);
        let mut name = [0; NAME];
        name.copy_from_slice(&digest[..NAME]);
        name
    }

    fn commitment(&self) -> [u8; 32] {
        self.commitment_of(self.me)
    }

    /// What `party` commits to with this state, which is public where there are no shares.
    fn commitment_of(&self, party: u16) -> [u8; 32] {
        let (me, step) = (party.to_le_bytes(), self.step.to_le_bytes());
        let forms = self.forms.iter().flat_map(|form| {
            let (ring, fraction) = (u64::from(form.ring), u64::from(form.fraction));
            [form.rows, form.columns, ring, fraction].map(u64::to_le_bytes)
        });
        let forms: Vec<u8> = forms.flatten().collect();
        // What a party adds to a public state it tells nobody: its seal alone keeps it as it was.
        let own = if self.nonce.is_empty() { &[][..] } else { &self.own };
        let parts = [
            &self.session[..],
            &me,
            &step,
            &self.plan,
            &self.public,
            &forms,
            &self.nonce,
            &self.shares,
            own,
        ];
        hash("checkpoint", &parts)
    }

    fn state(&self) -> Result<State, Error> {
        let mut rest: &[u8] = &self.shares;
        let damaged = || Error::internal("a checkpoint is no state");
        let mut shares = Vec::with_capacity(self.forms.len());
        for form in &self.forms {
            let length = form.bytes().ok_or_else(damaged)?;
            let (mine, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
            rest = after;
            let values = wire::decode::<Z128>(mine, Z128::BITS).ok_or_else(damaged)?;
            let share = Shared::column(values.to_vec());
            let share = share.reshape(form.rows as usize, form.columns as usize)?;
            shares.push(Fixed::new(share, form.ring, form.fraction)?);
        }
        let (public, own) = (self.public.clone(), self.own.clone());
        Ok(State { step: self.step, public, shares, own })
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("step", &self.step)
            .field("forms", &self.forms)
            .finish_non_exhaustive()
    }
}

/// Where a party keeps its checkpoints.
pub trait CheckpointLog: Send {
    /// Makes `checkpoint` durable. Nothing of the next step is sent before.
    ///
    /// # Errors
    /// A sentence for the operator; the computation ends there.
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String>;
}

impl Session {
    /// Keeps checkpoints from here on. Every party of a session does, or none: each costs a round. No rounds.
    pub fn keep_checkpoints(&mut self, log: Box<dyn CheckpointLog>) {
        self.checkpoints = Some(log);
    }

    /// What the computation goes on from. No rounds.
    ///
    /// # Security
    /// Every party gives the checkpoint of the same [name](Checkpoint::name). Shares of different ones
    /// add up to noise.
    pub fn begin_from(&mut self, checkpoint: Checkpoint) {
        self.start = Some(checkpoint);
    }

    /// The state to go on from, re-randomised: each share has a fresh zero share of this session
    /// ([`MaskSite::ZeroShareResumed`]). None where the computation begins anew: nothing was given, or what
    /// was given is of another `plan`. No rounds.
    ///
    /// # Errors
    /// When it was made by another party; when a round was interrupted.
    pub fn resumed(&mut self, plan: &[u8; 32]) -> Result<Option<State>, Error> {
        self.usable()?;
        let Some(checkpoint) = self.start.take().filter(|it| it.plan == *plan) else {
            return Ok(None);
        };
        if usize::from(checkpoint.me) != self.me || checkpoint.commitments.len() != self.parties {
            return Err(Error::internal("a checkpoint of another party"));
        }
        let mut state = checkpoint.state()?;
        for share in &mut state.shares {
            let (ring, fraction) = (share.ring(), share.fraction());
            let mut integers = share.parts().0.clone();
            self.add_zero_share(MaskSite::ZeroShareResumed, &mut integers, Z128::BITS)?;
            *share = Fixed::new(integers, ring, fraction)?;
        }
        Ok(Some(state))
    }

    /// Whether [`checkpoint`](Self::checkpoint) keeps anything, at a round each time.
    #[must_use]
    pub fn keeps_checkpoints(&self) -> bool {
        self.checkpoints.is_some()
    }

    /// Commits to a state of a computation by `plan`, and keeps it when all parties have committed to theirs.
    /// One round; where no checkpoints are kept none.
    ///
    /// # Errors
    /// [`Error::Record`] when it cannot be kept; network errors.
    pub async fn checkpoint(&mut self, plan: &[u8; 32], state: State) -> Result<(), Error> {
        self.usable()?;
        if self.checkpoints.is_none() {
            return Ok(());
        }
        let nonce = self.nonce()?;
        let mut checkpoint = self.uncommitted(plan, state, nonce);
        let all = self.announce(STEP, &checkpoint.commitment()).await?;
        let all = all.iter().map(|bytes| bytes.as_slice().try_into());
        checkpoint.commitments = all
            .collect::<Result<_, _>>()
            .map_err(|_| Error::internal("a commitment of another length"))?;
        self.keep(&checkpoint)
    }

    /// The checkpoint of a state before anybody has committed to it.
    fn uncommitted(&self, plan: &[u8; 32], state: State, nonce: Zeroizing<Vec<u8>>) -> Checkpoint {
        let mut shares = Zeroizing::new(Vec::new());
        for share in &state.shares {
            let values = share.parts().0.as_slice();
            wire::encode(values, Z128::BITS, &mut shares);
        }
        Checkpoint {
            version: VERSION,
            session: self.id,
            me: self.me as u16,
            step: state.step,
            plan: *plan,
            public: state.public,
            forms: state.shares.iter().map(Form::of).collect(),
            nonce,
            commitments: Vec::new(),
            shares,
            own: state.own,
        }
    }

    /// Keeps a committed checkpoint, where any are kept.
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        match &mut self.checkpoints {
            Some(log) => log.keep(checkpoint).map_err(Error::Record),
            None => Ok(()),
        }
    }

    /// Keeps a state without shares, which every party that has come to it holds alike: nobody is waited for, and what each would commit to
    /// follows from it. No rounds.
    ///
    /// # Errors
    /// [`Error::Record`] when it cannot be kept.
    pub fn keep_public(&mut self, plan: &[u8; 32], state: State) -> Result<(), Error> {
        if self.checkpoints.is_none() {
            return Ok(());
        }
        if !state.shares.is_empty() {
            return Err(Error::internal("a state with shares is kept by all together"));
        }
        let mut checkpoint = self.uncommitted(plan, state, Zeroizing::default());
        let all = 0..self.parties as u16;
        checkpoint.commitments = all.map(|party| checkpoint.commitment_of(party)).collect();
        self.keep(&checkpoint)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("step", &self.step)
            .field("shares", &self.shares.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
