//! Every level of the kernels against the definition and against the portable loops.

use mpc_core::ring::kernels::ntt::{Ntt, SMALLEST_DEGREE, panels_mut};
use mpc_core::ring::kernels::{self, Level};
use mpc_core::ring::{Ring, Z64, Z128};
use proptest::collection::vec;
use proptest::prelude::*;

/// Extreme values as often as others.
fn small() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), Just(-1), Just(0), Just(1)]
}

fn long() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 63), Just(0x8000_0000), Just(0)]
}

fn huge() -> impl Strategy<Value = u128> {
    prop_oneof![any::<u128>(), Just(u128::MAX), Just(1 << 127), Just((1 << 52) - 1), Just(0)]
}

/// Both sides of every block and panel.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..=20, 30usize..=35, 62usize..=67]
}

fn times_vector<M: Copy>(matrix: &[M], v: &[u64], product: impl Fn(M, u64) -> u64) -> Vec<u64> {
    let row =
        |row: &[M]| row.iter().zip(v).fold(0, |sum: u64, (&m, &x)| sum.wrapping_add(product(m, x)));
    matrix.chunks(v.len().max(1)).map(row).collect()
}

fn small_product(m: i32, x: u64) -> u64 {
    (i64::from(m) as u64).wrapping_mul(x)
}

fn transposed(matrix: &[u128], v: &[u128], y: &[u128]) -> Vec<u128> {
    let mut y = y.to_vec();
    for (row, &x) in matrix.chunks(y.len().max(1)).zip(v) {
        for (y, &m) in y.iter_mut().zip(row) {
            *y = y.wrapping_add(m.wrapping_mul(x));
        }
    }
    y
}

fn widened(matrix: &[i32]) -> Vec<u128> {
    matrix.iter().map(|&m| i128::from(m) as u128).collect()
}

fn wide(low: &[u64], high: &[i32]) -> Vec<u128> {
    low.iter()
        .zip(high)
        .map(|(&low, &high)| u128::from(low) | (i128::from(high) as u128) << 64)
        .collect()
}

fn product<R: Ring>(a: &[R], b: &[R], c: &[R], k: usize, n: usize) -> Vec<R> {
    let mut c = c.to_vec();
    for (a, c) in a.chunks(k.max(1)).zip(c.chunks_mut(n.max(1))) {
        for (&a, b) in a.iter().zip(b.chunks(n.max(1))) {
            for (c, &b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
    c
}

fn check_transposed(matrix: &[i32], v: &[u128], y: &[u128]) {
    let expected = transposed(&widened(matrix), v, y);
    for level in Level::available() {
        let mut sums = y.to_vec();
        level.add_small_transposed(matrix, v, &mut sums);
        assert!(sums == expected, "{} at {} x {}", level.name(), v.len(), y.len());
    }
}

fn check_wide_transposed(low: &[u64], high: &[i32], v: &[u128], y: &[u128]) {
    let expected = transposed(&wide(low, high), v, y);
    for level in Level::available() {
        let mut sums = y.to_vec();
        level.add_wide_transposed(low, high, v, &mut sums);
        assert!(sums == expected, "{} at {} x {}", level.name(), v.len(), y.len());
    }
}

fn check_product<R: Ring>(a: &[R], b: &[R], c: &[R], k: usize, n: usize) {
    let expected = product(a, b, c, k, n);
    for level in Level::available() {
        let mut sums = c.to_vec();
        level.add_product(a, b, &mut sums, k, n);
        assert!(sums == expected, "{}, k = {k}, n = {n}", level.name());
    }
}

/// (rows, columns, a matrix of them, a vector)
fn matrix_and<M: std::fmt::Debug, V: std::fmt::Debug>(
    entry: impl Strategy<Value = M> + Clone,
    value: impl Strategy<Value = V> + Clone,
    by_row: bool,
) -> impl Strategy<Value = (usize, usize, Vec<M>, Vec<V>)> {
    (size(), size()).prop_flat_map(move |(rows, columns)| {
        let length = if by_row { rows } else { columns };
        (Just(rows), Just(columns), vec(entry.clone(), rows * columns), vec(value.clone(), length))
    })
}

proptest! {
    #[test]
    fn small_times_vector_is_the_same_at_every_level(
        (_, _, matrix, v) in matrix_and(small().boxed(), long().boxed(), false),
    ) {
        let expected = times_vector(&matrix, &v, small_product);
        prop_assert_eq!(&kernels::small_times_vector(&matrix, &v), &expected);
        for level in Level::available() {
            prop_assert_eq!(&level.small_times_vector(&matrix, &v), &expected, "{}", level.name());
        }
    }

    #[test]
    fn matrix_times_vector_is_the_same_at_every_level(
        (_, _, matrix, v) in matrix_and(long().boxed(), long().boxed(), false),
    ) {
        let expected = times_vector(&matrix, &v, u64::wrapping_mul);
        prop_assert_eq!(&kernels::matrix_times_vector(&matrix, &v), &expected);
        for level in Level::available() {
            prop_assert_eq!(&level.matrix_times_vector(&matrix, &v), &expected, "{}", level.name());
        }
    }

    #[test]
    fn add_small_transposed_is_the_same_at_every_level(
        (_, columns, matrix, v) in matrix_and(small().boxed(), huge().boxed(), true),
        start in huge(),
    ) {
        let y: Vec<u128> = (0..columns as u128).map(|i| start.wrapping_add(i)).collect();
        check_transposed(&matrix, &v, &y);
        let mut sums = y.clone();
        kernels::add_small_transposed(&matrix, &v, &mut sums);
        prop_assert_eq!(sums, transposed(&widened(&matrix), &v, &y));
    }

    #[test]
    fn add_wide_transposed_is_the_same_at_every_level(
        (_, columns, matrix, v) in
            matrix_and((long(), small()).boxed(), huge().boxed(), true),
        start in huge(),
    ) {
        let (low, high): (Vec<u64>, Vec<i32>) = matrix.into_iter().unzip();
        let y: Vec<u128> = (0..columns as u128).map(|i| start.wrapping_add(i)).collect();
        check_wide_transposed(&low, &high, &v, &y);
        let mut sums = y.clone();
        kernels::add_wide_transposed(&low, &high, &v, &mut sums);
        prop_assert_eq!(sums, transposed(&wide(&low, &high), &v, &y));
    }

    #[test]
    fn add_product_is_the_same_at_every_level(
        (k, n, b, _) in matrix_and(huge().boxed(), Just(()).boxed(), false),
        m in 0usize..=9,
        values in vec(huge(), 16),
    ) {
        let fill = |count: usize| -> Vec<u128> {
            (0..count).map(|i| values[i % 16].wrapping_mul(i as u128 | 1)).collect()
        };
        let (a, c) = (fill(m * k), fill(m * n));
        let wide = |values: &[u128]| -> Vec<Z128> { values.iter().map(|&v| Z128(v)).collect() };
        let narrow = |values: &[u128]| -> Vec<Z64> {
            values.iter().map(|&v| Z64((v >> 32) as u64)).collect()
        };
        check_product(&wide(&a), &wide(&b), &wide(&c), k, n);
        check_product(&narrow(&a), &narrow(&b), &narrow(&c), k, n);
        let mut sums = narrow(&c);
        kernels::add_product(&narrow(&a), &narrow(&b), &mut sums, k, n);
        prop_assert!(sums == product(&narrow(&a), &narrow(&b), &narrow(&c), k, n));
        let mut sums = wide(&c);
        kernels::add_product(&wide(&a), &wide(&b), &mut sums, k, n);
        prop_assert!(sums == product(&wide(&a), &wide(&b), &wide(&c), k, n));
    }
}

/// The sums between two foldings must hold the largest products there are.
#[test]
fn many_rows_of_extreme_values_do_not_overflow() {
    for rows in [247, 248, 249, 1023, 1024, 1025, 5000, 40_000] {
        for columns in [1, 8, 13] {
            if rows > 5000 && columns == 8 {
                continue;
            }
            let y = vec![3; columns];
            for x in [u128::MAX, 1 << 127, (1 << 104) - 1] {
                let v = vec![x; rows];
                for m in [i32::MIN, i32::MAX, -1] {
                    let high = vec![m; rows * columns];
                    check_transposed(&high, &v, &y);
                    check_wide_transposed(&vec![u64::MAX; rows * columns], &high, &v, &y);
                }
            }
        }
    }
}

#[test]
fn long_products_of_extreme_values_do_not_overflow() {
    for k in [1023, 1024, 1025, 3000, 8191, 8193, 20_000] {
        for n in [1, 9] {
            for m in [1, 5] {
                let of = |count| vec![Z128(u128::MAX); count];
                check_product(&of(m * k), &of(k * n), &of(m * n), k, n);
                let of = |count| vec![Z64(u64::MAX); count];
                check_product(&of(m * k), &of(k * n), &of(m * n), k, n);
            }
        }
    }
}

#[test]
fn the_portable_level_can_be_forced() {
    let forced = std::env::var_os("MPC_PORTABLE").is_some_and(|value| value == "1");
    let best = Level::available().pop().expect("the portable level always exists");
    assert_eq!(Level::of_processor(), if forced { Level::Portable } else { best });
}

#[test]
#[should_panic(expected = "whole rows")]
fn a_row_that_breaks_off_is_refused() {
    let _ = kernels::small_times_vector(&[1, 2, 3], &[1, 2]);
}

#[test]
#[should_panic(expected = "B is k x n")]
fn a_factor_of_another_shape_is_refused() {
    kernels::add_product(&[Z64(1); 2], &[Z64(1); 3], &mut [Z64(0)], 2, 1);
}

/// Two primes that are 1 mod 2^14, and the least above 2^49.
const PRIMES: [u64; 3] = [0x3_ffff_ffff_c001, 0x3_ffff_ffe9_4001, 0x2_0000_000a_4001];

fn degree() -> impl Strategy<Value = usize> {
    prop_oneof![(5u32..=10).prop_map(|bits| 1 << bits), Just(4096), Just(8192)]
}

/// Words that look random; their low bits less so.
fn words(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state
    }
}

/// Residues, the extreme ones as often as others.
fn residues(q: u64, count: usize, seed: u64) -> Vec<u64> {
    let mut words = words(seed);
    let mut next = || words() >> 12;
    (0..count)
        .map(|_| match next() % 4 {
            0 => 0,
            1 => q - 1,
            _ => next() % q,
        })
        .collect()
}

/// x y mod (X^n + 1, q) by definition.
fn negacyclic(q: u64, x: &[u64], y: &[u64]) -> Vec<u64> {
    let (n, q) = (x.len(), u128::from(q));
    let mut out = vec![0u128; n];
    for (i, &x) in x.iter().enumerate() {
        for (j, &y) in y.iter().enumerate() {
            let product = u128::from(x) * u128::from(y) % q;
            let to = &mut out[(i + j) % n];
            *to = if i + j < n { *to + product } else { *to + q - product } % q;
        }
    }
    out.into_iter().map(|x| x as u64).collect()
}

#[test]
fn transforms_multiply_polynomials() {
    for q in PRIMES {
        for degree in [SMALLEST_DEGREE, 64, 256] {
            let ntt = Ntt::new(q, degree);
            let (x, y) = (residues(q, degree, 1), residues(q, degree, 2));
            let due = negacyclic(q, &x, &y);
            for level in Level::available() {
                let (mut x, mut y) = (x.clone(), y.clone());
                ntt.forward(level, &mut x);
                ntt.forward(level, &mut y);
                let mut product = vec![0; degree];
                ntt.add_products(level, &x, &y, &mut product);
                ntt.inverse(level, &mut product);
                assert!(product == due, "{q} {degree} {}", level.name());
            }
        }
    }
}

/// A polynomial in a power of x has each value of a smaller transform several times.
#[test]
fn transforms_of_polynomials_in_powers_are_those_of_all_coefficients() {
    for q in PRIMES {
        for (degree, stride, count) in [(64, 1, 1), (64, 2, 3), (256, 32, 5), (256, 256, 2)] {
            let ntt = Ntt::new(q, degree);
            let mut values = residues(q, degree / stride * count, 5);
            let few = values.clone();
            ntt.forward_few(count, &mut values);
            for which in 0..count {
                let of = |all: &[u64]| -> Vec<u64> {
                    all.iter().copied().skip(which).step_by(count).collect()
                };
                let mut due = vec![0; degree];
                due.iter_mut().step_by(stride).zip(of(&few)).for_each(|(to, from)| *to = from);
                ntt.forward(Level::Portable, &mut due);
                let values: Vec<u64> =
                    of(&values).into_iter().flat_map(|x| std::iter::repeat_n(x, stride)).collect();
                assert!(values == due, "{q} {degree} {stride}");
            }
        }
    }
}

#[test]
fn panels_of_several_polynomials_meet_their_own() {
    let (q, degree, count) = (PRIMES[0], 128, 3);
    let ntt = Ntt::new(q, degree);
    let (x, y) = (residues(q, count * degree, 3), residues(q, count * degree, 4));
    let by_panel = |x: &[u64]| {
        let mut out = vec![0; x.len()];
        for (which, poly) in x.chunks_exact(degree).enumerate() {
            for (to, from) in panels_mut(&mut out, count, which).zip(poly.as_chunks().0) {
                *to = *from;
            }
        }
        out
    };
    for level in Level::available() {
        let (mut one_by_one, mut together) = (vec![0; degree], vec![0; degree]);
        for (x, y) in x.chunks_exact(degree).zip(y.chunks_exact(degree)) {
            ntt.add_products(level, x, y, &mut one_by_one);
        }
        ntt.add_products(level, &by_panel(&x), &by_panel(&y), &mut together);
        assert!(one_by_one == together, "{}", level.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn transforms_agree_bit_for_bit(degree in degree(), prime in 0usize..3, seed: u64) {
        let ntt = Ntt::new(PRIMES[prime], degree);
        let x = residues(PRIMES[prime], degree, seed);
        let mut due = x.clone();
        ntt.forward(Level::Portable, &mut due);
        prop_assert!(due.iter().all(|&x| x < PRIMES[prime]));
        for level in Level::available() {
            let mut values = x.clone();
            ntt.forward(level, &mut values);
            prop_assert!(values == due, "{} {}", degree, level.name());
            ntt.inverse(level, &mut values);
            prop_assert!(values == x, "{} {}", degree, level.name());
        }
    }

    #[test]
    fn products_of_values_are_those_of_the_definition(
        prime in 0usize..3,
        // Both sides of where a sum is reduced in between.
        count in prop_oneof![0usize..5, 60usize..70, 1022usize..1027, Just(2100)],
        extreme: bool,
        seed: u64,
    ) {
        let (q, degree) = (PRIMES[prime], SMALLEST_DEGREE);
        let ntt = Ntt::new(q, degree);
        let values = |seed| {
            if extreme { vec![q - 1; count * degree] } else { residues(q, count * degree, seed) }
        };
        let (x, y) = (values(seed), values(!seed));
        let start = residues(q, degree, seed ^ 7);
        let due: Vec<u64> = (0..degree)
            .map(|at| {
                // The degree is one panel.
                let products = (0..count).map(|i| {
                    u128::from(x[i * degree + at]) * u128::from(y[i * degree + at])
                });
                (products.fold(u128::from(start[at]), |sum, product| {
                    (sum + product) % u128::from(q)
                })) as u64
            })
            .collect();
        for level in Level::available() {
            let mut out = start.clone();
            ntt.add_products(level, &x, &y, &mut out);
            prop_assert!(out == due, "{} {}", count, level.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Several sums at once, of values that fill panels, beside sums of whole polynomials.
    #[test]
    fn products_with_repeated_values_are_those_of_whole_polynomials(
        prime in 0usize..3,
        stride in prop_oneof![Just(32usize), Just(64), Just(256)],
        sums in 1usize..4,
        count in prop_oneof![1usize..5, 1022usize..1027],
        extreme: bool,
        seed: u64,
    ) {
        const DEGREE: usize = 256;
        let (q, few) = (PRIMES[prime], DEGREE / stride);
        let ntt = Ntt::new(q, DEGREE);
        let values = |len, seed| if extreme { vec![q - 1; len] } else { residues(q, len, seed) };
        let x = values(sums * few * count, seed);
        let y = values(count * DEGREE, !seed);
        let start = residues(q, sums * DEGREE, seed ^ 7);
        let mut due = start.clone();
        for (x, due) in x.chunks_exact(few * count).zip(due.chunks_exact_mut(DEGREE)) {
            let mut whole = vec![0; count * DEGREE];
            for which in 0..count {
                for (to, at) in panels_mut(&mut whole, count, which).flatten().zip(0..) {
                    *to = x[at / stride * count + which];
                }
            }
            ntt.add_products(Level::Portable, &whole, &y, due);
        }
        for level in Level::available() {
            let mut out = start.clone();
            ntt.add_few_products(level, count, &x, &y, &mut out);
            prop_assert!(out == due, "{} {}", count, level.name());
        }
    }
}

proptest! {
    #[test]
    fn limb_sums_are_those_of_the_definition(
        pairs in 1usize..20,
        blocks in 1usize..8,
        seed: u64,
        extreme: bool,
    ) {
        use mpc_core::ring::kernels::limbs::{LANES, Sums, Tables};
        let mut words = words(seed);
        let mut next = || (words() >> 40) as i16;
        let leaves = 2 * pairs;
        let mut table = || -> Vec<[i16; LANES]> {
            (0..leaves * blocks).map(|_| [(); LANES].map(|()| next() % 512)).collect()
        };
        let (f, g) = (table(), table());
        let limbs: Vec<[i16; LANES]> = (0..leaves * blocks)
            .map(|_| [(); LANES].map(|()| if extreme { i16::MIN } else { next() }))
            .collect();
        let streams: Vec<[u8; 16]> = limbs
            .iter()
            .map(|limbs| {
                let bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
                bytes.try_into().expect("eight limbs")
            })
            .collect();
        let mut due = vec![[[0i32; LANES]; 3]; blocks];
        for place in 0..leaves * blocks {
            for lane in 0..LANES {
                let s = i32::from(limbs[place][lane]);
                let due = &mut due[place % blocks];
                due[0][lane] += s;
                due[1][lane] += s * i32::from(f[place][lane]);
                due[2][lane] += s * i32::from(g[place][lane]);
            }
        }
        let tables = Tables::new(blocks, [&f, &g]);
        for level in Level::available() {
            let mut out: Vec<Sums> = Vec::new();
            tables.sums(level, &streams, &mut out);
            prop_assert_eq!(&out, &due, "{}", level.name());
        }
    }

    #[test]
    fn gram_sums_are_those_of_the_integers(
        rows in 1usize..40,
        groups in 0usize..4,
        more in 0usize..3,
        bits in 0u32..23,
        seed: u64,
        extreme: bool,
    ) {
        use mpc_core::ring::kernels::gram::{self, Four, TILE, Tile};
        let mut words = words(seed);
        let mut next = || {
            // With 22 bits each, 64 products are within the bound, whatever their signs.
            let largest = 1i64 << bits;
            let word = words();
            if extreme { largest } else { (word >> 32) as i64 % (largest + 1) - largest / 2 }
        };
        let mut matrix = |groups: usize| -> Vec<Four> {
            (0..groups * rows).map(|_| [(); TILE].map(|()| next() as f64)).collect()
        };
        let (a, b) = (matrix(groups), [matrix(groups + more), matrix(groups + more)]);
        let before = [[-7i64; TILE]; TILE];
        let mut due = Vec::new();
        for b in &b {
            for i in 0..groups {
                for j in i..groups + more {
                    let mut tile = before;
                    for (i, line) in tile.iter_mut().enumerate().map(|(k, line)| ((i, k), line)) {
                        for (k, sum) in line.iter_mut().enumerate() {
                            for row in 0..rows {
                                let (a, b) = (a[i.0 * rows + row][i.1], b[j * rows + row][k]);
                                *sum += a as i64 * b as i64;
                            }
                        }
                    }
                    due.push(tile);
                }
            }
        }
        let tiles = gram::tiles(groups, groups + more);
        prop_assert_eq!(due.len(), 2 * tiles);
        for level in Level::available() {
            let mut sums: Vec<Tile> = vec![before; 2 * tiles];
            let (first, second) = sums.split_at_mut(tiles);
            gram::add(level, rows, &a, [&b[0], &b[1]], [first, second]);
            prop_assert_eq!(&sums, &due, "{}", level.name());
        }
    }
}
