//! The privacy budget of a node over a run: set aside before it meets anybody, spent before the first noisy value is
//! sent, and compared with what the others have seen of it (docs/protocols.md 16.6).

use mpc_core::Session;
use mpc_ml::privacy::{Guarantee, Rho};
use serde::{Deserialize, Serialize};

use super::receipt::now;
use super::study_run::Node;
use super::told::Told;
use crate::exit::{Exit, Failure};
use crate::output::hex;
use crate::settings::Settings;
use crate::store::{Charged, Head, Spending};

/// So many bytes of a hash that a party has heard are told.
const PREFIX: usize = 8;

/// What a party says of its chain in a study with differential privacy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BudgetSaid {
    /// Its end, with what this study takes set aside.
    now: (u64, [u8; 32]),
    /// Its end once that is spent.
    spent: (u64, [u8; 32]),
    /// Of each party, in their order: the beginning of what this one has last heard of it.
    heard: Vec<(u64, [u8; PREFIX])>,
}

/// The ends of all parties' chains, as a receipt has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetReceipt {
    /// What the study promises.
    pub guarantee: String,
    /// Of each party, in the order of the study: entries, and the hash over them, with this study's spent.
    pub chains: Vec<(String, u64, String)>,
}

fn head((entries, hash): (u64, [u8; 32])) -> Head {
    Head { entries, hash }
}

/// What a study takes of the budget of a node, and what it promises.
#[derive(Clone, Debug)]
pub(super) struct Taking {
    rho: Rho,
    guarantee: String,
}

/// What a study takes, if this node has a budget for such.
///
/// # Errors
/// When the study asks for one and party.toml has none, or one that is smaller than the study.
pub(super) fn taking(
    asked: Option<Guarantee>,
    settings: &Settings,
) -> Result<Option<Taking>, Failure> {
    let Some(asked) = asked else { return Ok(None) };
    let rho = asked.rho().map_err(Failure::from)?;
    let Some(budget) = &settings.privacy else {
        let what = "the study releases what it does with differential privacy, and party.toml has no budget for that";
        return Err(Failure::new(Exit::Configuration, what).advise(format!(
            "decide what all such studies together may tell of these data, and add to party.toml: [privacy] with \
             source = \"what the data are called\", epsilon = .. and delta = ..; this study takes epsilon {} at \
             delta {:e}",
            asked.epsilon, asked.delta
        )));
    };
    if rho > budget.rho {
        return Err(exceeded(settings, rho, Spending::default()));
    }
    Ok(Some(Taking { rho, guarantee: asked.in_words() }))
}

/// The refusal of a study for which too little is left.
fn exceeded(settings: &Settings, rho: Rho, spent: Spending) -> Failure {
    let Some(budget) = &settings.privacy else {
        return Failure::new(Exit::Internal, "there is no privacy budget");
    };
    let epsilon = |rho: Rho| rho.epsilon(budget.delta);
    let left = budget.rho.saturating_sub(spent.rho);
    let what = format!(
        "the privacy budget of {:?} does not suffice: it is epsilon {} at delta {:e}, {} taken epsilon {:.2} of \
         it, epsilon {:.2} is left, and this one takes epsilon {:.2}",
        budget.source,
        budget.epsilon,
        budget.delta,
        match spent.studies {
            1 => "1 study has".to_owned(),
            studies => format!("{studies} studies have"),
        },
        epsilon(spent.rho),
        epsilon(left),
        epsilon(rho)
    );
    Failure::new(Exit::Configuration, what).advise(
        "agree on a study with a smaller epsilon; what was spent does not come back. Who raises privacy.epsilon in \
         party.toml promises less to the people in the rows",
    )
}

/// What the operator should know before a study: lines for people.
pub(crate) fn in_words(
    settings: &Settings,
    spent: Spending,
    asked: Option<Guarantee>,
) -> Option<String> {
    let (budget, asked) = (settings.privacy.as_ref()?, asked?);
    let rho = asked.rho().ok()?;
    let left = budget.rho.saturating_sub(spent.rho);
    let epsilon = |rho: Rho| rho.epsilon(budget.delta);
    Some(format!(
        "Privacy budget of {:?}: epsilon {} at delta {:e}; taken epsilon {:.2}, left {:.2}. This study takes {:.2}, \
         once (in rho, which adds up: {:.4} of {:.4} taken, {:.4} for this study)",
        budget.source,
        budget.epsilon,
        budget.delta,
        epsilon(spent.rho),
        epsilon(left),
        epsilon(rho),
        spent.rho.to_f64(),
        budget.rho.to_f64(),
        rho.to_f64(),
    ))
}

impl Node {
    fn charged(&self, at: u64) -> Option<Charged<'_>> {
        let (taking, budget) = (self.taking.as_ref()?, self.settings.privacy.as_ref()?);
        Some(Charged { source: &budget.source, study: self.terms.digest(), rho: taking.rho, at })
    }

    /// Sets aside what the study takes. Nothing was sent yet.
    ///
    /// # Errors
    /// When too little is left.
    pub(super) fn reserve(&self) -> Result<(), Failure> {
        let (Some(charged), Some(budget)) = (self.charged(now()), &self.settings.privacy) else {
            return Ok(());
        };
        let reserved = self.state.store().reserve(&self.identity, &charged, budget.rho)?;
        reserved.map_err(|spent| exceeded(&self.settings, charged.rho, spent))
    }

    /// What this node says of its chain in the first message of a run that began at this time.
    pub(super) fn budget_said(&self, began: u64) -> Result<Option<BudgetSaid>, Failure> {
        let Some(charged) = self.charged(began) else { return Ok(None) };
        let store = self.state.store();
        let now = store.heads(&self.identity)?.last().copied().unwrap_or_default();
        let spent = store.head_when_spent(&self.identity, &charged)?;
        let mut heard = Vec::new();
        for node in self.parties() {
            let Head { entries, hash } = store.head_of(node.key.as_bytes())?;
            let mut prefix = [0; PREFIX];
            prefix.copy_from_slice(&hash[..PREFIX]);
            heard.push((entries, prefix));
        }
        let pair = |head: Head| (head.entries, head.hash);
        Ok(Some(BudgetSaid { now: pair(now), spent: pair(spent), heard }))
    }

    fn parties(&self) -> &[mpc_net::quic::Peer] {
        &self.roster.nodes[..self.terms.parties().len()]
    }

    /// Compares what all have said of their chains with what was heard before.
    ///
    /// # Errors
    /// When the memory of a party is older than it was: then it does not know what is spent.
    pub(super) fn compare_budgets(
        &self,
        said: &[Option<BudgetSaid>],
        told: &mut Told,
        session: &Session,
    ) -> Result<(), Failure> {
        let Some(taking) = &self.taking else { return Ok(()) };
        let parties = self.parties();
        let said: Vec<&BudgetSaid> = said.iter().flatten().collect();
        if let Some(odd) = said.iter().position(|it| it.heard.len() != parties.len())
            && said.len() == parties.len()
        {
            let what = format!("{} says nothing that makes sense of its budget", session.name(odd));
            return Err(Failure { accuses: true, ..Failure::new(Exit::PeerMisbehaved, what) });
        }
        if said.len() != parties.len() {
            let what = "a party says nothing of its privacy budget, as this study needs";
            return Err(Failure { accuses: true, ..Failure::new(Exit::PeerMisbehaved, what) });
        }
        told.budget = Some(BudgetReceipt {
            guarantee: taking.guarantee.clone(),
            chains: parties
                .iter()
                .zip(&said)
                .map(|(node, said)| (node.name.clone(), said.spent.0, hex(&said.spent.1)))
                .collect(),
        });
        if self.again {
            return Ok(());
        }
        let (me, store) = (session.me(), self.state.store());
        let own = store.heads(&self.identity)?;
        let mut heads = Vec::new();
        for (party, (node, said)) in parties.iter().zip(&said).enumerate().filter(|it| it.0 != me) {
            let (entries, prefix) = said.heard[me];
            let place = usize::try_from(entries).unwrap_or(usize::MAX);
            if own.get(place).is_none_or(|head| head.hash[..PREFIX] != prefix) {
                let what = format!(
                    "{} has heard of {entries} entries of this node's privacy budget that are not those that it has: \
                     the state directory was deleted, or replaced by an older one, so this node does not know what it \
                     has spent",
                    node.name
                );
                return Err(Failure::new(Exit::Configuration, what)
                    .in_file(&self.settings.state)
                    .advise("put the newest copy of the state directory back; with a lost one the budget of these data is \
                             spent as far as anybody can tell"));
            }
            let before = store.head_of(node.key.as_bytes())?;
            let now = head(said.now);
            if now.entries < before.entries || (now.entries == before.entries && now != before) {
                let what = format!(
                    "{} has {} entries in its privacy budget and had {} before: its memory was deleted or replaced by an \
                     older one, so it does not know what it has spent",
                    session.name(party),
                    now.entries,
                    before.entries
                );
                let failure = Failure::new(Exit::Configuration, what)
                    .advise("the newest copy of its state directory has to be put back there");
                return Err(Failure { accuses: true, ..failure });
            }
            heads.push((*node.key.as_bytes(), now));
        }
        store.keep_heads(&heads)
    }

    /// From here on noisy values are sent.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is sent then.
    pub(super) fn spend(&self, told: &mut Told) -> Result<(), Failure> {
        told.spent = true;
        match self.charged(told.started) {
            Some(charged) if !self.again => self.state.store().spend(&self.identity, &charged),
            _ => Ok(()),
        }
    }

    /// All have sent noisy values, so all have spent.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(super) fn heard_spent(
        &self,
        said: &[Option<BudgetSaid>],
        session: &Session,
    ) -> Result<(), Failure> {
        if self.taking.is_none() || self.again {
            return Ok(());
        }
        let all = self.parties().iter().zip(said).enumerate();
        let others = all.filter(|(party, _)| *party != session.me());
        let heads: Vec<_> = others
            .filter_map(|(_, (node, said))| {
                Some((*node.key.as_bytes(), head(said.as_ref()?.spent)))
            })
            .collect();
        self.state.store().keep_heads(&heads)
    }

    /// The run has ended; what it did not spend is free.
    pub(super) fn free(&self, told: &Told) {
        let Some(charged) = self.charged(told.started).filter(|_| !told.spent && !self.again)
        else {
            return;
        };
        if let Err(error) = self.state.store().free(&self.identity, &charged) {
            tracing::warn!(%error, "what was set aside of the privacy budget stays so");
        }
    }
}
