//! What one who sees a message does with it, for the view tests: each attack recovers the secret
//! where a mask is missing. Also the decoders with any bytes, for fuzzing.
#![allow(clippy::missing_panics_doc, reason = "for tests")]

use std::sync::LazyLock;

use super::params::{Params, Rns};
use super::plan::Width;
use super::sample::Common;
use super::sender::low;
use super::wire::add_poly;
use super::words::Words;
use super::{Entries, Owner, Plan, Rows, Sender, Shape};
use crate::rand::{Coins, MaskSite, MaskSwitch};

const SESSION: &[u8] = b"views";
const LABEL: &str = "views";

/// A message, and whether one who has only that and public facts found the secret in it.
pub struct Look {
    /// The message.
    pub bytes: Vec<u8>,
    /// Whether the attack succeeded.
    pub found: bool,
}

#[cfg(feature = "insecure-test-masks")]
fn switch(without: Option<MaskSite>) -> MaskSwitch {
    MaskSwitch::new(without)
}

#[cfg(not(feature = "insecure-test-masks"))]
fn switch(_: Option<MaskSite>) -> MaskSwitch {
    MaskSwitch::default()
}

/// A product whose outputs travel as residues, so that they can be divided.
fn plan() -> Plan {
    let shape = Shape {
        rows: 4,
        columns: 5,
        vectors: 3,
        entry_bits: 4,
        entry_limbs: 1,
        ring: 81,
        parties: 2,
    };
    let plan = Plan::new(shape).expect("it fits");
    assert_eq!((plan.params(), plan.width()), (Params::ALL[0], Width::Residues));
    plan
}

fn senders(plan: &Plan, switch: MaskSwitch) -> (Sender, Vec<u8>) {
    let mut coins = Coins::fresh().expect("there is randomness");
    Sender::under(plan.params(), SESSION, LABEL, switch, &mut coins)
}

fn read(plan: &Plan, bytes: &[u8]) -> Words {
    let mut poly = plan.params().rns().poly();
    add_poly(plan.params(), bytes, &mut poly).expect("a polynomial");
    poly
}

/// x / y in the domain of the transform; a uniform y has no zeros but with probability 2^-37.
fn quotient(rns: &Rns, x: &[u64], y: &[u64]) -> Words {
    let mut out = rns.poly();
    let degree = x.len() / rns.limbs();
    for (at, out) in out.iter_mut().enumerate() {
        let q = rns.modulus(at / degree);
        *out = q.product(x[at], q.inverse(y[at]));
    }
    out
}

/// Whether all coefficients are at most `most` in magnitude.
fn is_small(rns: &Rns, poly: &[u64], most: u64) -> bool {
    rns.each(poly).enumerate().all(|(limb, residues)| {
        let q = rns.modulus(limb).value();
        residues.iter().all(|&x| x <= most || q - x <= most)
    })
}

/// The largest error.
const ERROR: u64 = 21;

/// A polynomial in the domain of the transform.
fn transformed(rns: &Rns, coefficients: &[u64]) -> Words {
    let mut out = rns.poly();
    out.copy_from_slice(coefficients);
    rns.forward(&mut out);
    out
}

/// The coefficients of a polynomial in the domain of the transform.
fn coefficients(rns: &Rns, transformed: &[u64]) -> Words {
    let mut out = rns.poly();
    out.copy_from_slice(transformed);
    rns.inverse(&mut out);
    out
}

fn difference(rns: &Rns, x: &[u64], y: &[u64]) -> Words {
    let mut out = rns.poly();
    let degree = x.len() / rns.limbs();
    for (at, out) in out.iter_mut().enumerate() {
        *out = rns.modulus(at / degree).difference(x[at], y[at]);
    }
    out
}

/// x - y z in the domain of the transform, as coefficients.
fn rest(rns: &Rns, x: &[u64], y: &[u64], z: &[u64]) -> Words {
    let mut product = rns.poly();
    rns.add_products(y, z, &mut product);
    coefficients(rns, &difference(rns, x, &product))
}

fn common(plan: &Plan) -> Common {
    Common::new(plan.params(), SESSION, LABEL)
}

/// The a of a polynomial of an input.
fn public(plan: &Plan, index: u64, number: usize) -> Words {
    let mut a = plan.params().rns().poly();
    common(plan).ciphertext(index, number, |limb, residues| {
        let at = limb * residues.len();
        a[at..at + residues.len()].copy_from_slice(residues);
    });
    a
}

/// A key divided by p: without its error that is the secret, which is known by being ternary.
#[must_use]
pub fn key_error(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let (_, bytes) = senders(&plan, switch(without));
    let rns = plan.params().rns();
    let secret = quotient(rns, &read(&plan, &bytes), &common(&plan).key());
    Look { found: is_small(rns, &coefficients(rns, &secret), 1), bytes }
}

/// An input read as if it were q v / t, which is what a s hides.
#[must_use]
pub fn input_secret(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let (mut sender, _) = senders(&plan, switch(without));
    let v = vectors();
    let bytes = sender.encrypt(&plan, 0, &v).expect("a new index").to_vec();
    Look { found: reads(&plan, &read(&plan, &bytes), &v), bytes }
}

fn vectors() -> Vec<u128> {
    (0..15u128).map(|i| (i << 70) + 12_345 * i).collect()
}

/// Whether a polynomial in the domain of the transform is round(q v / t) and small errors.
fn reads(plan: &Plan, poly: &[u64], v: &[u128]) -> bool {
    let (rns, ring) = (plan.params().rns(), plan.shape().ring);
    let poly = coefficients(rns, poly);
    let mut places = plan.input_places(0, 0);
    places.all(|(at, j, k)| low(rns.scaled(&poly, at, ring)) == v[3 * j + k])
}

/// An input of zeros divided by its a: without its error that is the key, which is known by being
/// ternary and by what it leaves of the public key. It opens every other input.
#[must_use]
pub fn input_error(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let (mut sender, key) = senders(&plan, switch(without));
    let bytes = sender.encrypt(&plan, 0, &[0; 15]).expect("a new index").to_vec();
    let v = vectors();
    let second = sender.encrypt(&plan, 1, &v).expect("a new index").to_vec();
    let rns = plan.params().rns();
    let secret = quotient(rns, &read(&plan, &bytes), &public(&plan, 0, 0));
    let errors = rest(rns, &read(&plan, &key), &common(&plan).key(), &secret);
    let opened = rest(rns, &read(&plan, &second), &public(&plan, 1, 0), &secret);
    let found = is_small(rns, &coefficients(rns, &secret), 1)
        && is_small(rns, &errors, ERROR)
        && reads(&plan, &transformed(rns, &opened), &v);
    Look { found, bytes }
}

/// An owner with the key of a sender, which is there too.
fn owner(plan: &Plan, without: Option<MaskSite>) -> (Owner, Sender) {
    let switch = switch(without);
    let (sender, key) = senders(plan, switch);
    let mut coins = Coins::fresh().expect("there is randomness");
    let mut owner = Owner::under(plan.params(), SESSION, LABEL, switch, &mut coins);
    owner.add_key(&key).expect("a key");
    (owner, sender)
}

/// All outputs of a matrix in the product `index`, as bytes.
fn multiplied(
    plan: &Plan,
    index: u64,
    entries: &[i32],
    (owner, sender): &mut (Owner, Sender),
) -> Vec<u8> {
    let shape = plan.shape();
    let mut inputs = owner.begin(plan, index).expect("the same parameters");
    let v = vec![0; shape.columns * shape.vectors];
    inputs.add(&sender.encrypt(plan, index, &v).expect("a new index")).expect("an input");
    let mut bytes = vec![0; plan.output_bytes()];
    let messages = bytes.chunks_mut(plan.blocks_at_once() * plan.block_bytes());
    for (blocks, bytes) in plan.groups().zip(messages) {
        let rows = plan.rows_of_all(&blocks);
        let own = &entries[rows.start * shape.columns..rows.end * shape.columns];
        let own = Rows::new(plan, blocks.clone(), Entries::Small(own)).expect("it fits");
        let mut share = vec![0; rows.len() * shape.vectors];
        let masks = owner.masks(plan, blocks);
        owner.multiply(&inputs, &own, masks, bytes, &mut share).expect("everything is there");
    }
    bytes
}

/// c1 in the domain of the transform.
fn output(plan: &Plan, bytes: &[u8]) -> Words {
    transformed(plan.params().rns(), &read(plan, bytes))
}

/// The output of one small entry, and whether the entry is the one guess of which `is_mask` holds:
/// that what is left of c1 without it is what masks it.
fn guessed(without: Option<MaskSite>, is_mask: impl Fn(&Plan, &[u64]) -> bool) -> Look {
    const ENTRY: i32 = 7;
    let shape = Shape { rows: 1, columns: 1, vectors: 1, ..plan().shape() };
    let plan = Plan::new(shape).expect("it fits");
    let mut parties = owner(&plan, without);
    let bytes = multiplied(&plan, 0, &[ENTRY], &mut parties);
    let rns = plan.params().rns();
    let (c1, a) = (output(&plan, &bytes), public(&plan, 0, 0));
    let fits = |guess: &i32| {
        let mut x = rns.poly();
        rns.add_signed(&[i64::from(*guess)], &mut x);
        let mut product = rns.poly();
        rns.add_products(&transformed(rns, &x), &a, &mut product);
        is_mask(&plan, &difference(rns, &c1, &product))
    };
    Look { found: (-16..=16).filter(fits).eq([ENTRY]), bytes }
}

/// Without u p what is left of an output under the right guess of X is the error alone.
#[must_use]
pub fn output_secret(without: Option<MaskSite>) -> Look {
    guessed(without, |plan, left| {
        let rns = plan.params().rns();
        is_small(rns, &coefficients(rns, left), ERROR)
    })
}

/// Without the error what is left, divided by p, is u, which is known by being ternary.
#[must_use]
pub fn output_error(without: Option<MaskSite>) -> Look {
    guessed(without, |plan, left| {
        let rns = plan.params().rns();
        let u = quotient(rns, left, &common(plan).key());
        is_small(rns, &coefficients(rns, &u), 1)
    })
}

/// A product of two blocks of rows, of columns and of vectors, of so many vectors a block.
fn blocks(vectors: usize) -> Plan {
    let plan = Plan::new(Shape { rows: 8, columns: 8, vectors: 2 * vectors, ..plan().shape() });
    let plan = plan.expect("it fits").with_block([4, 4, vectors]).expect("it fits");
    assert_eq!((plan.row_blocks(), plan.column_blocks(), plan.vector_blocks()), (2, 2, 2));
    assert_eq!(plan.width(), Width::Residues);
    plan
}

/// Whether any two outputs of equal rows, in one job or in two, differ by less than masks of their
/// own make them differ: by errors alone if they have one u, by a multiple of p that is small if
/// they have one error. Of rows that are multiplied block by block, and of those that are together.
#[must_use]
pub fn outputs_share_a_mask() -> bool {
    let plans = [4, 32].map(blocks);
    assert_eq!(plans.map(|plan| plan.blocks_at_once()), [1, 8]);
    plans.into_iter().any(outputs_of_share_a_mask)
}

fn outputs_of_share_a_mask(plan: Plan) -> bool {
    let mut parties = owner(&plan, None);
    let zeros = vec![0; plan.shape().rows * plan.shape().columns];
    let bytes = [0, 1].map(|index| multiplied(&plan, index, &zeros, &mut parties)).concat();
    let polys: Vec<Words> =
        bytes.chunks_exact(plan.output_poly_bytes()).map(|bytes| output(&plan, bytes)).collect();
    let (rns, p) = (plan.params().rns(), common(&plan).key());
    pairs(&polys).any(|(one, other)| {
        let left = difference(rns, one, other);
        let secrets = quotient(rns, &left, &p);
        is_small(rns, &coefficients(rns, &left), 2 * ERROR)
            || is_small(rns, &coefficients(rns, &secrets), 2)
    })
}

/// Whether any two inputs of zeros, of one product or of two, give the key away together: they have
/// one error, or one a.
#[must_use]
pub fn inputs_share_a_mask() -> bool {
    let plan = blocks(4);
    let zeros = vec![0; plan.shape().columns * plan.shape().vectors];
    let (mut sender, _) = senders(&plan, MaskSwitch::default());
    let rns = plan.params().rns();
    let mut polys = Vec::new();
    for index in [0, 1] {
        let bytes = sender.encrypt(&plan, index, &zeros).expect("a new index");
        for (number, bytes) in bytes.chunks_exact(plan.params().poly_bytes()).enumerate() {
            polys.push((public(&plan, index, number), read(&plan, bytes)));
        }
    }
    pairs(&polys).any(|((a, b), (other_a, other_b))| {
        let (a, b) = (difference(rns, a, other_a), difference(rns, b, other_b));
        if a.iter().all(|&a| a == 0) {
            return true;
        }
        is_small(rns, &coefficients(rns, &quotient(rns, &b, &a)), 1)
    })
}

/// Every two.
fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    all.iter().enumerate().flat_map(|(at, one)| all[..at].iter().map(move |other| (one, other)))
}

/// `bytes`, but the first, as a key, an input or an output; repeated up to the length that is due
/// if the first says so, since no fuzzer finds messages of many kilobytes.
pub fn decode(bytes: &[u8]) {
    static PARTIES: LazyLock<(Plan, Plan, Sender)> = LazyLock::new(|| {
        let shape = plan().shape();
        let plan = |ring| Plan::insecure(Shape { ring, ..shape }).expect("it fits");
        let (residues, quantised) = (plan(shape.ring), plan(64));
        assert_eq!((residues.width(), quantised.width()), (Width::Residues, Width::Bits(84)));
        (residues, quantised, senders(&residues, MaskSwitch::default()).0)
    });
    let Some((&first, rest)) = bytes.split_first() else { return };
    let (residues, quantised, sender) = &*PARTIES;
    let plan = if first & 1 == 0 { residues } else { quantised };
    let due = |len: usize| -> Vec<u8> {
        if first & 2 == 0 {
            return rest.to_vec();
        }
        let repeated = rest.iter().chain([&0x5a]).copied();
        repeated.collect::<Vec<_>>().into_iter().cycle().take(len).collect()
    };
    let mut owner = Owner::new(plan.params(), SESSION, LABEL).expect("there is randomness");
    // Whatever is not refused has the length that is due.
    match first >> 2 & 3 {
        0 => {
            let bytes = due(plan.params().poly_bytes());
            let taken = owner.add_key(&bytes).is_some();
            assert!(!taken || bytes.len() == plan.params().poly_bytes());
        }
        1 => {
            let bytes = due(plan.input_bytes());
            let mut inputs = owner.begin(plan, 0).expect("the same parameters");
            let taken = inputs.add(&bytes).is_some();
            assert!(!taken || bytes.len() == plan.input_bytes());
        }
        _ => {
            let bytes = due(plan.output_bytes());
            let share = sender.finish(plan, 0..plan.row_blocks(), &bytes);
            assert!(share.is_none_or(|share| {
                bytes.len() == plan.output_bytes()
                    && share.len() == plan.shape().rows * plan.shape().vectors
            }));
        }
    }
}
