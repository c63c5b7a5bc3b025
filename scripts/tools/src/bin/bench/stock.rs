//! A source that makes everything, or everything of one kind, before the training begins.

use std::collections::VecDeque;

use mpc_core::correlations::{Correlation, CorrelationSource, OwnedMatrix, Production, Request};
use mpc_ml::SgdPlan;
use mpc_net::BoxFuture;

/// What is made when the matrix is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    Nothing,
    Everything,
    /// One kind of request, and thrown away.
    Only(usize),
}

pub struct Stock<'a> {
    source: Box<dyn CorrelationSource>,
    plan: &'a SgdPlan,
    ahead: Ahead,
    made: VecDeque<Correlation>,
}

impl<'a> Stock<'a> {
    pub fn new(source: Box<dyn CorrelationSource>, plan: &'a SgdPlan, ahead: Ahead) -> Self {
        Self { source, plan, ahead, made: VecDeque::new() }
    }

    /// Orders as the training would, and takes everything.
    async fn make(&mut self, matrix: u32) -> Result<(), mpc_core::Error> {
        let (epochs, stretch) = (self.plan.settings().epochs, self.plan.epochs_an_order());
        let mut ordered = VecDeque::new();
        for begin in (0..epochs).step_by(stretch as usize) {
            let batches = (begin..epochs.min(begin + stretch))
                .flat_map(|epoch| self.plan.schedule().order(epoch));
            let requests = batches.flat_map(|batch| {
                let all = self.plan.requests(&[matrix], batch).into_iter().enumerate();
                all.filter(|(kind, _)| match self.ahead {
                    Ahead::Only(one) => *kind == one,
                    _ => true,
                })
            });
            let requests: Vec<Request> = requests.map(|(_, request)| request).collect();
            ordered.push_back(requests.len());
            self.source.demand(requests)?;
            // One order ahead, as the training has it.
            if ordered.len() == 2 {
                self.take_all(ordered.pop_front()).await?;
            }
        }
        self.take_all(ordered.pop_front()).await
    }

    async fn take_all(&mut self, count: Option<usize>) -> Result<(), mpc_core::Error> {
        for _ in 0..count.unwrap_or(0) {
            let made = self.source.take().await?;
            if self.ahead == Ahead::Everything {
                self.made.push_back(made);
            }
        }
        Ok(())
    }
}

impl CorrelationSource for Stock<'_> {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, mpc_core::Error>> {
        Box::pin(async move {
            let number = self.source.register(matrix).await?;
            if self.ahead != Ahead::Nothing {
                self.make(number).await?;
            }
            Ok(number)
        })
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), mpc_core::Error> {
        if self.ahead == Ahead::Nothing { self.source.demand(requests) } else { Ok(()) }
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, mpc_core::Error>> {
        match self.made.pop_front() {
            Some(correlation) => Box::pin(std::future::ready(Ok(correlation))),
            None => self.source.take(),
        }
    }

    fn production(&self) -> Production {
        self.source.production()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), mpc_core::Error>> {
        self.source.finish()
    }
}
