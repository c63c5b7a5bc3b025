//! Commitments before openings, and the comparison of what was opened to all (docs/protocols.md 0,
//! Covert).

use futures_util::future::join_all;
use mpc_net::{AbortCode, Due, NetError, PartyId, Tag};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Session;
use super::batch::{Batch, Scope};
use crate::error::Error;
use crate::rand::{MaskSite, Prg, RunningHash, hash};
use crate::ring::Z128;

const COMMIT: Tag = Tag::new("session/commit");
const COMPARE: Tag = Tag::new("session/compare");

/// Bytes of a commitment, and of the nonce that opens it.
pub(super) const COMMITMENT: usize = 32;
pub(super) const NONCE: usize = 32;
const SIGNATURE: usize = 64;

/// Bytes of what a party says that it heard: one hash for each party, and its signature (zeros where
/// nobody signs).
pub(super) const fn statement_bytes(parties: usize) -> usize {
    parties * COMMITMENT + SIGNATURE
}

/// What a party said that it heard, with its signature: together with what another one says, the
/// evidence of who opened different things to different parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The party that says so.
    pub party: usize,
    /// How many statements it made before in this session.
    pub number: u64,
    /// One hash for each party, over all that this party opened or announced to all.
    pub hashes: Vec<u8>,
    /// The party's signature, over session, number and hashes; zeros where nobody signs.
    pub signature: [u8; 64],
}

impl Statement {
    /// The domain that statements are signed in.
    pub const DOMAIN: &'static str = "openings/1";

    /// The bytes that are signed.
    #[must_use]
    pub fn signed(&self, session: &[u8; 32]) -> Vec<u8> {
        [session.as_slice(), &self.number.to_le_bytes(), &self.hashes].concat()
    }
}

/// What every party sent to all, as this node heard it; of this node, what it sent.
pub(super) struct Heard {
    parties: Vec<RunningHash>,
    /// How many statements were made.
    made: u64,
    /// The last statements of all that were heard.
    last: Vec<Statement>,
}

impl Heard {
    pub(super) fn new(session: &[u8; 32], parties: usize) -> Self {
        let begun = |party: usize| {
            let mut hash = RunningHash::new("openings");
            hash.absorb(session);
            hash.absorb(&(party as u64).to_le_bytes());
            hash
        };
        Self { parties: (0..parties).map(begun).collect(), made: 0, last: Vec::new() }
    }

    pub(super) fn note(&mut self, from: usize, tag: Tag, bytes: &[u8]) {
        self.parties[from].absorb(tag.label().as_bytes());
        self.parties[from].absorb(bytes);
    }

    /// One hash for each party.
    fn hashes(&self) -> Vec<u8> {
        self.parties.iter().flat_map(RunningHash::value).collect()
    }
}

/// What a party keeps between its commitments and the openings.
pub(super) struct Committed {
    /// The nonce for each party that learns something: the same for all where all learn the same.
    nonces: Vec<Zeroizing<Vec<u8>>>,
    /// The commitments of all where all learn the same, of the others else.
    theirs: Vec<Zeroizing<Vec<u8>>>,
    count: u64,
    /// Whether something is opened to this party, be it nothing but a nonce.
    pub(super) awaits: bool,
}

impl Committed {
    /// What is sent to `party` behind its shares.
    pub(super) fn nonce_to(&self, party: usize) -> &[u8] {
        &self.nonces[party]
    }

    /// The commitments of all parties, of a batch that opens the same to the same parties.
    pub(super) fn of_all(&self) -> Vec<[u8; COMMITMENT]> {
        let each = self.theirs.iter().map(|bytes| bytes.as_slice().try_into());
        each.collect::<Result<_, _>>().unwrap_or_default()
    }
}

impl Session {
    /// Commits to the shares of a batch, `messages` by recipient, where shares have to be: covert sessions, openings that are
    /// not masked in their whole ring. One round. With results, what was opened to all before is
    /// compared in the same round.
    pub(super) async fn commit(
        &mut self,
        batch: &Batch,
        messages: &[Zeroizing<Vec<u8>>],
    ) -> Result<Option<Committed>, Error> {
        let Some(scope) = self.heard.as_ref().and_then(|_| batch.scope()) else {
            return Ok(None);
        };
        let scope = scope?;
        let (me, parties) = (self.me, self.parties);
        let count = self.commitments;
        self.commitments += 1;
        let learns = |party: usize| batch.length_to(party) > 0;
        let mut nonces = vec![Zeroizing::new(Vec::new()); parties];
        let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
        match scope {
            Scope::Common => {
                // That of a result is recorded before anybody sees the commitment.
                let nonce = match &batch.nonce {
                    Some(nonce) => nonce.clone(),
                    None => self.nonce()?,
                };
                let reader = (0..parties).find(|&party| learns(party)).unwrap_or(me);
                let own = self.commitment(me, batch.tag, count, &nonce, &messages[reader]);
                for party in 0..parties {
                    outgoing[party].extend_from_slice(&own);
                    if learns(party) {
                        nonces[party].clone_from(&nonce);
                    }
                }
            }
            Scope::Private => {
                // Also to those to whom nothing is opened: so the cost does not depend on it.
                for party in (0..parties).filter(|&party| party != me) {
                    let nonce = self.nonce()?;
                    let own = self.commitment(me, batch.tag, count, &nonce, &messages[party]);
                    outgoing[party].extend_from_slice(&own);
                    nonces[party] = nonce;
                }
            }
        }
        let mut due = COMMITMENT;
        let statement = if batch.reveals() { self.state() } else { None };
        if let Some(statement) = &statement {
            due += statement.len();
            outgoing.iter_mut().for_each(|message| message.extend_from_slice(statement));
        }
        let mut theirs = self.exchange(COMMIT, outgoing.clone(), vec![due; parties]).await?;
        if statement.is_some() {
            let statements: Vec<_> = theirs
                .iter_mut()
                .enumerate()
                .map(|(party, all)| (party != me).then(|| all.split_off(COMMITMENT)))
                .collect();
            // The round has not ended well before all of them agree.
            self.broken = true;
            self.compare_statements(&statements)?;
            self.broken = false;
        }
        if scope == Scope::Common {
            theirs[me].clone_from(&Zeroizing::new(outgoing[me][..COMMITMENT].to_vec()));
            if let Some(heard) = &mut self.heard {
                for (party, commitment) in theirs.iter().enumerate() {
                    heard.note(party, batch.tag, commitment);
                }
            }
        }
        let awaits = scope == Scope::Private || learns(me);
        Ok(Some(Committed { nonces, theirs, count, awaits }))
    }

    /// Checks the message of `from`, which ends with its nonce, against its commitment; gives the
    /// shares without the nonce.
    pub(super) fn opens<'m>(
        &self,
        committed: &Committed,
        tag: Tag,
        from: usize,
        message: &'m [u8],
    ) -> Result<&'m [u8], Error> {
        let (shares, nonce) = message.split_at(message.len().saturating_sub(NONCE));
        let due = self.commitment(from, tag, committed.count, nonce, shares);
        if bool::from(due.as_slice().ct_eq(&committed.theirs[from])) {
            return Ok(shares);
        }
        Err(self.misbehaved(from, tag, "its share is not the one that it had committed to"))
    }

    /// Notes what the parties sent to all without a commitment before it.
    pub(super) fn note_heard(&mut self, from: usize, tag: Tag, bytes: &[u8]) {
        if let Some(heard) = &mut self.heard {
            heard.note(from, tag, bytes);
        }
    }

    /// Compares what was opened to all with everybody who is still there: at the end of a session,
    /// after the last result and before anything is done with it. Gives the names of the parties
    /// that were lost before they said what they heard. One round; none in a semi-honest session.
    ///
    /// # Errors
    /// [`Error::Contradiction`] and [`Error::Misbehaved`] when two parties heard different things; a
    /// peer that ends with an error of its own about the protocol.
    pub async fn compare(&mut self) -> Result<Vec<String>, Error> {
        self.usable()?;
        let Some(statement) = self.state() else { return Ok(Vec::new()) };
        self.enter()?;
        let transport = self.transport();
        let (statement, len) = (&statement, statement.len());
        let told = join_all(self.other_parties().map(|peer| async move {
            let id = PartyId::from_index(peer);
            let send = transport.send(id, COMPARE, statement);
            let receive = transport.recv(id, Due::exactly(COMPARE, len));
            let ((), theirs) = tokio::try_join!(send, receive)?;
            Ok::<_, NetError>((peer, theirs))
        }))
        .await;
        transport.meter().round();
        let mut statements = vec![None; self.parties];
        let mut lost = Vec::new();
        for (told, peer) in told.into_iter().zip(self.other_parties()) {
            match told {
                Ok((peer, theirs)) => statements[peer] = Some(theirs),
                // It found something that everybody has to hear of.
                Err(NetError::Aborted { peer, reason })
                    if reason.code == AbortCode::PeerMisbehaved =>
                {
                    return Err(NetError::Aborted { peer, reason }.into());
                }
                Err(error) if error.code() == AbortCode::PeerLost => lost.push(self.name(peer)),
                Err(error) => return Err(error.into()),
            }
        }
        self.compare_statements(&statements)?;
        self.broken = false;
        Ok(lost)
    }

    /// What this node heard, signed.
    fn state(&mut self) -> Option<Vec<u8>> {
        let heard = self.heard.as_mut()?;
        let (party, number, hashes) = (self.me, heard.made, heard.hashes());
        heard.made += 1;
        let mut own = Statement { party, number, hashes, signature: [0; SIGNATURE] };
        if let Some(signatory) = &self.signatory {
            own.signature = signatory.sign(Statement::DOMAIN, &own.signed(&self.id));
        }
        let bytes = [own.hashes.as_slice(), &own.signature].concat();
        heard.last = vec![own];
        Some(bytes)
    }

    /// The statements that were compared last, the own one first: what to keep where they differ.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        self.heard.as_ref().map_or(&[], |heard| &heard.last)
    }

    /// Whoever says of itself something else than what arrived here, or of this node something else
    /// than what it sent, is named; whoever heard something else of a third party is named with it.
    fn compare_statements<B: AsRef<[u8]>>(&mut self, theirs: &[Option<B>]) -> Result<(), Error> {
        let Some(own) = self.statements().first().cloned() else { return Ok(()) };
        let mut said = Vec::with_capacity(theirs.len());
        for (party, bytes) in theirs.iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            let (hashes, signature) = bytes.as_ref().split_at(own.hashes.len());
            let signature = signature.try_into().unwrap_or([0; SIGNATURE]);
            let number = own.number;
            said.push(Statement { party, number, hashes: hashes.to_vec(), signature });
        }
        if let Some(heard) = &mut self.heard {
            heard.last.extend(said.iter().cloned());
        }
        if let Some(signatory) = &self.signatory {
            for theirs in &said {
                let signed = theirs.signed(&self.id);
                if !signatory.verify(theirs.party, Statement::DOMAIN, &signed, &theirs.signature) {
                    let what = "what it says of the openings does not carry its signature";
                    return Err(self.misbehaved(theirs.party, COMPARE, what));
                }
            }
        }
        let differ = |theirs: &Statement, party: usize| {
            let at = party * COMMITMENT..(party + 1) * COMMITMENT;
            theirs.hashes[at.clone()] != own.hashes[at]
        };
        for theirs in &said {
            if differ(theirs, theirs.party) {
                let what = "what it says that it opened to all is not what arrived here";
                return Err(self.misbehaved(theirs.party, COMPARE, what));
            }
            if differ(theirs, self.me) {
                let what = "what it says that this node opened to all is not what was sent";
                return Err(self.misbehaved(theirs.party, COMPARE, what));
            }
        }
        for theirs in &said {
            if let Some(sender) = self.other_parties().find(|&party| differ(theirs, party)) {
                return Err(Error::Contradiction {
                    sender: self.name(sender),
                    witness: self.name(theirs.party),
                });
            }
        }
        Ok(())
    }

    pub(super) fn nonce(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        if self.nonces.is_none() {
            let seed = self.coins.seed("nonces");
            self.nonces = Some(Prg::under(&seed, MaskSite::Commitment, self.switch));
        }
        let mut nonce = Zeroizing::new(Vec::with_capacity(NONCE));
        for Z128(word) in self.nonces.iter_mut().flat_map(|own| own.elements(2, 128).to_vec()) {
            nonce.extend_from_slice(&word.to_le_bytes());
        }
        Ok(nonce)
    }

    fn commitment(
        &self,
        from: usize,
        tag: Tag,
        count: u64,
        nonce: &[u8],
        shares: &[u8],
    ) -> [u8; 32] {
        commitment(&self.id, from, tag.label(), count, nonce, shares)
    }
}

/// The commitment of party `from` to `shares` in a session, with so many before it.
pub(super) fn commitment(
    session: &[u8; 32],
    from: usize,
    step: &str,
    count: u64,
    nonce: &[u8],
    shares: &[u8],
) -> [u8; 32] {
    let (from, count) = ((from as u64).to_le_bytes(), count.to_le_bytes());
    hash("commitment", &[session, &from, step.as_bytes(), &count, nonce, shares])
}
