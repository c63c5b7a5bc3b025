//! What the parties tell each other of their approvals before anything else (docs/protocols.md 0, Consent).

use mpc_core::{Error, Session, Tag};
use mpc_net::quic::Roster;
use serde::{Deserialize, Serialize};

use super::budget::BudgetSaid;
use super::standing::Standing;
use super::{Event, Events, StudyFolder};
use crate::approval::SignedApproval;
use crate::exit::{Exit, Failure};
use crate::output::{hex, when};
use crate::study::{Approvals, Terms};

const CONSENT: Tag = Tag::new("study/consent");

/// The length of every message: more than the longest one has.
const MESSAGE: usize = 4096;

/// What a party says before it sends anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// Whether its node takes part only in studies that somebody there has approved.
    pub(super) required: bool,
    /// Which run of this study it is there, from 1.
    pub(super) run: u32,
    /// Its approval, where there is a valid one.
    pub(super) approval: Option<SignedApproval>,
    /// What it has of the study's result.
    pub(super) standing: Standing,
    /// What it has spent of its privacy budget, in a study that takes of it.
    pub(super) budget: Option<BudgetSaid>,
}

/// What one party said.
pub(super) type Heard = (PartyConsent, Standing, Option<BudgetSaid>);

/// The consent of one party, as the receipt has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyConsent {
    /// The party.
    pub party: String,
    /// Whether its node asks for an approval.
    pub required: bool,
    /// Which run of this study it was there.
    pub run: u32,
    /// The approval, signed; none where its operator approved by starting the node.
    pub approved: Option<SignedApproval>,
}

impl Said {
    /// The message, always of the same length.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let internal = |what: String| Failure::new(Exit::Internal, what);
        let mut bytes = postcard::to_stdvec(self).map_err(|error| internal(error.to_string()))?;
        if bytes.len() > MESSAGE {
            return Err(internal(format!("an approval of {} bytes", bytes.len())));
        }
        bytes.resize(MESSAGE, 0);
        Ok(bytes)
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (said, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        rest.iter().all(|byte| *byte == 0).then_some(said)
    }
}

/// Tells all parties `own`, hears the same of each, and checks it. One round.
///
/// # Errors
/// When an approval is not signed by its party, is of another study, or one that the study needs is not
/// there or has expired.
pub(super) async fn exchange(
    own: &[u8],
    terms: &Terms,
    roster: &Roster,
    session: &mut Session,
    at: u64,
) -> Result<Vec<Heard>, Failure> {
    let all = session.announce(CONSENT, own).await?;
    all.iter().enumerate().map(|(party, bytes)| check(bytes, party, terms, roster, at)).collect()
}

/// What one party said, if it is what may be said.
fn check(
    bytes: &[u8],
    party: usize,
    terms: &Terms,
    roster: &Roster,
    at: u64,
) -> Result<Heard, Failure> {
    let node = &roster.nodes[party];
    let name = &node.name;
    let misbehaved = |detail: &str| {
        let (peer, step, detail) = (name.clone(), CONSENT.label().to_owned(), detail.to_owned());
        Failure::from(Error::Misbehaved { peer, step, detail })
    };
    let Said { required, run, approval, standing, budget } = Said::parse(bytes)
        .ok_or_else(|| misbehaved("what it says of its approval is no such message"))?;
    if let Some(signed) = &approval {
        if !signed.holds(&node.key) {
            return Err(misbehaved("its approval does not carry its signature"));
        }
        let of = &signed.approval;
        if of.study != hex(terms.digest().as_bytes()) || of.party != *name {
            return Err(misbehaved("its approval is of another study or party"));
        }
    }
    let needed = required || terms.consent().approvals == Approvals::All;
    let refused = |what: String| {
        let failure = Failure::new(Exit::Configuration, what).advise(format!(
            "its operator runs `party study approve` there, and then all run `party train` again; \
             nothing of the rows of {name} or of any other party was sent"
        ));
        Err(Failure { accuses: true, ..failure })
    };
    match &approval {
        None if needed => refused(format!("{name} has not approved this study")),
        Some(signed) if needed && !signed.is_valid_at(at) => refused(format!(
            "the approval of {name} has expired on {}",
            when(signed.approval.expires)
        )),
        _ => {
            let approved = approval.filter(|signed| signed.is_valid_at(at));
            Ok((PartyConsent { party: name.clone(), required, run, approved }, standing, budget))
        }
    }
}

/// Sees to it that all have approved what is about to be revealed.
///
/// # Errors
/// When somebody has approved another list.
pub(super) fn of_this_list(
    consents: &[PartyConsent],
    disclosure: &[u8; 32],
) -> Result<(), Failure> {
    let disclosure = hex(disclosure);
    let other = consents.iter().find(|it| {
        it.approved.as_ref().is_some_and(|signed| signed.approval.disclosure != disclosure)
    });
    let Some(other) = other else { return Ok(()) };
    let what = format!(
        "{} has approved another list of what is revealed than the one of this run",
        other.party
    );
    let failure = Failure::new(Exit::Configuration, what).advise(
        "compare the versions of the program at all nodes and what `party study check` shows there; then \
         approve the study again with --rows N,N,.., the numbers of rows of all parties",
    );
    Err(Failure { seen_by_all: true, accuses: true, ..failure })
}

/// Compares what the others say of their runs with what they said before: a smaller number means that a
/// node has lost its memory, or put back an older one. Gives a sentence for each.
///
/// # Errors
/// When the store cannot be written.
pub(super) fn remember(
    consents: &[PartyConsent],
    me: usize,
    folder: &StudyFolder,
    events: &Events,
) -> Result<Vec<String>, Failure> {
    let others = consents.iter().enumerate().filter(|(party, _)| *party != me);
    let told: Vec<(&str, u32)> =
        others.map(|(_, consent)| (consent.party.as_str(), consent.run)).collect();
    let mut noticed = Vec::new();
    for ((party, now), before) in told.iter().zip(folder.heard(&told)?) {
        if *now <= before {
            let text = format!(
                "{party} says that this is its run {now} of this study, and said before that it was at \
                 run {before}: its memory was deleted or replaced by an older one, so it does not know \
                 what it has revealed"
            );
            events(Event::Note(text.clone()));
            noticed.push(text);
        }
    }
    Ok(noticed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mpc_net::PartyId;
    use mpc_net::quic::Peer;

    use super::super::seal::testing::identity;
    use super::*;
    use crate::approval::{Approval, Approver, Subject};
    use crate::identity::Identity;
    use crate::study::Study;

    const STUDY: &str = include_str!("../../../scripts/data/credit_status/study.toml");

    struct Case {
        study: Terms,
        roster: Roster,
        bank_b: Identity,
    }

    fn case(approvals: &str) -> Case {
        let text = format!("{STUDY}\n[consent]\napprovals = {approvals:?}\n");
        let (bank_a, bank_b) = (identity(), identity());
        let peer = |name: &str, identity: &Identity| Peer {
            name: name.to_owned(),
            address: None,
            also: Vec::new(),
            key: identity.fingerprint(),
        };
        let nodes = vec![peer("bank-a", &bank_a), peer("bank-b", &bank_b)];
        let roster = Roster { me: PartyId(0), nodes, dealer: false };
        Case { study: Study::from_bytes(text.as_bytes()).unwrap().terms().clone(), roster, bank_b }
    }

    impl Case {
        fn approval(&self) -> Approval {
            let text = str::to_owned;
            let subject = Subject {
                study: hex(self.study.digest().as_bytes()),
                party: text("bank-b"),
                disclosure: hex(&[7; 32]),
                data: hex(&[8; 32]),
            };
            let by = Approver { name: text("B"), role: text("DPO"), note: Some("x".repeat(500)) };
            Approval::new(subject, by, 1000, Duration::from_secs(100))
        }

        fn signed(&self) -> SignedApproval {
            SignedApproval::sign(self.approval(), &self.bank_b).unwrap()
        }

        fn hears(
            &self,
            required: bool,
            approval: Option<SignedApproval>,
            at: u64,
        ) -> Result<PartyConsent, Failure> {
            let standing = Standing::default();
            let said = Said { required, run: 3, approval, standing, budget: None };
            let bytes = said.to_bytes().unwrap();
            check(&bytes, 1, &self.study, &self.roster, at).map(|(consent, ..)| consent)
        }
    }

    #[test]
    fn approvals_are_checked_before_anything_else() {
        let (own, all) = (case("own"), case("all"));
        // Where nobody asks for one, starting the node is the approval.
        let consent = own.hears(false, None, 1050).unwrap();
        assert_eq!((consent.approved, consent.run), (None, 3));
        assert!(own.hears(false, Some(own.signed()), 1050).unwrap().approved.is_some());
        // One that has expired counts for nothing.
        assert_eq!(own.hears(false, Some(own.signed()), 1100).unwrap().approved, None);

        let refused = |heard: Result<PartyConsent, Failure>, words: &str| {
            let failure = heard.unwrap_err();
            assert_eq!(failure.exit, Exit::Configuration, "{failure}");
            assert!(failure.accuses && failure.what.contains(words), "{failure}");
            assert!(failure.advice.unwrap().contains("party study approve"));
        };
        refused(own.hears(true, None, 1050), "bank-b has not approved");
        refused(all.hears(false, None, 1050), "bank-b has not approved");
        refused(
            all.hears(false, Some(all.signed()), 1100),
            "has expired on 1970-01-01 00:18:20 UTC",
        );
        assert!(all.hears(false, Some(all.signed()), 1099).unwrap().approved.is_some());

        // What is not signed by the pinned key, or is of another study, is named, needed or not.
        let misbehaved = |heard: Result<PartyConsent, Failure>, words: &str| {
            let failure = heard.unwrap_err();
            assert_eq!(failure.exit, Exit::PeerMisbehaved, "{failure}");
            assert!(failure.what.contains("bank-b") && failure.what.contains(words), "{failure}");
        };
        let forged = SignedApproval::sign(own.approval(), &identity()).unwrap();
        misbehaved(own.hears(false, Some(forged), 1050), "does not carry its signature");
        misbehaved(
            own.hears(
                false,
                Some(SignedApproval::sign(own.approval(), &all.bank_b).unwrap()),
                1050,
            ),
            "signature",
        );
        let of_another = SignedApproval::sign(all.approval(), &own.bank_b).unwrap();
        misbehaved(own.hears(false, Some(of_another), 1050), "another study or party");
        let standing = Standing::default();
        let said = Said { required: false, run: 1, approval: None, standing, budget: None };
        let mut bytes = said.to_bytes().unwrap();
        assert_eq!(bytes.len(), MESSAGE);
        bytes[MESSAGE - 1] = 1;
        let heard = check(&bytes, 1, &own.study, &own.roster, 0).map(|(consent, ..)| consent);
        misbehaved(heard, "no such message");
    }

    #[test]
    fn an_approval_of_another_list_is_refused_by_all() {
        let case = case("own");
        let consents = [
            case.hears(false, None, 1050).unwrap(),
            case.hears(false, Some(case.signed()), 1050).unwrap(),
        ];
        of_this_list(&consents, &[7; 32]).unwrap();
        let refused = of_this_list(&consents, &[6; 32]).unwrap_err();
        assert!(refused.seen_by_all && refused.what.contains("bank-b has approved another list"));
        of_this_list(&consents[..1], &[6; 32]).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_said_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), MESSAGE)) {
            let case = case("own");
            let _ = check(&bytes, 1, &case.study, &case.roster, 0);
        }
    }
}
