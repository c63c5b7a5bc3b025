//! Products among all parties, against the integer product.

use proptest::prelude::*;

use super::{Entries, Inputs, Owner, Plan, Rows, Sender, Shape};
use crate::error::Error;
use crate::ring::wire::mask;

const SESSION: &[u8] = b"a session of its own";

/// A generator for data, not for secrets.
struct Data(u64);

impl Data {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn wide(&mut self, count: usize, ring: u32) -> Vec<u128> {
        let mut one = || u128::from(self.next()) << 64 | u128::from(self.next());
        (0..count).map(|_| one() & mask(ring)).collect()
    }

    /// Half of them at the ends of the range.
    fn small(&mut self, count: usize, bits: u32) -> Vec<i32> {
        let most = (1i64 << bits) - 1;
        let mut one = || match self.next() {
            x if x % 4 == 0 => most,
            x if x % 4 == 1 => -most,
            x => (x >> 8) as i64 % (most + 1),
        };
        (0..count).map(|_| one() as i32).collect()
    }
}

enum Matrix {
    Small(Vec<i32>),
    Wide(Vec<u128>),
}

impl Matrix {
    fn at(&self, index: usize) -> u128 {
        match self {
            Self::Small(entries) => i128::from(entries[index]) as u128,
            Self::Wide(entries) => entries[index],
        }
    }

    fn rows(&self, range: std::ops::Range<usize>) -> Entries<'_> {
        match self {
            Self::Small(entries) => Entries::Small(&entries[range]),
            Self::Wide(entries) => Entries::Wide(&entries[range]),
        }
    }
}

/// All parties but the owner, with their keys at the owner.
fn set_up(plan: &Plan) -> (Vec<Sender>, Owner) {
    let mut owner = Owner::new(plan.params(), SESSION, "test").expect("randomness");
    let senders = (1..plan.shape().parties)
        .map(|_| {
            let (sender, key) =
                Sender::generate(plan.params(), SESSION, "test").expect("randomness");
            owner.add_key(&key).expect("a key");
            sender
        })
        .collect();
    (senders, owner)
}

/// Makes one product and gives the largest error of any of its elements.
fn largest_error(plan: &Plan, data: &mut Data, index: u64) -> i128 {
    let shape = plan.shape();
    let entries = shape.rows * shape.columns;
    let matrix = if shape.entry_limbs == 1 {
        Matrix::Small(data.small(entries, shape.entry_bits))
    } else {
        let mut wide = data.wide(entries, shape.ring);
        wide[0] = mask(shape.ring);
        Matrix::Wide(wide)
    };
    let (mut senders, mut owner) = set_up(plan);
    let mut inputs = owner.begin(plan, index).expect("the same parameters");
    let mut v = vec![0u128; shape.columns * shape.vectors];
    for sender in &mut senders {
        let mine = data.wide(v.len(), shape.ring);
        let message = sender.encrypt(plan, index, &mine).expect("a new index");
        assert_eq!(message.len(), plan.input_bytes());
        inputs.add(&message).expect("an input");
        v.iter_mut().zip(mine).for_each(|(v, mine)| *v = v.wrapping_add(mine));
    }
    let mut message = vec![0; plan.output_bytes()];
    let mut sum = vec![0; shape.rows * shape.vectors];
    for blocks in plan.groups() {
        let range = plan.rows_of_all(&blocks);
        let entries = range.start * shape.columns..range.end * shape.columns;
        let rows = Rows::new(plan, blocks.clone(), matrix.rows(entries)).expect("the shape fits");
        let share = &mut sum[range.start * shape.vectors..range.end * shape.vectors];
        let bytes = blocks.start * plan.block_bytes()..blocks.end * plan.block_bytes();
        let masks = owner.masks(plan, blocks);
        owner
            .multiply(&inputs, &rows, masks, &mut message[bytes], share)
            .expect("everything is there");
    }
    assert_eq!(message.len(), plan.output_bytes());
    for sender in &senders {
        // The first block alone, then the others.
        let first = plan.block_bytes();
        let mut share = sender.finish(plan, 0..1, &message[..first]).expect("it is due");
        let rest = sender.finish(plan, 1..plan.row_blocks(), &message[first..]).expect("it is due");
        share.extend_from_slice(&rest);
        assert!(share.iter().all(|&share| share <= mask(shape.ring)));
        sum.iter_mut().zip(share.iter()).for_each(|(sum, share)| *sum = sum.wrapping_add(*share));
    }
    let mut largest = 0;
    for i in 0..shape.rows {
        for k in 0..shape.vectors {
            let product = (0..shape.columns).fold(0u128, |sum, j| {
                let factor = v[j * shape.vectors + k];
                sum.wrapping_add(matrix.at(i * shape.columns + j).wrapping_mul(factor))
            });
            let error = sum[i * shape.vectors + k].wrapping_sub(product);
            let spare = 128 - shape.ring;
            largest = largest.max(((error << spare) as i128 >> spare).abs());
        }
    }
    largest
}

fn check(shape: Shape) {
    let plan = Plan::new(shape).expect("it fits");
    let error = largest_error(&plan, &mut Data(shape.rows as u64), 3);
    assert!(error <= i128::from(plan.largest_error()), "{plan:?} is off by {error}");
}

fn small(rows: usize, columns: usize, vectors: usize, ring: u32, parties: usize) -> Shape {
    Shape { rows, columns, vectors, entry_bits: 16, entry_limbs: 1, ring, parties }
}

#[test]
fn products_come_out() {
    for parties in [2, 3, 5] {
        for (ring, entry_bits) in [(64, 16), (81, 31), (120, 16), (128, 20)] {
            check(Shape { entry_bits, ..small(43, 100, 5, ring, parties) });
            check(Shape { entry_bits, ..small(1, 1, 1, ring, parties) });
        }
    }
}

/// Entries that are far apart, several blocks of rows and of vectors: all ways to cut a product.
#[test]
fn products_of_many_vectors_come_out() {
    for (rows, columns, vectors) in [(1, 1, 32), (37, 50, 64), (150, 7, 128), (9, 300, 40)] {
        check(small(rows, columns, vectors, 81, 3));
    }
    let plan = Plan::new(small(37, 50, 64, 81, 2)).expect("it fits");
    for block in [[2, 50, 32], [37, 3, 64], [1, 25, 64], [5, 50, 16]] {
        let plan = plan.with_block(block).expect("it fits");
        let error = largest_error(&plan, &mut Data(5), 0);
        assert!(error <= i128::from(plan.largest_error()), "{plan:?} is off by {error}");
    }
}

#[test]
fn wide_entries_come_out() {
    for (ring, parties) in [(64, 2), (64, 3), (100, 3), (128, 2), (128, 5)] {
        check(Shape::wide(7, 9, 3, ring, parties));
        check(Shape::wide(1, 1, 1, ring, parties));
    }
}

/// More inner blocks than a sum of products holds unreduced, several of vectors and of rows.
#[test]
fn many_blocks_come_out() {
    let long = Plan::new(small(2, 6000, 1, 64, 2)).expect("fits");
    check(long.shape());
    let mut plan = Plan::new(small(40, 650, 11, 64, 3)).expect("fits");
    plan = plan.with_block([7, 10, 4]).expect("fits");
    assert!(plan.column_blocks() >= 64 && plan.vector_blocks() == 3 && plan.row_blocks() == 6);
    assert!(largest_error(&plan, &mut Data(1), 0) <= i128::from(plan.largest_error()));
}

/// Two owners of different numbers of rows take the same inputs.
#[test]
fn owners_share_inputs() {
    let plan = Plan::new(small(43, 20, 3, 64, 3)).expect("fits");
    let fewer = plan.with_rows(5).expect("fewer");
    assert_eq!(plan.input_bytes(), fewer.input_bytes());
    assert_eq!(plan.inputs_of(), fewer.inputs_of());
    assert!(largest_error(&fewer, &mut Data(2), 0) <= i128::from(plan.largest_error()));
    assert!(plan.with_rows(44).is_err() && plan.with_rows(0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_shape_comes_out(
        rows in 1usize..60,
        columns in 1usize..80,
        vectors in 1usize..12,
        parties in 2usize..=5,
        ring in prop_oneof![Just(64u32), Just(81), Just(120), Just(128), 20u32..=128],
        entry_bits in 1u32..=20,
        seed: u64,
    ) {
        let shape = Shape { entry_bits, ..small(rows, columns, vectors, ring, parties) };
        let plan = Plan::new(shape).expect("it fits");
        let error = largest_error(&plan, &mut Data(seed), seed >> 8);
        prop_assert!(error <= i128::from(plan.largest_error()), "{:?} is off by {}", plan, error);
    }
}

#[test]
fn an_index_is_used_once_and_only_goes_up() {
    let plan = Plan::new(small(2, 3, 1, 64, 2)).expect("fits");
    let (mut senders, owner) = set_up(&plan);
    let v = [1, 2, 3];
    assert!(senders[0].encrypt(&plan, 5, &v).is_ok());
    for passed in [0, 4, 5] {
        assert!(matches!(senders[0].encrypt(&plan, passed, &v), Err(Error::Internal(_))));
    }
    assert!(senders[0].encrypt(&plan, 6, &v[1..]).is_err());
    assert!(senders[0].encrypt(&plan, 6, &v).is_ok());
    let wide = Plan::new(Shape::wide(2, 3, 1, 128, 2)).expect("fits");
    assert!(senders[0].encrypt(&wide, 7, &v).is_err());
    assert!(owner.begin(&wide, 7).is_err());
}

#[test]
fn what_is_missing_or_malformed_is_refused() {
    let plan = Plan::new(small(2, 3, 1, 64, 3)).expect("fits");
    let (mut senders, mut owner) = set_up(&plan);
    let rows = Rows::new(&plan, 0..1, Entries::Small(&[1; 6])).expect("fits");
    let mut inputs = owner.begin(&plan, 0).expect("the same parameters");
    let (mut message, mut share) = (vec![0; plan.output_bytes()], [0; 2]);
    let mut multiply = |inputs: &Inputs, blocks, message: &mut [u8], share: &mut [u128]| {
        let masks = owner.masks(&plan, blocks);
        owner.multiply(inputs, &rows, masks, message, share)
    };
    let first = senders[0].encrypt(&plan, 0, &[1, 2, 3]).expect("new");
    inputs.add(&first).expect("an input");
    assert!(multiply(&inputs, 0..1, &mut message, &mut share).is_err());
    assert!(message.iter().all(|&byte| byte == 0) && share == [0; 2]);
    let second = senders[1].encrypt(&plan, 0, &[1, 2, 3]).expect("new");
    assert!(inputs.add(&second[1..]).is_none());
    assert!(inputs.add(&vec![0xff; second.len()]).is_none());
    inputs.add(&second).expect("an input");
    multiply(&inputs, 0..1, &mut message, &mut share).expect("everything is there");
    assert!(multiply(&inputs, 0..2, &mut message, &mut share).is_err());
    assert!(multiply(&inputs, 1..2, &mut message, &mut share).is_err());
    assert!(multiply(&inputs, 0..1, &mut message[1..], &mut share).is_err());
    assert!(multiply(&inputs, 0..1, &mut message, &mut share[1..]).is_err());
    assert!(senders[0].finish(&plan, 0..1, &message[1..]).is_none());
    assert!(senders[0].finish(&plan, 0..2, &message).is_none());
    assert!(senders[0].finish(&plan, 0..1, &message).is_some());
    assert!(Rows::new(&plan, 0..1, Entries::Small(&[1; 5])).is_err());
    assert!(Rows::new(&plan, 1..2, Entries::Small(&[1; 6])).is_err());
    assert!(Rows::new(&plan, 0..1, Entries::Wide(&[1; 6])).is_err());
    assert!(owner.add_key(&first[1..]).is_none());
}
