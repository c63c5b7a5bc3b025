//! The steps of an alignment, in the order of docs/protocols.md 11.3.

use zeroize::Zeroizing;

use super::band::{Element, Row, Unsolvable, encode};
use super::digest::{Binned, Functions};
use super::seeds::{Keys, keys};
use super::{Aligned, COUNT, HINTS, OUTPUT, REQUESTS, TAGS, Terms, oprf};
use crate::correlations::pairwise::block::Block;
use crate::error::Error;
use crate::offload::offload;
use crate::rand::{MaskSite, Prg, RunningHash};
use crate::ring::{Z64, Z128};
use crate::session::Session;

/// What is announced in place of a count that is too small.
const BELOW: u64 = u64::MAX;

/// Bytes of a tag that are sent. Two of n tags begin alike with probability below n^2 / 2^64, which
/// ends the run when the whole tags are compared.
pub(super) const SHORT: usize = 8;

/// The beginning of a tag.
type Short = [u8; SHORT];

/// A store for each bin.
type Stores<E> = Vec<Zeroizing<Vec<E>>>;

/// Finds the records that all parties have: `ids` are the encoded ids of this party's records, each
/// once. All parties call it with the same terms. Rounds and bytes: [`Terms::cost`].
///
/// # Errors
/// Before anything that depends on an id is sent: [`Error::Range`] when there are more ids than the
/// bound, an id comes twice (the message has the numbers of the records), or, with probability below
/// 2^-49, when ids do not fit their stores; [`Error::Disagreement`] when a party has other terms. Later
/// [`Error::Reveal`] when the session does not allow [`outputs`](super::outputs);
/// [`Error::Misbehaved`] and network errors, which name the peer.
pub async fn align(
    ids: impl IntoIterator<Item = impl AsRef<[u8]>>,
    terms: &Terms,
    session: &mut Session,
) -> Result<Aligned, Error> {
    let (me, parties, leader) = (session.me(), session.parties(), terms.leader());
    if terms.bounds.len() != parties {
        return Err(Error::internal(format!(
            "{} bounds for {parties} parties",
            terms.bounds.len()
        )));
    }
    let functions = Functions::new(session.id());
    let digests: Zeroizing<Vec<Block>> =
        Zeroizing::new(ids.into_iter().map(|id| functions.digest(id.as_ref())).collect());
    if digests.len() as u64 > terms.bounds[me].min(u64::from(u32::MAX)) {
        return Err(Error::Range(format!(
            "{} ids, and the terms of the alignment allow this party {}",
            digests.len(),
            terms.bounds[me]
        )));
    }
    let (bins, capacity) = (terms.bins(), terms.capacity(me));
    let (functions, own) = offload(move || {
        let own = Binned::new(&functions, &digests, bins, capacity);
        (functions, own)
    })
    .await?;
    let own = own?;

    // Step 1.
    let said: Vec<u8> =
        terms.bounds.iter().chain([&terms.least]).flat_map(|number| number.to_le_bytes()).collect();
    session.agree("terms of the alignment", &said).await?;

    // Step 2.
    let keys = keys(session, leader).await?;

    // Steps 3 and 4.
    let len = terms.elements(me);
    let mut free = own_stream(session, MaskSite::AlignRequest);
    let (functions, own, stores) = offload(move || {
        let stores = encoded(
            &functions,
            &own,
            len,
            |_, value| value,
            |len| {
                // Of an element the code takes 68 bits.
                Zeroizing::new(
                    free.elements::<Z128>(len, 68).iter().map(|element| element.0).collect(),
                )
            },
        );
        (functions, own, stores)
    })
    .await?;
    let work = Work { me, functions, own, keys, sums: Zeroizing::new(Vec::new()) };
    let work = requests(work, stores.map_err(no_store)?, terms, session).await?;

    // Step 5. The hints are what the leader learns the members from.
    session.begin_reveal(OUTPUT, &said)?;
    let mut free = own_stream(session, MaskSite::AlignHint);
    let (work, hints) = offload(move || {
        let mut hints = Ok(Vec::new());
        if work.me != leader {
            let (functions, own) = (&work.functions, &work.own);
            hints = encoded(
                functions,
                own,
                len,
                |at, _| work.sums[at],
                |len| Zeroizing::new(free.elements::<Z64>(len, 64).iter().map(|it| it.0).collect()),
            );
        }
        (work, hints)
    })
    .await?;
    let work = exchange_hints(work, hints.map_err(no_store)?, terms, session).await?;

    // Steps 6 and 7.
    let members = (me == leader).then(|| work.members());
    let Some(tags) = announce(members, terms, session).await? else { return Ok(Aligned::Below) };
    let found = work.records(&tags);
    let (records, hash) = found.ok_or_else(|| {
        session.misbehaved(leader, TAGS, "a record that this party does not have, or one twice")
    })?;
    // What was sent are beginnings; this compares the whole tags.
    session.agree("list of aligned records", &hash.value()).await?;
    Ok(Aligned::Records(records))
}

fn own_stream(session: &mut Session, site: MaskSite) -> Prg {
    let seed = session.coins().seed("free elements");
    Prg::under(&seed, site, session.switch())
}

fn no_store(_: Unsolvable) -> Error {
    Error::Range("the ids do not fit their key-value store, by chance: start again".to_owned())
}

/// A store for each bin, of the values that `value` makes of the place of a digest and its own value.
fn encoded<E: Element>(
    functions: &Functions,
    own: &Binned,
    len: usize,
    value: impl Fn(usize, u128) -> E,
    mut free: impl FnMut(usize) -> Zeroizing<Vec<E>>,
) -> Result<Stores<E>, Unsolvable> {
    let mut stores = Vec::with_capacity(own.bins());
    let mut equations: Zeroizing<Vec<(Row, E)>> = Zeroizing::new(Vec::new());
    for bin in 0..own.bins() {
        equations.clear();
        let mut at = own.range(bin);
        functions.rows(&own.digests[at.clone()], len, |row, own| {
            equations.extend(at.next().map(|at| (row, value(at, own))));
        });
        stores.push(encode(&mut equations, free(len))?);
    }
    Ok(stores)
}

/// What goes with the computation from bin to bin.
struct Work {
    me: usize,
    functions: Functions,
    own: Binned,
    keys: Keys,
    /// For each digest: S of a party that is not the leader, R of the leader.
    sums: Zeroizing<Vec<u64>>,
}

/// Step 3, and the sums of step 4: a round for each bin.
async fn requests(
    mut work: Work,
    stores: Stores<u128>,
    terms: &Terms,
    session: &mut Session,
) -> Result<Work, Error> {
    let (me, parties, leader) = (session.me(), session.parties(), terms.leader());
    work.sums = Zeroizing::new(vec![0; work.own.digests.len()]);
    let lengths: Vec<usize> = (0..parties).map(|party| terms.elements(party)).collect();
    for (bin, store) in stores.into_iter().enumerate() {
        let (mut after, outgoing) = offload(move || {
            let outgoing = work.request(bin, &store);
            (work, outgoing)
        })
        .await?;
        let incoming = (0..parties)
            .map(|from| {
                let asks = me != leader && from != me;
                if asks { oprf::request_bytes(lengths[from]) } else { 0 }
            })
            .collect();
        let received = session.exchange(REQUESTS, outgoing, incoming).await?;
        let lengths = lengths.clone();
        work = offload(move || {
            after.answer(bin, &received, &lengths);
            after
        })
        .await?;
    }
    // The keys have done their work.
    work.keys = Keys::default();
    Ok(work)
}

/// Step 5, and the sums of step 6: a round for each bin.
async fn exchange_hints(
    mut work: Work,
    hints: Stores<u64>,
    terms: &Terms,
    session: &mut Session,
) -> Result<Work, Error> {
    let (me, parties, leader) = (session.me(), session.parties(), terms.leader());
    let lengths: Vec<usize> = (0..parties).map(|party| terms.elements(party)).collect();
    let mut hints = hints.into_iter();
    for bin in 0..terms.bins() {
        let mut outgoing = vec![Zeroizing::new(Vec::new()); parties];
        if let Some(hint) = hints.next() {
            outgoing[leader].extend(hint.iter().flat_map(|element| element.to_le_bytes()));
        }
        let incoming = (0..parties)
            .map(|from| if me == leader && from != me { 8 * lengths[from] } else { 0 })
            .collect();
        let received = session.exchange(HINTS, outgoing, incoming).await?;
        work = offload(move || {
            work.take_hints(bin, &received);
            work
        })
        .await?;
    }
    Ok(work)
}

/// Step 7: from the leader's members the beginnings of the tags of all members at every party, sorted;
/// `None` if there are too few.
async fn announce(
    members: Option<Vec<Short>>,
    terms: &Terms,
    session: &mut Session,
) -> Result<Option<Vec<Short>>, Error> {
    let (me, parties, leader) = (session.me(), session.parties(), terms.leader());
    let from_leader = |bytes: usize| -> Vec<usize> {
        (0..parties).map(|from| if me != leader && from == leader { bytes } else { 0 }).collect()
    };
    let to_others = |message: &[u8]| -> Vec<Zeroizing<Vec<u8>>> {
        let for_all = me == leader;
        let message = |to| if for_all && to != me { message.to_vec() } else { Vec::new() };
        (0..parties).map(|to| Zeroizing::new(message(to))).collect()
    };
    let own = members.as_ref().map(|members| members.len() as u64);
    let said = own.map(|count| if count < terms.least { BELOW } else { count });
    let outgoing = to_others(&said.unwrap_or_default().to_le_bytes());
    let received = session.exchange(COUNT, outgoing, from_leader(8)).await?;
    let heard = received[leader].as_chunks::<8>().0.first().copied().map(u64::from_le_bytes);
    let count = said.or(heard).unwrap_or_default();
    if count == BELOW {
        session.agree("number of aligned records", &count.to_le_bytes()).await?;
        return Ok(None);
    }
    if count > terms.bounds[leader] || count < terms.least {
        return Err(session.misbehaved(leader, COUNT, "a number of records that cannot be"));
    }
    if count == 0 {
        return Ok(Some(Vec::new()));
    }
    let tags = members.unwrap_or_default();
    let outgoing = to_others(tags.as_flattened());
    let received = session.exchange(TAGS, outgoing, from_leader(SHORT * count as usize)).await?;
    Ok(Some(if me == leader { tags } else { received[leader].as_chunks().0.to_vec() }))
}

impl Work {
    /// The requests of a bin, by key holder; what can be evaluated then is added to the sums.
    fn request(&mut self, bin: usize, store: &[u128]) -> Vec<Zeroizing<Vec<u8>>> {
        let range = self.own.range(bin);
        let digests = &self.own.digests[range.clone()];
        let mut outgoing = Vec::with_capacity(self.keys.evaluated.len());
        for evaluator in &mut self.keys.evaluated {
            outgoing.push(Zeroizing::new(match evaluator {
                None => Vec::new(),
                Some(evaluator) => {
                    let (store, message) = evaluator.request(store);
                    let sums = &mut self.sums[range.clone()];
                    evaluator.add(&self.functions, digests, &store, sums);
                    message
                }
            }));
        }
        outgoing
    }

    /// Adds the values of the functions whose keys this party holds.
    fn answer(&mut self, bin: usize, received: &[Zeroizing<Vec<u8>>], lengths: &[usize]) {
        let range = self.own.range(bin);
        let digests = &self.own.digests[range.clone()];
        let held = self.keys.held.iter_mut().zip(received).zip(lengths);
        for ((holder, request), &len) in held {
            if let Some(holder) = holder {
                let store = holder.store(request, len);
                let sums = &mut self.sums[range.clone()];
                holder.add(&self.functions, digests, &store, sums);
            }
        }
    }

    /// Adds what the hints say of the own ids.
    fn take_hints(&mut self, bin: usize, received: &[Zeroizing<Vec<u8>>]) {
        let range = self.own.range(bin);
        for hint in received.iter().filter(|hint| !hint.is_empty()) {
            let hint: Zeroizing<Vec<u64>> = Zeroizing::new(
                hint.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect(),
            );
            let mut sums = self.sums[range.clone()].iter_mut();
            let digests = &self.own.digests[range.clone()];
            self.functions.rows(digests, hint.len(), |row, _| {
                if let Some(sum) = sums.next() {
                    *sum ^= row.of(&hint);
                }
            });
        }
    }

    /// The tags of the digests whose sum is zero, in increasing order.
    fn members(&self) -> Vec<Short> {
        let own = self.own.digests.iter().zip(self.sums.iter());
        let members = own.filter(|&(_, &sum)| sum == 0).map(|(digest, _)| *digest);
        let members: Zeroizing<Vec<Block>> = Zeroizing::new(members.collect());
        let mut tags = self.functions.tags(&members);
        tags.sort_unstable();
        tags.iter().map(short).collect()
    }

    /// The own record of each tag, and the hash of the whole tags; `None` if there is no record for one,
    /// or the tags do not increase.
    fn records(&self, tags: &[Short]) -> Option<(Vec<usize>, RunningHash)> {
        let own = self.functions.tags(&self.own.digests);
        let mut own: Zeroizing<Vec<(Block, u32)>> =
            Zeroizing::new(own.iter().copied().zip(self.own.records.iter().copied()).collect());
        own.sort_unstable();
        if !tags.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let (mut own, mut hash) = (own.iter(), RunningHash::new("aligned records"));
        let mut records = Vec::with_capacity(tags.len());
        for tag in tags {
            let (whole, record) = own.find(|it| short(&it.0) == *tag)?;
            hash.absorb(whole);
            records.push(*record as usize);
        }
        Some((records, hash))
    }
}

fn short(tag: &Block) -> Short {
    let mut short = [0; SHORT];
    short.copy_from_slice(&tag[..SHORT]);
    short
}
