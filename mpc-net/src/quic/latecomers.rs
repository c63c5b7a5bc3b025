//! Nodes that dial while a run is under way: they are told to wait, and if one of them is a peer of
//! this run that was started anew, its old connection ends at once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tokio::task::JoinSet;

use super::door::{Door, Verdict, Visit};
use super::meeting::Judge;
use super::ways::Admitted;

/// Visitors that are answered at the same time during a run.
const MAX_VISITORS: usize = 8;

/// Answers those who come too late.
#[derive(Clone)]
pub(crate) struct Latecomers {
    door: Door,
    judge: Arc<dyn Judge>,
    /// The start of each peer's process with which the run is.
    starts: BTreeMap<usize, [u8; 32]>,
}

impl Latecomers {
    pub(crate) fn new(
        door: Door,
        judge: Arc<dyn Judge>,
        starts: BTreeMap<usize, [u8; 32]>,
    ) -> Self {
        Self { door, judge, starts }
    }

    /// Answers until the endpoint is closed; `restarted` is called for a peer that shows its key
    /// and another start of its process.
    pub(crate) async fn answer(self, restarted: impl Fn(usize)) {
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                visitor = self.door.ways.accept() => match visitor {
                    Some(visitor) if visits.len() < MAX_VISITORS => {
                        if let Some(admitted) = self.door.ways.admit(visitor) {
                            visits.spawn(self.clone().turn_away(admitted));
                        }
                    }
                    Some(visitor) => visitor.refuse(),
                    None => return,
                },
                Some(visit) = visits.join_next() => {
                    if let Ok(Some(index)) = visit {
                        restarted(index);
                    }
                }
            }
        }
    }

    /// Tells a visitor to wait; gives its place if it is a peer of this run that was started anew.
    async fn turn_away(self, admitted: Admitted) -> Option<usize> {
        let (door, judge) = (&self.door, &self.judge);
        let anew = OnceLock::new();
        let visit = door.answer(admitted, judge.pinned(), |key, hello| {
            if let (Verdict::Welcome { index, .. }, Ok(hello)) = (judge.judge(key, hello), hello)
                && self.starts.get(&index).is_some_and(|start| *start != hello.nonce)
            {
                anew.get_or_init(|| index);
            }
            // Whatever does not fit may fit when this run is over.
            Verdict::Busy("it is in the middle of a run".to_owned())
        });
        let _: Visit = visit.await;
        anew.into_inner()
    }
}
