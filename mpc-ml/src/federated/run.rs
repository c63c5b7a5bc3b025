//! All rounds, on a session.

use mpc_core::aggregate::{self, Loss, Outcome, Set};
use mpc_core::{Session, offload};
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
    rounds(terms, member, session, &mut progress).await
}

/// The rounds of parties that have agreed on the terms.
pub(super) async fn rounds(
    terms: &Terms,
    mut member: Member,
    session: &mut Session,
    progress: &mut (dyn FnMut(Progress) + '_),
) -> Result<Fitted, Error> {
    let mut aggregation = aggregate::begin(session, terms.aggregation())?;
    let mut joint = Joint::new(terms);
    let (mut lost, mut slopes) = (Vec::new(), Vec::new());
    while !joint.is_last(terms) {
        let (shared, at) = (terms.clone(), joint.clone());
        let (back, values) = offload(move || {
            let values = member.contribution(&shared, &at);
            (member, values)
        })
        .await?;
        member = back;
        let (round, state) = (joint.round, joint.to_bytes());
        let outcome = aggregation.round((round, &label(round)), values?, &state, session).await?;
        for loss in aggregation.losses() {
            lost.push(loss.clone());
            progress(Progress::Lost(loss));
        }
        match outcome {
            Outcome::Sum { members, sum } => {
                joint.add(terms, members, &sum)?;
                slopes.push(joint.slope(terms));
                progress(Progress::Round { round, members });
            }
            Outcome::Behind { round, state } => {
                joint = Joint::from_bytes(terms, &state)
                    .filter(|joint| joint.round == round)
                    .ok_or_else(|| {
                        Error::Contradicted("the state that another party sent is none".to_owned())
                    })?;
                slopes.push(joint.slope(terms));
                progress(Progress::Behind { round });
            }
            Outcome::TooFew { left } => return Err(too_few(terms, round, left, &lost, session)),
        }
    }
    aggregation.close(joint.round, &joint.to_bytes(), session).await?;
    let (first, last) = (slopes.first().copied(), slopes.last().copied());
    let left =
        first.zip(last).map_or(1.0, |(first, last)| if first > 0.0 { last / first } else { 0.0 });
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
