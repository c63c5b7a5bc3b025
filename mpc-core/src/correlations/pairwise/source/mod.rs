//! The source of correlations without a dealer: production lines that run beside the protocol.
//!
//! One line makes what rests on oblivious transfer; three make products by RLWE: owned products,
//! forward and transposed, and large factors of triples. Each has channels of its own, so that the computation of one overlaps the
//! messages of another, and makes the jobs of an order in the order of their first use, within a
//! bound ahead of it.

mod jobs;
mod line;
mod pipeline;
mod product;
mod transfers;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture as Task;
use mpc_net::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::rlwe;
use super::triples::{Lefts, ProductShape};
use super::{CHANNEL, Expansion, is_checked};
use crate::correlations::production::Counts;
use crate::correlations::{
    Correlation, CorrelationSource, OwnedMatrix, Production, Request, RightRequest,
    check_bit_triples,
};
use crate::error::Error;
use crate::session::Session;
use jobs::{Group, Job, group};
use line::{Ready, deliver};
use pipeline::{Direction, Line};

/// Correlations that the parties make themselves (docs/protocols.md 6).
///
/// Production runs in tasks on the current tokio runtime, beside the protocol, its computation on
/// blocking threads; it is counted in the phase `"preparation"` of the meter. Give an order as
/// large as memory allows: what is ordered together is made together and costs less.
///
/// # Security
/// As that of the module: up to all but one party may pool what they see.
pub struct PairwiseSource {
    parties: usize,
    me: usize,
    expansion: Expansion,
    /// Whether deviations are looked for: in a covert session.
    checked: bool,
    lines: Lines,
    /// What is on order, in the order in which it will be taken.
    pending: VecDeque<oneshot::Receiver<Ready>>,
    tasks: JoinSet<()>,
    failed: watch::Receiver<Option<Error>>,
    counts: Arc<Counts>,
    matrices: Vec<Arc<OwnedMatrix>>,
    lefts: Lefts,
    /// Shape and ring of each left factor; no rows after its last use.
    left_shapes: Vec<(u32, u32, u32)>,
}

type Orders<T> = mpsc::UnboundedSender<T>;

/// Where orders go.
struct Lines {
    transfers: Orders<transfers::Order>,
    forward: Orders<pipeline::Order>,
    transposed: Orders<pipeline::Order>,
    factors: Orders<pipeline::Order>,
}

impl PairwiseSource {
    /// Starts production. To be called in a tokio runtime. No rounds.
    ///
    /// # Errors
    /// When a source of this kind was started before in this session.
    pub fn start(session: &mut Session, expansion: Expansion) -> Result<Self, Error> {
        let (tell, failed) = watch::channel(None);
        let tell = Arc::new(tell);
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let mut spawn = |line: Task<'static, Result<(), Error>>| {
            let tell = Arc::clone(&tell);
            tasks.spawn(async move {
                if let Err(error) = line.await {
                    // The first failure is the reason; the others follow from it.
                    tell.send_if_modified(|reason| {
                        let first = reason.is_none();
                        if first {
                            *reason = Some(error);
                        }
                        first
                    });
                }
            });
        };
        let channel = session.fork(CHANNEL)?;
        channel.meter().enter("preparation");
        let (transfers, orders) = mpsc::unbounded_channel();
        spawn(Box::pin(transfers::run(channel, expansion, orders, Arc::clone(&counts))));
        let mut line = |direction| {
            let (sender, orders) = mpsc::unbounded_channel();
            spawn(Box::pin(Line::open(direction, session, &counts)?.run(orders)));
            Ok::<_, Error>(sender)
        };
        let lines = Lines {
            transfers,
            forward: line(Direction::Forward)?,
            transposed: line(Direction::Transposed)?,
            factors: line(Direction::Factors)?,
        };
        Ok(Self {
            parties: session.parties(),
            me: session.me(),
            expansion,
            checked: is_checked(session),
            lines,
            pending: VecDeque::new(),
            tasks,
            failed,
            counts,
            matrices: Vec::new(),
            lefts: Lefts::new(&session.coins().seed("left factors"), session.switch()),
            left_shapes: Vec::new(),
        })
    }

    fn check(&mut self, request: &Request) -> Result<(), Error> {
        match request {
            Request::OwnedProduct(it) => {
                it.check(self.matrices.get(it.matrix as usize).map(|matrix| &matrix.shape))
            }
            // The plan of the phasors checks them, in the order in which they are made.
            Request::Phasors(_) => Ok(()),
            Request::Left { m, k, ring } => {
                request.check_factor(&self.left_shapes)?;
                self.left_shapes.push((*m, *k, *ring));
                Ok(())
            }
            Request::Right(it) => {
                request.check_factor(&self.left_shapes)?;
                if it.last {
                    self.left_shapes[it.left as usize].0 = 0;
                }
                Ok(())
            }
            Request::RandomBits(it) => it.check(),
            &Request::BitTriples(count) => check_bit_triples(count),
        }
    }

    /// Gives a group to the line that makes it.
    fn send(&mut self, group: Group, places: Vec<oneshot::Sender<Ready>>) -> Result<(), Error> {
        let sent = match group.job {
            Job::Left { m, k, ring } => {
                // Every party draws its own share, and nothing is sent.
                let made = vec![self.lefts.draw(m, k, ring)?];
                return deliver(places, made, None, &self.counts);
            }
            Job::Phasors(request, counts) => self
                .lines
                .transfers
                .send(transfers::Order::Phasors { request, counts, places })
                .is_ok(),
            Job::RandomBits(request) => {
                self.lines.transfers.send(transfers::Order::RandomBits { request, places }).is_ok()
            }
            Job::BitTriples(count) => {
                self.lines.transfers.send(transfers::Order::BitTriples { count, places }).is_ok()
            }
            Job::Right(request, columns) => return self.send_factor(&request, columns, places),
            Job::Owned(request) => {
                let line =
                    if request.transposed { &self.lines.transposed } else { &self.lines.forward };
                let matrix = Arc::clone(&self.matrices[request.matrix as usize]);
                line.send(pipeline::Order::Owned { request, matrix, places }).is_ok()
            }
        };
        self.unless_ended(sent)
    }

    /// A right factor is made with transfers or with RLWE, whichever takes fewer bytes.
    fn send_factor(
        &mut self,
        request: &RightRequest,
        columns: Vec<u32>,
        places: Vec<oneshot::Sender<Ready>>,
    ) -> Result<(), Error> {
        let (shape, a) = self.lefts.of(request)?;
        let all = shape.with_spare_rows(self.checked);
        let ProductShape { m, k, n, ring } = all;
        let plan = rlwe::Plan::new(rlwe::Shape::wide(m, k, n, ring, self.parties));
        let bytes = plan.map_or(u64::MAX, |plan| (plan.input_bytes() + plan.output_bytes()) as u64);
        let sent = if bytes < all.transfer_bytes(self.expansion, self.checked) {
            self.lines.factors.send(pipeline::Order::Factor { shape, a, columns, places }).is_ok()
        } else {
            self.lines
                .transfers
                .send(transfers::Order::Factor { shape, a, columns, places })
                .is_ok()
        };
        self.unless_ended(sent)
    }

    fn unless_ended(&self, sent: bool) -> Result<(), Error> {
        if sent { Ok(()) } else { Err(self.reason()) }
    }

    /// Why production ended.
    fn reason(&self) -> Error {
        self.failed
            .borrow()
            .clone()
            .unwrap_or_else(|| Error::internal("the production of correlations has stopped"))
    }
}

impl CorrelationSource for PairwiseSource {
    /// Nothing is sent: the rows stay where they are.
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async move {
            let OwnedMatrix { shape, own } = matrix;
            shape.check(self.parties)?;
            shape.check_own(self.me, &own)?;
            self.matrices.push(Arc::new(OwnedMatrix { shape, own }));
            Ok(u32::try_from(self.matrices.len() - 1).unwrap_or(u32::MAX))
        })
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), Error> {
        for request in &requests {
            self.check(request)?;
        }
        self.counts.ordered(requests.len());
        let mut places: Vec<_> = (0..requests.len())
            .map(|_| {
                let (place, ready) = oneshot::channel();
                self.pending.push_back(ready);
                Some(place)
            })
            .collect();
        for group in group(requests) {
            let places = group.places.iter().filter_map(|&at| places[at].take()).collect();
            self.send(group, places)?;
        }
        Ok(())
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>> {
        Box::pin(async move {
            let nothing = || Error::internal("nothing is on order");
            let ready = self.pending.pop_front().ok_or_else(nothing)?;
            let taken = tokio::select! {
                biased;
                ready = ready => ready.ok(),
                () = failure(&mut self.failed) => None,
            };
            if let Some(ready) = taken {
                return Ok(ready.correlation);
            }
            // The line has ended, and is about to say why.
            failure(&mut self.failed).await;
            Err(self.reason())
        })
    }

    fn production(&self) -> Production {
        self.counts.so_far()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if !self.pending.is_empty() {
                return Err(Error::internal("there are correlations that nobody took"));
            }
            // Without orders the lines end.
            self.lines = Lines {
                transfers: mpsc::unbounded_channel().0,
                forward: mpsc::unbounded_channel().0,
                transposed: mpsc::unbounded_channel().0,
                factors: mpsc::unbounded_channel().0,
            };
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|_| Error::internal("a production line failed"))?;
            }
            match &*self.failed.borrow() {
                Some(error) => Err(error.clone()),
                None => Ok(()),
            }
        })
    }
}

/// Waits until a line has failed, or all have ended.
async fn failure(failed: &mut watch::Receiver<Option<Error>>) {
    let _ = failed.wait_for(Option::is_some).await;
}
