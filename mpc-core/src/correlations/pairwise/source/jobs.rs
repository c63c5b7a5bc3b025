//! Which requests of one order are made together.
//!
//! What is asked for together is cheaper together: products with the same rows share ciphertexts,
//! phasors share rounds, right factors of one left factor share the transfers that its bits take.
//! The grouping follows from the order alone, so that all parties make the same groups.

use std::collections::HashMap;

use crate::correlations::{
    OwnedProductRequest, PhasorRequest, RandomBitsRequest, Request, RightRequest,
};

/// Products with the same rows that are made at once, at the most.
const MOST_VECTORS: usize = 128;
/// Phasors that are made at once: one pass.
const MOST_ANGLES: u32 = 4096;

/// Something to make for one or more requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// As many owned products of this kind as there are requests.
    Owned(OwnedProductRequest),
    /// Phasors for all requests, one after the other; the count of each.
    Phasors(PhasorRequest, Vec<u32>),
    /// A left factor.
    Left { m: u32, k: u32, ring: u32 },
    /// A right factor whose columns are those of all requests; the columns of each.
    Right(RightRequest, Vec<u32>),
    /// Random bits.
    RandomBits(RandomBitsRequest),
    /// Triples of bits.
    BitTriples(u32),
}

/// A job, and the places in the order of the requests that it serves.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) job: Job,
    pub(super) places: Vec<usize>,
}

impl Group {
    fn new(request: Request, place: usize) -> Self {
        let job = match request {
            Request::OwnedProduct(it) => Job::Owned(it),
            Request::Phasors(it) => {
                let count = it.count;
                Job::Phasors(it, vec![count])
            }
            Request::Left { m, k, ring } => Job::Left { m, k, ring },
            Request::Right(it) => {
                let n = it.n;
                Job::Right(it, vec![n])
            }
            Request::RandomBits(it) => Job::RandomBits(it),
            Request::BitTriples(count) => Job::BitTriples(count),
        };
        Self { job, places: vec![place] }
    }

    /// Takes the request in, if it fits.
    fn join(&mut self, request: &Request, place: usize) -> bool {
        let joins = match (&mut self.job, request) {
            (Job::Owned(all), Request::OwnedProduct(one)) => {
                self.places.len() < MOST_VECTORS && all == one
            }
            (Job::Phasors(all, counts), Request::Phasors(one)) => {
                let alike = PhasorRequest { count: all.count, ..one.clone() } == *all;
                let fits = all.count.saturating_add(one.count) <= MOST_ANGLES;
                if alike && fits {
                    all.count += one.count;
                    counts.push(one.count);
                }
                alike && fits
            }
            (Job::Right(all, columns), Request::Right(one)) => {
                let joins = all.left == one.left && !all.last;
                if joins {
                    all.n += one.n;
                    all.last = one.last;
                    columns.push(one.n);
                }
                joins
            }
            _ => false,
        };
        if joins {
            self.places.push(place);
        }
        joins
    }
}

/// What a request shares a group with.
#[derive(PartialEq, Eq, Hash)]
enum Kind {
    Owned(OwnedProductRequest),
    Phasors,
    Right(u32),
}

/// The groups of one order, by their first use.
pub(super) fn group(requests: Vec<Request>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    // The last group of each kind, which may grow.
    let mut open: HashMap<Kind, usize> = HashMap::new();
    for (place, request) in requests.into_iter().enumerate() {
        let kind = match &request {
            Request::OwnedProduct(it) => Kind::Owned(it.clone()),
            Request::Phasors(_) => Kind::Phasors,
            Request::Right(it) => Kind::Right(it.left),
            Request::Left { .. } | Request::RandomBits(_) | Request::BitTriples(_) => {
                groups.push(Group::new(request, place));
                continue;
            }
        };
        if open.get(&kind).is_some_and(|&at| groups[at].join(&request, place)) {
            continue;
        }
        open.insert(kind, groups.len());
        groups.push(Group::new(request, place));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(from: u64) -> Request {
        Request::OwnedProduct(OwnedProductRequest {
            matrix: 0,
            rows: vec![(from, from + 1)],
            transposed: false,
            ring: 64,
            mask_bits: 80,
            drop: 0,
            public_columns: 0,
        })
    }

    fn phasors(count: u32) -> Request {
        Request::Phasors(PhasorRequest {
            count,
            harmonics: vec![1],
            fraction: 18,
            ring: 100,
            angle_bits: 12,
            rounding: None,
        })
    }

    fn right(left: u32, n: u32, last: bool) -> Request {
        Request::Right(RightRequest { left, n, last })
    }

    #[test]
    fn what_belongs_together_is_made_together() {
        let requests = vec![
            owned(0),
            phasors(4000),
            owned(5),
            right(0, 2, false),
            owned(0),
            phasors(90),
            right(0, 3, true),
            phasors(50),
            owned(5),
            Request::Left { m: 1, k: 1, ring: 64 },
            right(1, 1, true),
        ];
        let groups = group(requests);
        let places: Vec<_> = groups.iter().map(|group| group.places.clone()).collect();
        let due: [&[usize]; 7] = [&[0, 4], &[1, 5], &[2, 8], &[3, 6], &[7], &[9], &[10]];
        assert_eq!(places, due);
        assert!(
            matches!(&groups[1].job, Job::Phasors(it, counts) if it.count == 4090 && counts == &[4000, 90])
        );
        let both = RightRequest { left: 0, n: 5, last: true };
        assert_eq!(groups[3].job, Job::Right(both, vec![2, 3]));
    }

    #[test]
    fn groups_are_bounded() {
        let groups = group((0..300).map(|_| owned(1)).collect());
        let sizes: Vec<_> = groups.iter().map(|group| group.places.len()).collect();
        assert_eq!(sizes, [128, 128, 44]);
        assert_eq!(group(vec![phasors(10_000), phasors(10_000)]).len(), 2);
    }
}
