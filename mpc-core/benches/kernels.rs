//! The kernels at every level of this processor, beside the time that a plain sum over the same
//! bytes takes: no loop that reads them once can be faster.
//!
//! A data set of 12,800 x 784 does not fit in any cache, a batch part of 43 x 100 fits in all.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use mpc_core::correlations::pairwise::rlwe::{Entries, Owner, Plan, Rows, Sender, Shape};
use mpc_core::ring::kernels::Level;
use mpc_core::ring::kernels::ntt::Ntt;
use mpc_core::ring::{Ring, Z64, Z128};

const SHAPES: [(usize, usize); 2] = [(12_800, 784), (43, 100)];

/// Values that depend on the seed only.
fn random<T>(count: usize, of: impl Fn(u64) -> T) -> Vec<T> {
    let mut state = count as u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        of((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb))
    };
    (0..count).map(|_| next()).collect()
}

fn longs(count: usize) -> Vec<u64> {
    random(count, |x| x)
}

/// Fixed-point data: below 2^30.
fn smalls(count: usize) -> Vec<i32> {
    random(count, |x| (x as i32) >> 1)
}

fn huges(count: usize) -> Vec<u128> {
    random(count, |x| u128::from(x) * 0xffff_ffff_ffff_fff1_0000_0001)
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn group<'a>(c: &'a mut Criterion, name: &str, rows: usize, columns: usize) -> Group<'a> {
    c.benchmark_group(format!("{name}/{rows}x{columns}"))
}

fn levels(group: &mut Group<'_>, bytes: usize, mut run: impl FnMut(Level)) {
    group.throughput(Throughput::Bytes(bytes as u64));
    for level in Level::available() {
        group.bench_function(level.name(), |b| b.iter(|| run(level)));
    }
}

/// Four streams, as fewer leave part of the memory's bandwidth unused.
fn floor(group: &mut Group<'_>, matrix: &[u64]) {
    let (front, back) = matrix.split_at(matrix.len() / 2);
    let (a, b) = front.split_at(front.len() / 2);
    let (c, d) = back.split_at(back.len() / 2);
    group.throughput(Throughput::Bytes(size_of_val(matrix) as u64));
    group.bench_function("floor", |bench| {
        bench.iter(|| {
            let [a, b, c, d] = black_box([a, b, c, d]);
            a.iter().zip(b).zip(c).zip(d).fold([0u64; 4], |[s, t, u, v], (((&a, &b), &c), &d)| {
                [s.wrapping_add(a), t.wrapping_add(b), u.wrapping_add(c), v.wrapping_add(d)]
            })
        });
    });
}

fn small(c: &mut Criterion) {
    for (rows, columns) in SHAPES {
        let matrix = smalls(rows * columns);
        let bytes = size_of_val(&matrix[..]);
        let same_bytes = longs(matrix.len().div_ceil(2));

        let v = longs(columns);
        let mut group_ = group(c, "small_times_vector", rows, columns);
        floor(&mut group_, &same_bytes);
        levels(&mut group_, bytes, |level| {
            black_box(level.small_times_vector(black_box(&matrix), &v));
        });
        group_.finish();

        let (v, mut y) = (huges(rows), huges(columns));
        let mut group_ = group(c, "add_small_transposed", rows, columns);
        floor(&mut group_, &same_bytes);
        levels(&mut group_, bytes, |level| {
            level.add_small_transposed(black_box(&matrix), &v, black_box(&mut y));
        });
        group_.finish();
    }
}

fn wide(c: &mut Criterion) {
    for (rows, columns) in SHAPES {
        let low = longs(rows * columns);
        let v = longs(columns);
        let mut group_ = group(c, "matrix_times_vector", rows, columns);
        floor(&mut group_, &low);
        levels(&mut group_, size_of_val(&low[..]), |level| {
            black_box(level.matrix_times_vector(black_box(&low), &v));
        });
        group_.finish();

        let high = smalls(rows * columns);
        let (v, mut y) = (huges(rows), huges(columns));
        let mut group_ = group(c, "add_wide_transposed", rows, columns);
        floor(&mut group_, &longs(rows * columns * 3 / 2));
        levels(&mut group_, 12 * rows * columns, |level| {
            level.add_wide_transposed(black_box(&low), &high, &v, black_box(&mut y));
        });
        group_.finish();
    }
}

fn products(c: &mut Criterion) {
    /// The columns of the right factor: a vector, few, and many.
    const COLUMNS: [usize; 3] = [1, 5, 16];
    for (rows, columns) in SHAPES {
        for n in COLUMNS {
            product(c, rows, columns, n, "z64", Z64);
        }
        product(c, 1, rows, columns, "z64", Z64);
    }
    let (rows, columns) = SHAPES[1];
    for n in COLUMNS {
        product(c, rows, columns, n, "z128", |x| Z128(u128::from(x) * 0x1_0000_0000_0000_000f));
    }
    for (rows, columns) in [(1000, 784), SHAPES[1]] {
        product(c, 1, rows, columns, "z128", |x| Z128(u128::from(x) * 0x1_0000_0000_0000_000f));
    }
}

/// m x k times k x n, measured by the bytes of the larger factor.
fn product<R: Ring>(
    c: &mut Criterion,
    m: usize,
    k: usize,
    n: usize,
    ring: &str,
    element: impl Fn(u64) -> R + Copy,
) {
    let (a, b) = (random(m * k, element), random(k * n, element));
    let mut sums = random(m * n, element);
    let bytes = size_of_val(&a[..]).max(size_of_val(&b[..]));
    let mut group = c.benchmark_group(format!("add_product/{ring}/{m}x{k}x{n}"));
    floor(&mut group, &longs(bytes / 8));
    levels(&mut group, bytes, |level| {
        level.add_product(black_box(&a), black_box(&b), black_box(&mut sums), k, n);
    });
    group.finish();
}

/// Polynomials mod one prime: the transforms, and products of values in sums of few and of many
/// blocks, by the number of products.
fn transforms(c: &mut Criterion) {
    const Q: u64 = 0x3_ffff_ffff_c001;
    for degree in [4096, 8192] {
        let ntt = Ntt::new(Q, degree);
        let mut x = random(degree, |x| x % Q);
        let mut group = c.benchmark_group(format!("ntt/forward/{degree}"));
        for level in Level::available() {
            group
                .bench_function(level.name(), |b| b.iter(|| ntt.forward(level, black_box(&mut x))));
        }
        group.finish();
        let mut group = c.benchmark_group(format!("ntt/inverse/{degree}"));
        for level in Level::available() {
            group
                .bench_function(level.name(), |b| b.iter(|| ntt.inverse(level, black_box(&mut x))));
        }
        group.finish();
        for blocks in [1, 4, 64] {
            let (x, y) = (random(blocks * degree, |x| x % Q), random(blocks * degree, |x| x % Q));
            let mut sums = vec![0; degree];
            let mut group = c.benchmark_group(format!("ntt/add_products/{degree}x{blocks}"));
            group.throughput(Throughput::Elements((blocks * degree) as u64));
            for level in Level::available() {
                group.bench_function(level.name(), |b| {
                    b.iter(|| ntt.add_products(level, black_box(&x), &y, &mut sums));
                });
            }
            group.finish();
        }
    }
}

/// One product of a batch part with the masks of five epochs, among three parties.
fn lattices(c: &mut Criterion) {
    for (name, rows, columns, ring) in [("forward", 43, 100, 64), ("backward", 100, 43, 120)] {
        let shape =
            Shape { rows, columns, vectors: 5, entry_bits: 16, entry_limbs: 1, ring, parties: 3 };
        let plan = Plan::new(shape).expect("fits");
        let set_up = || Sender::generate(plan.params(), b"bench", "bench").expect("randomness");
        let (mut senders, mut owner) =
            (Vec::new(), Owner::new(plan.params(), b"bench", "bench").expect("randomness"));
        let mut inputs = owner.begin(&plan, 0).expect("fits");
        let v: Vec<u128> = huges(columns * 5).iter().map(|v| v >> (128 - ring)).collect();
        for _ in 0..2 {
            let (mut sender, key) = set_up();
            owner.add_key(&key).expect("a key");
            inputs.add(&sender.encrypt(&plan, 0, &v).expect("new")).expect("an input");
            senders.push(sender);
        }
        let matrix = random(rows * columns, |x| (x as i32) >> 16);
        let mut group = c.benchmark_group(format!("rlwe/{name}/{rows}x{columns}x5"));
        let mut index = 0;
        group.bench_function("encrypt", |b| {
            b.iter(|| {
                index += 1;
                senders[0].encrypt(&plan, index, black_box(&v)).expect("new")
            });
        });
        let input = senders[0].encrypt(&plan, index + 1, &v).expect("new");
        group.bench_function("public and inputs", |b| {
            b.iter(|| {
                let mut inputs = owner.begin(&plan, 1).expect("fits");
                inputs.add(&input).expect("an input");
                inputs.add(&input).expect("an input");
                inputs
            });
        });
        let mut message = vec![0; plan.output_bytes()];
        let mut multiply = |message: &mut [u8]| {
            let mut share = vec![0; rows * 5];
            for (block, message) in message.chunks_exact_mut(plan.block_bytes()).enumerate() {
                let range = plan.rows_of(block);
                let entries = &matrix[range.start * columns..range.end * columns];
                let (block, share) = (block..block + 1, &mut share[range.start * 5..range.end * 5]);
                let rows = Rows::new(&plan, block.clone(), Entries::Small(entries)).expect("fits");
                let masks = owner.masks(&plan, block);
                owner.multiply(&inputs, &rows, masks, message, share).expect("complete");
            }
        };
        multiply(&mut message);
        group.bench_function("rows and multiply", |b| b.iter(|| multiply(&mut message)));
        group.bench_function("finish", |b| {
            b.iter(|| senders[0].finish(&plan, 0..plan.row_blocks(), black_box(&message)));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = small, wide, products, transforms, lattices
}
criterion_main!(benches);
