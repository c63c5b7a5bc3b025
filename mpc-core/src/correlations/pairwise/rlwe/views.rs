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

/// A key divided by p: without its error that is the secret, which is known by being ternary.
#[must_use]
pub fn key(without: Option<MaskSite>) -> Look {
    let switch = switch(without);
    let plan = plan();
    let (_, bytes) = senders(&plan, switch);
    let rns = plan.params().rns();
    let common = Common::new(plan.params(), SESSION, LABEL);
    let mut secret = quotient(rns, &read(&plan, &bytes), &common.key());
    rns.inverse(&mut secret);
    Look { found: is_small(rns, &secret, 1), bytes }
}

/// An input read as if it were q v / t.
#[must_use]
pub fn input(without: Option<MaskSite>) -> Look {
    let switch = switch(without);
    let plan = plan();
    let (mut sender, _) = senders(&plan, switch);
    let ring = plan.shape().ring;
    let v: Vec<u128> = (0..15u128).map(|i| (i << 70) + 12_345 * i).collect();
    let bytes = sender.encrypt(&plan, 0, &v).expect("a new index").to_vec();
    let rns = plan.params().rns();
    let mut poly = read(&plan, &bytes);
    rns.inverse(&mut poly);
    let found =
        plan.input_places(0, 0).all(|(at, j, k)| low(rns.scaled(&poly, at, ring)) == v[3 * j + k]);
    Look { bytes, found }
}

/// An input of zeros divided by a: without its error that is the secret.
#[must_use]
pub fn input_error(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let (mut sender, _) = senders(&plan, switch(without));
    let bytes = sender.encrypt(&plan, 0, &[0; 15]).expect("a new index").to_vec();
    let rns = plan.params().rns();
    let mut secret = quotient(rns, &read(&plan, &bytes), &first(&plan));
    rns.inverse(&mut secret);
    Look { found: is_small(rns, &secret, 1), bytes }
}

/// The a of the first input.
fn first(plan: &Plan) -> Words {
    let mut a = plan.params().rns().poly();
    Common::new(plan.params(), SESSION, LABEL).ciphertext(0, 0, |limb, residues| {
        let at = limb * residues.len();
        a[at..at + residues.len()].copy_from_slice(residues);
    });
    a
}

/// The output of a matrix, and its c1 in the domain of the transform.
fn multiplied(plan: &Plan, entries: &[i32], without: Option<MaskSite>) -> (Vec<u8>, Words) {
    let switch = switch(without);
    let (mut sender, key) = senders(plan, switch);
    let mut coins = Coins::fresh().expect("there is randomness");
    let mut owner = Owner::under(plan.params(), SESSION, LABEL, switch, &mut coins);
    owner.add_key(&key).expect("a key");
    let mut inputs = owner.begin(plan, 0).expect("the same parameters");
    inputs.add(&sender.encrypt(plan, 0, &[0; 15]).expect("a new index")).expect("an input");
    let rows = Rows::new(plan, 0, Entries::Small(entries)).expect("it fits");
    let (mut bytes, mut share) = (Vec::new(), [0; 12]);
    owner.multiply(&inputs, &rows, &mut bytes, &mut share).expect("everything is there");
    let mut c1 = read(plan, &bytes);
    plan.params().rns().forward(&mut c1);
    (bytes, c1)
}

/// An output divided by a, which is what it would be without its mask: X a / a.
#[must_use]
pub fn output(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let entries: Vec<i32> = (0..20).map(|i| i - 9).collect();
    let (bytes, c1) = multiplied(&plan, &entries, without);
    let rns = plan.params().rns();
    let mut x = quotient(rns, &c1, &first(&plan));
    rns.inverse(&mut x);
    let found = plan
        .entry_places(0, 0)
        .all(|(at, i, j)| x[at] == rns.modulus(0).signed(entries[5 * i + j].into()));
    Look { bytes, found }
}

/// An output of zeros divided by p: without its error that is u, which is known by being ternary. With
/// u the matrix of any output follows.
#[must_use]
pub fn output_error(without: Option<MaskSite>) -> Look {
    let plan = plan();
    let (bytes, c1) = multiplied(&plan, &[0; 20], without);
    let rns = plan.params().rns();
    let mut u = quotient(rns, &c1, &Common::new(plan.params(), SESSION, LABEL).key());
    rns.inverse(&mut u);
    Look { found: is_small(rns, &u, 1), bytes }
}

/// `bytes`, but the first, as a key, an input or an output; repeated up to the length that is due
/// if the first says so, since no fuzzer finds messages of many kilobytes.
pub fn decode(bytes: &[u8]) {
    static PARTIES: LazyLock<(Plan, Plan, Sender)> = LazyLock::new(|| {
        let plan = plan();
        let quantised = Shape { ring: 64, ..plan.shape() };
        (plan, Plan::new(quantised).expect("it fits"), senders(&plan, MaskSwitch::default()).0)
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
