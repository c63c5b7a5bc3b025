//! A source that makes everything before a training, or along with it.

use std::collections::VecDeque;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{Correlation, CorrelationSource, OwnedMatrix, Production, Request};
use mpc_ml::SgdPlan;
use mpc_net::BoxFuture;

/// A source that, if it is to be ahead, has everything in stock before the training begins.
pub struct Stock<'a> {
    pub source: DealerSource,
    pub plan: &'a SgdPlan,
    pub ahead: bool,
    pub stock: VecDeque<Correlation>,
}

impl CorrelationSource for Stock<'_> {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, mpc_core::Error>> {
        Box::pin(async move {
            let number = self.source.register(matrix).await?;
            if self.ahead {
                for epoch in 0..self.plan.settings().epochs {
                    for batch in self.plan.schedule().order(epoch) {
                        self.source.demand(self.plan.requests(number, batch).into())?;
                        for _ in 0..3 {
                            self.stock.push_back(self.source.take().await?);
                        }
                    }
                }
            }
            Ok(number)
        })
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), mpc_core::Error> {
        if self.ahead { Ok(()) } else { self.source.demand(requests) }
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, mpc_core::Error>> {
        match self.stock.pop_front() {
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
