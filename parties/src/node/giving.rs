//! A run in which a party that has the model gives it to those who lack theirs (docs/protocols.md 0, Recovery).

use mpc_core::session::ext;
use mpc_core::{Session, Tag};
use mpc_ml::artifact::{ClassModel, Model};
use mpc_net::{AbortCode, MAX_PAYLOAD};
use zeroize::Zeroizing;

use super::Finished;
use super::phases::Phases;
use super::recovery::{belongs, sha256};
use super::source;
use super::standing::Standing;
use super::study_run::Node;
use super::told::Told;
use crate::exit::{Exit, Failure};
use crate::output::create;
use crate::store;
use crate::study::Correlations;

const MODEL: Tag = Tag::new("study/model");

/// What came of it.
pub struct Given {
    /// The model that this party lacked.
    received: Option<Vec<u8>>,
    /// In a sentence.
    what: String,
}

impl Node {
    /// One gives its model to those who lack theirs: one round, and those of the end of a study.
    pub(super) async fn give(
        &self,
        (by, lacking): (usize, &[usize]),
        standings: &[Standing],
        session: &mut Session,
        told: &mut Told,
    ) -> Result<Given, Failure> {
        let (me, parties) = (session.me(), session.parties());
        if self.terms.security().correlations == Correlations::Dealer {
            // There is nothing to deal.
            source::start(Correlations::Dealer, session)?.finish().await?;
        }
        let due = standings[by].model.unwrap_or_default();
        let length = usize::try_from(due.0).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            let what = format!("a model of {length} bytes is too large to be sent");
            return Err(Failure::new(Exit::Internal, what));
        }
        let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
        let mut incoming = vec![0; parties];
        if let (true, Some(model)) = (by == me, &self.holding.model) {
            lacking.iter().for_each(|&party| outgoing[party] = Zeroizing::new(model.clone()));
        }
        if lacking.contains(&me) {
            incoming[by] = length;
        }
        let mut received = ext::exchange(session, MODEL, outgoing, incoming).await?;
        let received = lacking.contains(&me).then(|| received.swap_remove(by).to_vec());
        if let Some(bytes) = &received {
            let wrong = |what| Failure::from(ext::misbehaved(session, by, MODEL, what));
            if (length as u64, sha256(bytes)) != due {
                return Err(wrong("it is not the file whose digest was told"));
            }
            if !belongs(bytes, &self.terms.digest()) {
                return Err(wrong("it is no model of this study"));
            }
        }
        session.compare().await?;
        for (_, said) in session.attest(true).await? {
            match said {
                Ok(said) => told.signed.push(said),
                Err(error) if error.code() == AbortCode::PeerMisbehaved => return Err(error.into()),
                Err(_) => {}
            }
        }
        let name = |party: usize| session.name(party);
        let what = match (lacking.is_empty(), by == me) {
            (true, _) => "every party has its result from an earlier run".to_owned(),
            (false, true) => {
                let to: Vec<String> = lacking.iter().map(|&party| name(party)).collect();
                format!("gave the model of an earlier run to {}", to.join(", "))
            }
            (false, false) => format!("{} gave the model of an earlier run", name(by)),
        };
        Ok(Given { received, what })
    }

    /// Writes what was given, and how the run ended: its receipt is in the store.
    pub(super) fn write_given(
        &self,
        given: Given,
        told: &Told,
        session: &Session,
        phases: &Phases,
        kept: u64,
    ) -> Result<Finished, Failure> {
        let Given { received, what } = given;
        if let Some(bytes) = &received {
            create(&self.folder.model(), bytes)?;
        }
        let bytes = received.as_ref().or(self.holding.model.as_ref());
        let of_classes = bytes.filter(|bytes| ClassModel::is_one(bytes));
        let classes = of_classes.map(|bytes| ClassModel::from_json(bytes)).transpose()?;
        let whole = bytes.filter(|_| classes.is_none());
        let model = whole.map(|bytes| Model::from_json(bytes)).transpose()?;
        let ended = super::receipt::now();
        let class = Exit::Ok.class().to_owned();
        let how = store::Outcome { class, what: what.clone() };
        let receipt = self.receipt(told, session, phases, (kept, Some(ended), how.clone()))?;
        let text = receipt.signed(&self.identity)?;
        if let Some(run) = &told.run {
            self.state.store().end_run(run.place, ended, &how, &text)?;
        }
        let copy = match (&self.out, bytes) {
            (Some(out), Some(bytes)) => create(out, bytes),
            _ => Ok(()),
        };
        let (folder, passes) = (self.folder.clone(), false);
        let (warnings, own_warnings) = (Vec::new(), Vec::new());
        let given = Some(what);
        let (part, scored) = (None, None);
        Ok(Finished {
            model,
            classes,
            part,
            scored,
            evaluation: None,
            receipt,
            passes,
            given,
            folder,
            copy,
            warnings,
            own_warnings,
        })
    }
}
