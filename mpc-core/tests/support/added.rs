//! What each party added to its share of each opening to hide it, from what it took.
#![allow(clippy::unwrap_used)]

use std::iter::Peekable;
use std::ops::Range;

use mpc_core::Recipients;
use mpc_core::correlations::Request;
use mpc_core::testing::{Kind, Opening};

use super::Party;
use crate::recording::Taken;

/// The masks of an opening of `len` coefficients: those of one forward product, or of one for each owner
/// of columns. Those of public columns, which come with the first product, stand at the end.
fn forward<'a>(
    taken: &mut Peekable<impl Iterator<Item = &'a Taken>>,
    len: usize,
    drop: u32,
) -> Option<Vec<u128>> {
    let (mut mask, mut public) = (Vec::new(), Vec::new());
    while mask.len() + public.len() < len {
        let it = taken.next()?;
        let Request::OwnedProduct(request) = &it.request else { return None };
        // The masks of transposed ones are in openings to owners alone.
        if request.transposed {
            return None;
        }
        let own = it.masks.len() - request.public_columns as usize;
        mask.extend(it.masks[..own].iter().map(|rho| rho >> drop));
        public.extend(it.masks[own..].iter().map(|rho| rho >> drop));
    }
    mask.extend(public);
    (mask.len() == len).then_some(mask)
}

/// What a party adds to its share of an opening to hide it.
pub fn masks(party: &Party, seen: &[&Opening]) -> Vec<Vec<u128>> {
    let mut taken = party.taken.iter().filter(|it| !it.masks.is_empty()).peekable();
    let mut rows: Option<(&Taken, Vec<Range<usize>>)> = None;
    let all = seen.iter().map(|seen| {
        let len = seen.own.len();
        // Results are hidden by zero shares alone, to whomever they go.
        if seen.kind == Kind::Result {
            return vec![0; len];
        }
        if let Recipients::One(owner) = seen.to {
            if len == 0 {
                return Vec::new(); // It owns nothing of these rows.
            }
            // One opening to each owner, of the rows that are its; where owners have columns, each with
            // masks of its own, of one product or of several.
            let mut all = Vec::new();
            while all.len() < len {
                let beyond = rows.as_ref().is_none_or(|(_, places)| places[owner].is_empty());
                if owner == 0 || beyond || !all.is_empty() {
                    let it = taken.next().unwrap();
                    let Request::OwnedProduct(request) = &it.request else {
                        panic!("{}: {:?} was taken", seen.step, it.request)
                    };
                    let mut from = 0;
                    let place = |&(first, last): &(u64, u64)| {
                        from += (last - first) as usize;
                        from - (last - first) as usize..from
                    };
                    rows = Some((it, request.rows.iter().map(place).collect()));
                }
                let (it, places) = rows.as_ref().unwrap();
                all.extend_from_slice(&it.masks[places[owner].clone()]);
            }
            // An owner adds none, which would hide nothing from itself.
            return if seen.party == owner { vec![0; len] } else { all };
        }
        match (seen.kind, &seen.hidden) {
            (Kind::Result, _) => vec![0; len],
            (_, Some(hidden)) => {
                // A mask of products that were made ahead, or one of the party alone.
                let mut ahead = taken.clone();
                if forward(&mut ahead, len, 0).is_some_and(|mask| mask == hidden.mask) {
                    taken = ahead;
                }
                hidden.mask.clone()
            }
            (_, None) => {
                if let Some(Request::OwnedProduct(request)) = taken.peek().map(|it| &it.request) {
                    return forward(&mut taken, len, request.drop).unwrap();
                }
                let it = taken.next().unwrap();
                it.masks.iter().map(|mask| mask.wrapping_neg()).collect()
            }
        }
    });
    let all: Vec<Vec<u128>> = all.collect();
    for (seen, mask) in seen.iter().zip(&all) {
        assert_eq!(seen.own.len(), mask.len(), "{}: a mask for each element", seen.step);
    }
    all
}
