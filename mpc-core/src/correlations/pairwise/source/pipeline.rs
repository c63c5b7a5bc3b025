//! The lines of products by RLWE (docs/protocols.md 6.4), one for each direction.
//!
//! A job goes through five stages, each of which works on another job meanwhile, so that
//! computation and messages overlap:
//!
//! 1. draw the own masks and encrypt them;
//! 2. send the ciphertexts to the owners, receive those of the others;
//! 3. multiply them by the own matrix, and keep one half;
//! 4. send the other half to all, receive those of the other owners;
//! 5. take the shares out of it, and in a covert session check factors of triples.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mpc_net::Tag;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use zeroize::Zeroizing;

use super::super::is_checked;
use super::super::rlwe::{self, Owner, Params, Plan, Rows, Sender};
use super::line::{Ahead, Ready, deliver};
use super::product::{Entries, PartShape, Product};
use crate::correlations::production::Counts;
use crate::correlations::{OwnedMatrix, OwnedProductRequest};
use crate::error::Error;
use crate::offload::{offload, try_side_by_side};
use crate::rand::{MaskSite, Prg};
use crate::session::Session;

use super::super::triples::{OwnLeft, ProductShape};

const KEYS: Tag = Tag::new("rlwe/keys");
const INPUTS: Tag = Tag::new("rlwe/inputs");
const OUTPUTS: Tag = Tag::new("rlwe/outputs");

/// Jobs ahead of use, beside those in the stages.
const AHEAD: usize = 8;
/// Jobs between two stages.
const BETWEEN: usize = 1;
/// A key serves jobs, one after the other, until so many times its own bytes were sent under it
/// (docs/protocols.md 6.4, Keys): so keys are at most a seventh of all bytes.
const BYTES_A_KEY: usize = 7;

/// Words of an owner's rows that are transformed at a time, on all cores.
const WORDS_AT_ONCE: usize = 1 << 24;

/// What a line makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// X mu mod 2^64, stacked over the owners' rows.
    Forward,
    /// X^T u mod 2^ring, summed over the owners' rows.
    Transposed,
    /// A B of a triple's factors.
    Factors,
}

impl Direction {
    /// What the parties' vectors are masks of. A line of factors draws none.
    fn masks(self) -> MaskSite {
        match self {
            Self::Forward => MaskSite::ForwardMask,
            Self::Transposed | Self::Factors => MaskSite::TransposedMask,
        }
    }

    /// The name of its keys, and the labels of its channels.
    fn names(self) -> [&'static str; 5] {
        macro_rules! names {
            ($name:literal) => {
                [
                    $name,
                    concat!($name, "/keys"),
                    concat!($name, "/inputs"),
                    concat!($name, "/outputs"),
                    concat!($name, "/checks"),
                ]
            };
        }
        match self {
            Self::Forward => names!("forward"),
            Self::Transposed => names!("transposed"),
            Self::Factors => names!("factors"),
        }
    }
}

/// What a line is told to make.
pub(super) enum Order {
    Owned {
        request: OwnedProductRequest,
        matrix: Arc<OwnedMatrix>,
        places: Vec<oneshot::Sender<Ready>>,
    },
    Factor {
        shape: ProductShape,
        a: OwnLeft,
        columns: Vec<u32>,
        places: Vec<oneshot::Sender<Ready>>,
    },
}

/// A line that is ready to run.
pub(super) struct Line {
    direction: Direction,
    keys: Session,
    inputs: Session,
    outputs: Session,
    checks: Session,
    counts: Arc<Counts>,
}

/// One job on its way through the stages.
struct Work {
    product: Product,
    /// None for an owner without rows in the job.
    parts: Vec<Option<Part>>,
    places: Vec<oneshot::Sender<Ready>>,
    permit: OwnedSemaphorePermit,
}

/// One owner's part of a job.
struct Part {
    plan: Plan,
    keys: Arc<Keys>,
    /// The public number of its ciphertexts, used once under a key.
    index: u64,
}

/// The own key for one set of parameters and some jobs, and the others' for what the own matrix
/// multiplies.
struct Keys {
    sender: Mutex<Sender>,
    owner: Mutex<Owner>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters and keys are as good after a panic elsewhere as before.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One message for each party, or from each.
type Messages = Vec<Zeroizing<Vec<u8>>>;
/// The own share of a part: rows x vectors, row by row.
type Share = Zeroizing<Vec<u128>>;
/// The own part, multiplied: the own share, and the message to all others.
type Multiplied = Option<(Share, Zeroizing<Vec<u8>>)>;

impl Work {
    /// Stage 1, on another thread.
    fn encrypt(&self, me: usize) -> Result<Messages, Error> {
        let mut messages: Messages = vec![Zeroizing::default(); self.parts.len()];
        let mut same = None;
        for (owner, message) in messages.iter_mut().enumerate().filter(|&(owner, _)| owner != me) {
            let Some(Part { plan, keys, index }) = &self.parts[owner] else { continue };
            if same.is_none() || !self.product.same_for_all() {
                let vectors = self.product.vectors(owner);
                same = Some(lock(&keys.sender).encrypt(plan, *index, &vectors)?);
            }
            if let Some(same) = &same {
                message.clone_from(same);
            }
        }
        Ok(messages)
    }

    /// Stage 3, on another thread; the party whose input is not one.
    fn multiply(&self, me: usize, inputs: &Messages) -> Result<Result<Multiplied, usize>, Error> {
        let Some(Part { plan, keys, index }) = &self.parts[me] else { return Ok(Ok(None)) };
        let mut owner = lock(&keys.owner);
        let mut sum = owner.begin(plan, *index)?;
        for (party, input) in inputs.iter().enumerate().filter(|&(party, _)| party != me) {
            if sum.add(input).is_none() {
                return Ok(Err(party));
            }
        }
        let entries = self.product.entries(me);
        let (columns, vectors) = (plan.shape().columns, plan.shape().vectors);
        let mut share = Share::new(vec![0; plan.shape().rows * vectors]);
        let mut message = Zeroizing::new(vec![0; plan.output_bytes()]);
        let mut left = (&mut share[..], &mut message[..]);
        let mut groups = Vec::new();
        for blocks in plan.groups() {
            let masks = owner.masks(plan, blocks.clone());
            let (share, shares) = left.0.split_at_mut(plan.rows_of_all(&blocks).len() * vectors);
            let (message, messages) = left.1.split_at_mut(blocks.len() * plan.block_bytes());
            left = (shares, messages);
            groups.push((blocks, masks, message, share));
        }
        let owner = &*owner;
        let most = (WORDS_AT_ONCE / (plan.rows_words() * plan.blocks_at_once())).max(1);
        try_side_by_side(groups.into_iter(), most, |(blocks, masks, message, share)| {
            let rows = plan.rows_of_all(&blocks);
            let range = rows.start * columns..rows.end * columns;
            let entries = match &entries {
                Entries::Small(all) => rlwe::Entries::Small(&all[range]),
                Entries::Wide(all) => rlwe::Entries::Wide(&all[range]),
            };
            let rows = Rows::new(plan, blocks, entries)?;
            owner.multiply(&sum, &rows, masks, message, share)
        })?;
        self.product.add_own(me, &mut share);
        Ok(Ok(Some((share, message))))
    }

    /// Stage 5, on another thread: the own share of each part; the party whose message is not one.
    fn shares(
        &self,
        me: usize,
        mut own: Option<Share>,
        received: &Messages,
    ) -> Result<Vec<Option<Share>>, usize> {
        let part = |(owner, part): (usize, &Option<Part>)| {
            let Some(Part { plan, keys, .. }) = part else { return Ok(None) };
            if owner == me {
                return Ok(own.take());
            }
            let sender = lock(&keys.sender);
            sender.finish(plan, 0..plan.row_blocks(), &received[owner]).map(Some).ok_or(owner)
        };
        self.parts.iter().enumerate().map(part).collect()
    }
}

impl Line {
    /// Opens the channels of a line. No rounds.
    pub(super) fn open(
        direction: Direction,
        session: &mut Session,
        counts: &Arc<Counts>,
    ) -> Result<Self, Error> {
        let [_, keys, inputs, outputs, checks] = direction.names();
        let mut channel = |label: &str| {
            let session = session.fork(&format!("correlations/{label}"))?;
            session.meter().enter("preparation");
            Ok::<_, Error>(session)
        };
        Ok(Self {
            direction,
            keys: channel(keys)?,
            inputs: channel(inputs)?,
            outputs: channel(outputs)?,
            checks: channel(checks)?,
            counts: Arc::clone(counts),
        })
    }

    /// Makes what is ordered until there are no more orders.
    ///
    /// Rounds: one for new keys, two for each job, five for each check.
    pub(super) async fn run(self, orders: mpsc::UnboundedReceiver<Order>) -> Result<(), Error> {
        let (encrypted, to_send) = mpsc::channel(BETWEEN);
        let (received, to_multiply) = mpsc::channel(BETWEEN);
        let (multiplied, to_exchange) = mpsc::channel(BETWEEN);
        let (exchanged, to_finish) = mpsc::channel(BETWEEN);
        let Self { direction, mut keys, inputs, outputs, checks, counts } = self;
        let checked = is_checked(&inputs);
        let (me, parties) = (inputs.me(), inputs.parties());
        let names: Vec<String> = (0..parties).map(|party| inputs.name(party)).collect();
        let (seed, switch) = (keys.coins().seed("own masks"), keys.switch());
        let first = First {
            direction,
            session: keys,
            keys: HashMap::new(),
            masks: Prg::under(&seed, direction.masks(), switch),
            right: Prg::under(&seed, MaskSite::TripleRight, switch),
            spare: Prg::under(&seed, MaskSite::TripleCheck, switch),
            checked,
            index: 0,
        };
        tokio::try_join!(
            first.run(orders, encrypted),
            send_inputs(inputs, to_send, received),
            multiply_all((me, &names), to_multiply, multiplied),
            send_outputs(outputs, to_exchange, exchanged),
            finish_all(checks, &names, to_finish, &counts),
        )?;
        Ok(())
    }
}

fn stage_ended<T>(_: mpsc::error::SendError<T>) -> Error {
    Error::internal("the next stage of a production line has ended")
}

fn misbehaved(names: &[String], party: usize, tag: Tag, detail: &str) -> Error {
    let (step, detail) = (tag.label().to_owned(), detail.to_owned());
    Error::Misbehaved { peer: names[party].clone(), step, detail }
}

/// Stage 1.
struct First {
    direction: Direction,
    session: Session,
    /// The last keys of each set, and the bytes that were sent under them.
    keys: HashMap<Params, (Arc<Keys>, usize)>,
    masks: Prg,
    right: Prg,
    /// Rows of left factors that are given up in checks.
    spare: Prg,
    checked: bool,
    /// The number of the next part: counts all parts of all owners, in the order of the jobs.
    index: u64,
}

impl First {
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        next: mpsc::Sender<(Work, Messages)>,
    ) -> Result<(), Error> {
        let ahead = Ahead::new(AHEAD);
        let (me, parties) = (self.session.me(), self.session.parties());
        while let Some(order) = orders.recv().await {
            let permit = ahead.permit().await?;
            let (product, places) = match order {
                Order::Owned { request, matrix, places } => {
                    let own = (me, &mut self.masks);
                    (Product::owned(request, matrix, places.len(), own), places)
                }
                Order::Factor { shape, a, columns, places } => {
                    let own = (&mut self.right, &mut self.spare, self.checked);
                    (Product::factor(shape, a, columns, own), places)
                }
            };
            let parts = self.plan(&product.parts(parties), product.same_for_all()).await?;
            let work = Work { product, parts, places, permit };
            let encrypted = offload(move || work.encrypt(me).map(|messages| (work, messages)));
            next.send(encrypted.await??).await.map_err(stage_ended)?;
        }
        Ok(())
    }

    /// Plans each owner's part, and agrees on keys where the last ones have served. One round for each
    /// set of parameters of which that is so.
    async fn plan(
        &mut self,
        shapes: &[Option<PartShape>],
        same_for_all: bool,
    ) -> Result<Vec<Option<Part>>, Error> {
        let parties = shapes.len();
        let planned = |shape: PartShape, rows| {
            let PartShape { columns, vectors, ring, .. } = shape;
            Plan::new(match shape.entry_bits {
                None => rlwe::Shape::wide(rows, columns, vectors, ring, parties),
                Some(entry_bits) => rlwe::Shape {
                    rows,
                    columns,
                    vectors,
                    entry_bits,
                    entry_limbs: 1,
                    ring,
                    parties,
                },
            })
        };
        // The same input for all needs the same packing: the largest owner decides.
        let most = shapes.iter().flatten().map(|shape| shape.rows).max().unwrap_or(0);
        let mut plans = Vec::with_capacity(parties);
        // What is sent in this job, for each link of an owner with another party.
        let mut bytes: BTreeMap<Params, usize> = BTreeMap::new();
        for (owner, shape) in shapes.iter().enumerate() {
            let Some(shape) = *shape else {
                plans.push(None);
                continue;
            };
            let (plan, index) = if same_for_all {
                (planned(shape, most)?.with_rows(shape.rows)?, self.index)
            } else {
                (planned(shape, shape.rows)?, self.index + owner as u64)
            };
            *bytes.entry(plan.params()).or_default() += plan.input_bytes() + plan.output_bytes();
            plans.push(Some((plan, index)));
        }
        let mut keys = BTreeMap::new();
        for (params, bytes) in bytes {
            keys.insert(params, self.keys(params, bytes).await?);
        }
        self.index += parties as u64;
        let part = |(plan, index): (Plan, u64)| {
            keys.get(&plan.params()).map(|keys| Part { plan, keys: Arc::clone(keys), index })
        };
        Ok(plans.into_iter().map(|it| it.and_then(part)).collect())
    }

    /// The keys for a job in which so many bytes are sent under them. All of a job are the same, and
    /// they follow from public shapes.
    async fn keys(&mut self, params: Params, bytes: usize) -> Result<Arc<Keys>, Error> {
        let (me, parties, id) = (self.session.me(), self.session.parties(), self.session.id());
        if let Some((keys, sent)) = self.keys.get_mut(&params)
            && *sent < BYTES_A_KEY * parties * params.poly_bytes()
        {
            *sent += bytes;
            return Ok(Arc::clone(keys));
        }
        // Public polynomials of their own too, by the number of the first part.
        let [name, ..] = self.direction.names();
        let label = format!("{name}/{}", self.index);
        let switch = self.session.switch();
        let mut coins = self.session.coins().part("keys");
        let (sender, public, mut owner) = offload(move || {
            let (sender, public) = Sender::under(params, &id, &label, switch, &mut coins);
            (sender, public, Owner::under(params, &id, &label, switch, &mut coins))
        })
        .await?;
        let outgoing = vec![Zeroizing::new(public.clone()); parties];
        let received = self.session.exchange(KEYS, outgoing, vec![public.len(); parties]).await?;
        for peer in (0..parties).filter(|&peer| peer != me) {
            owner
                .add_key(&received[peer])
                .ok_or_else(|| self.session.misbehaved(peer, KEYS, "not a key"))?;
        }
        let keys = Arc::new(Keys { sender: Mutex::new(sender), owner: Mutex::new(owner) });
        self.keys.insert(params, (Arc::clone(&keys), bytes));
        Ok(keys)
    }
}

/// Stage 2. One round a job.
async fn send_inputs(
    mut session: Session,
    mut work: mpsc::Receiver<(Work, Messages)>,
    next: mpsc::Sender<(Work, Messages)>,
) -> Result<(), Error> {
    let (me, parties) = (session.me(), session.parties());
    while let Some((work, messages)) = work.recv().await {
        let due = work.parts[me].as_ref().map_or(0, |part| part.plan.input_bytes());
        let received = session.exchange(INPUTS, messages, vec![due; parties]).await?;
        next.send((work, received)).await.map_err(stage_ended)?;
    }
    Ok(())
}

/// Stage 3.
async fn multiply_all(
    (me, names): (usize, &[String]),
    mut work: mpsc::Receiver<(Work, Messages)>,
    next: mpsc::Sender<(Work, Multiplied)>,
) -> Result<(), Error> {
    while let Some((work, inputs)) = work.recv().await {
        let done = offload(move || {
            let product = work.multiply(me, &inputs)?;
            Ok::<_, Error>((work, product))
        });
        let (work, product) = done.await??;
        let product =
            product.map_err(|party| misbehaved(names, party, INPUTS, "not a ciphertext"))?;
        next.send((work, product)).await.map_err(stage_ended)?;
    }
    Ok(())
}

/// Stage 4. One round a job.
async fn send_outputs(
    mut session: Session,
    mut work: mpsc::Receiver<(Work, Multiplied)>,
    next: mpsc::Sender<(Work, Option<Share>, Messages)>,
) -> Result<(), Error> {
    let parties = session.parties();
    while let Some((work, product)) = work.recv().await {
        let (own, message) =
            product.map_or((None, Zeroizing::default()), |(own, message)| (Some(own), message));
        let due = |part: &Option<Part>| part.as_ref().map_or(0, |part| part.plan.output_bytes());
        let incoming = work.parts.iter().map(due).collect();
        let received = session.exchange(OUTPUTS, vec![message; parties], incoming).await?;
        next.send((work, own, received)).await.map_err(stage_ended)?;
    }
    Ok(())
}

/// Stage 5. Five rounds for each factor that is checked.
async fn finish_all(
    mut session: Session,
    names: &[String],
    mut work: mpsc::Receiver<(Work, Option<Share>, Messages)>,
    counts: &Counts,
) -> Result<(), Error> {
    let me = session.me();
    let mut shown = 0;
    while let Some((work, own, received)) = work.recv().await {
        let done = offload(move || {
            let shares = work.shares(me, own, &received);
            let Work { product, places, permit, .. } = work;
            let made = shares.map(|shares| product.finish(&shares));
            (made, places, permit)
        });
        let (made, places, permit) = done.await?;
        let made = made.map_err(|party| misbehaved(names, party, OUTPUTS, "not a product"))?;
        deliver(places, made.checked(&mut session, &mut shown).await?, permit, counts)?;
    }
    Ok(())
}
