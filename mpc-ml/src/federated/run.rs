//! All rounds, on a session.

use mpc_core::aggregate::{self, Loss, Outcome, Set};
use mpc_core::{Session, State, offload};
use mpc_net::AbortCode;

use super::{Joint, Member, OwnRows, Terms, label};
use crate::error::Error;

/// What happens, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A round is over.
    Round {
        /// Its number.
        round: u64,
        /// Who was in it.
        members: Set,
    },
    /// The others have gone on without this party, which goes on from this round.
    Behind {
        /// The round.
        round: u64,
    },
    /// A party is not there any more.
    Lost(Loss),
}

/// What a party has in the end.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The model, and who was in each round.
    pub joint: Joint,
    /// Who was lost on the way.
    pub lost: Vec<Loss>,
    /// How much of the length of the joint gradient was left at the model before the last, of that at the beginning.
    pub left: f64,
}

/// Fits the model with all parties of a session, which allows [`Terms::outputs`]. Each round takes four rounds of messages; more when
/// somebody is away. One round more to compare the terms, and one in the end.
///
/// # Errors
/// When the parties hold other terms, a value of this party cannot be summed, or fewer parties are left than the terms ask
/// for. A party that is lost after the first round of messages is no error.
pub async fn fit(
    terms: &Terms,
    rows: OwnRows,
    session: &mut Session,
    mut progress: impl FnMut(Progress),
) -> Result<Fitted, Error> {
    terms.validate()?;
    let me = session.me();
    if terms.rows.len() != session.parties() || terms.rows.get(me) != Some(&rows.count()) {
        return Err(Error::Data("the rows of this party are not as many as was agreed".to_owned()));
    }
    session.agree("plan of the federated fit", format!("{terms:?}").as_bytes()).await?;
    let shared = terms.clone();
    let member = offload(move || Member::new(&shared, me, rows)).await?;
    let begun = Begun { member, joint: Joint::new(terms), plan: [0; 32] };
    rounds(terms, begun, session, &mut progress).await
}

/// A party before its first round, of all or of this session.
#[derive(Debug)]
pub struct Begun {
    pub(super) member: Member,
    pub(super) joint: Joint,
    /// The digest of the plan, by which states are kept.
    pub(super) plan: [u8; 32],
}

impl Begun {
    /// Goes on from a state that was kept; `false` if it is none of this party and these terms.
    pub(super) fn goes_on_from(&mut self, terms: &Terms, state: &State) -> bool {
        let joint = Joint::from_bytes(terms, &state.public);
        let joint = joint.filter(|joint| joint.round.checked_sub(1) == Some(state.step));
        let Some(joint) = joint.filter(|_| self.member.goes_on_from(&state.own)) else {
            return false;
        };
        self.joint = joint;
        true
    }

    /// Keeps where this party is, once it has come to another round.
    fn keep(&mut self, session: &mut Session) -> Result<(), Error> {
        self.member.settle(&self.joint);
        let (public, own) = (self.joint.to_bytes(), self.member.to_bytes());
        let state = State { step: self.joint.round - 1, public, shares: Vec::new(), own };
        Ok(session.keep_public(&self.plan, state)?)
    }
}

/// The rounds of parties that have agreed on the terms.
pub(super) async fn rounds(
    terms: &Terms,
    mut begun: Begun,
    session: &mut Session,
    progress: &mut (dyn FnMut(Progress) + '_),
) -> Result<Fitted, Error> {
    let last = begun.joint.members.last().copied().unwrap_or_default();
    let mut aggregation = aggregate::begin_after(session, terms.aggregation(), last)?;
    let mut lost = Vec::new();
    while !begun.joint.is_last(terms) {
        let shared = terms.clone();
        let (back, values) = offload(move || {
            let values = begun.member.contribution(&shared, &begun.joint);
            (begun, values)
        })
        .await?;
        begun = back;
        let (round, state) = (begun.joint.round, begun.joint.to_bytes());
        let outcome = aggregation.round((round, &label(round)), values?, &state, session).await?;
        for loss in aggregation.losses() {
            lost.push(loss.clone());
            progress(Progress::Lost(loss));
        }
        match outcome {
            Outcome::Sum { members, sum } => {
                begun.joint.add(terms, members, &sum)?;
                begun.keep(session)?;
                progress(Progress::Round { round, members });
            }
            Outcome::Behind { round, state } => {
                // What this party has of its own part belongs to the rounds that it knows, and to the one that it was in now.
                let (me, before) = (session.me(), &begun.joint.members);
                let unknown = |joint: &Joint| {
                    joint.members.iter().skip(before.len() + 1).any(|members| members.contains(me))
                };
                let fits = |joint: &Joint| {
                    joint.round == round && joint.members.starts_with(before) && !unknown(joint)
                };
                begun.joint = Joint::from_bytes(terms, &state).filter(fits).ok_or_else(|| {
                    Error::Contradicted(
                        "the state that another party sent is none of this run".to_owned(),
                    )
                })?;
                begun.keep(session)?;
                progress(Progress::Behind { round });
            }
            Outcome::TooFew { left } => return Err(too_few(terms, round, left, &lost, session)),
        }
    }
    let joint = begun.joint;
    aggregation.close(joint.round, &joint.to_bytes(), session).await?;
    let left = joint.left(terms);
    Ok(Fitted { joint, lost, left })
}

/// Too few parties are left for a round; the reasons why the others are not are those of the error.
fn too_few(terms: &Terms, round: u64, left: Set, lost: &[Loss], session: &Session) -> Error {
    let names: Vec<_> = left.iter().map(|party| session.name(party)).collect();
    let mut what = format!(
        "round {round}: only {} {} there, and a round is of {} parties at least",
        names.join(", "),
        if names.len() == 1 { "is" } else { "are" },
        terms.least
    );
    for loss in lost {
        what += &format!("; {}", loss.why);
    }
    // A party that deviated is the reason before one that was lost.
    let misbehaved = lost.iter().find(|loss| loss.code == AbortCode::PeerMisbehaved);
    let code = misbehaved.map_or(AbortCode::PeerLost, |loss| loss.code);
    Error::TooFew { what, code }
}
