//! Whether what a coalition sees is uniform: jointly, not only message by message.
//!
//! A mask that is used twice leaves each message uniform for itself; what gives it away is the
//! difference of the two. So besides every message this looks at sums and differences of all pairs
//! of messages of one run, of neighbouring elements, and of consecutive runs.
//!
//! False alarms: a chi-square statistic of k degrees of freedom exceeds k + 2 sqrt(k t) + 2 t with
//! probability at most e^-t (Laurent and Massart, 2000). The limits below stand at t above 30, which
//! is 1e-13 for one statistic; at some thousands of them a whole test run stays below 1e-9.
#![allow(dead_code, clippy::unwrap_used)]

use mpc_core::rand::hash;

/// For 15 degrees of freedom.
const LIMIT_NIBBLE: f64 = 130.0;
/// For 255 degrees of freedom.
const LIMIT_BYTE: f64 = 520.0;

/// Messages of one kind: for each run, for each message, its elements mod 2^bits. All runs have the
/// same messages, and all messages the same length.
pub type Runs = Vec<Vec<Vec<u128>>>;

/// The largest value mod 2^bits.
pub const fn ring(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// Whether the messages are jointly uniform mod 2^`bits`; the error says what is not.
pub fn uniform(what: &str, bits: u32, runs: &Runs) -> Result<(), String> {
    let messages = runs.first().map_or(0, Vec::len);
    assert!(runs.len() > 1 && messages > 0 && runs.iter().all(|run| run.len() == messages));
    let length = runs[0][0].len();
    assert!(length > 0 && runs.iter().flatten().all(|message| message.len() == length));
    let all = |f: &dyn Fn(&[Vec<u128>], usize) -> u128| -> Vec<u128> {
        runs.iter().flat_map(|run| (0..length).map(move |i| f(run, i) & ring(bits))).collect()
    };
    for a in 0..messages {
        law(&format!("{what}: message {a}"), bits, &all(&|run, i| run[a][i]))?;
        if length > 1 {
            let next = |run: &[Vec<u128>], i: usize| run[a][(i + 1) % length];
            let words = all(&|run, i| next(run, i).wrapping_sub(run[a][i]));
            law(&format!("{what}: neighbours in message {a}"), bits, &words)?;
        }
        let words: Vec<u128> = runs
            .windows(2)
            .flat_map(|pair| pair[1][a].iter().zip(&pair[0][a]))
            .map(|(x, y)| x.wrapping_sub(*y) & ring(bits))
            .collect();
        law(&format!("{what}: message {a} of two runs"), bits, &words)?;
        for b in 0..a {
            let words = all(&|run, i| run[a][i].wrapping_sub(run[b][i]));
            law(&format!("{what}: difference of messages {b} and {a}"), bits, &words)?;
            let words = all(&|run, i| run[a][i].wrapping_add(run[b][i]));
            law(&format!("{what}: sum of messages {b} and {a}"), bits, &words)?;
        }
    }
    Ok(())
}

/// Whether every nibble of the words is uniform (counted from the low end and from the high end),
/// and all bytes together.
fn law(what: &str, bits: u32, words: &[u128]) -> Result<(), String> {
    // Fewer than some hundred samples would not show anything.
    assert!(words.len() >= 640, "{what}: {} samples are too few", words.len());
    let skew = bits % 4;
    for (name, shift) in [("low", 0), ("high", skew)] {
        for place in 0..bits / 4 {
            let at = shift + 4 * place;
            let counted = count::<16>(words.iter().map(|word| (word >> at) as usize & 15));
            if counted > LIMIT_NIBBLE {
                return Err(format!("{what}: bits {at} to {} are not uniform ({name})", at + 3));
            }
        }
        if skew == 0 {
            break;
        }
    }
    let width = bits / 8;
    let bytes =
        words.iter().flat_map(|word| (0..width).map(move |at| (word >> (8 * at)) as usize & 255));
    if words.len() * width as usize >= 256 * 40 && count::<256>(bytes) > LIMIT_BYTE {
        return Err(format!("{what}: bytes are not uniform"));
    }
    Ok(())
}

/// The chi-square statistic of samples that should be uniform below `K`.
fn count<const K: usize>(samples: impl Iterator<Item = usize>) -> f64 {
    let mut counts = [0u64; K];
    let mut total = 0u64;
    for sample in samples {
        counts[sample] += 1;
        total += 1;
    }
    let expected = total as f64 / K as f64;
    counts.iter().map(|&n| (n as f64 - expected) * (n as f64 - expected) / expected).sum()
}

/// Test data that does not come from a mask: fixed words mod 2^`bits` for a label and a number.
pub fn fixed(label: &str, number: usize, count: usize, bits: u32) -> Vec<u128> {
    (0..count as u64)
        .map(|i| {
            let parts = [label.as_bytes(), &number.to_le_bytes()[..], &i.to_le_bytes()];
            let word = hash("test data", &parts);
            u128::from_le_bytes(word[..16].try_into().unwrap()) & ring(bits)
        })
        .collect()
}

/// Payload bytes as elements mod 2^`bits`.
pub fn words(bytes: &[u8], bits: u32) -> Vec<u128> {
    let width = bits.div_ceil(8) as usize;
    assert!(bytes.len().is_multiple_of(width));
    bytes
        .chunks_exact(width)
        .map(|chunk| {
            let mut word = [0; 16];
            word[..width].copy_from_slice(chunk);
            u128::from_le_bytes(word)
        })
        .collect()
}

/// The checker itself: it accepts uniform messages, and notices what it is for.
pub fn check_the_checker() {
    const BITS: u32 = 98;
    const LENGTH: usize = 64;
    let masks = |run: usize, message: usize| fixed("mask", 16 * run + message, LENGTH, BITS);
    let secret = |message: usize| fixed("secret", message, LENGTH, BITS);
    let runs = |f: &dyn Fn(usize, usize) -> Vec<u128>| -> Runs {
        (0..40).map(|run| (0..3).map(|message| f(run, message)).collect()).collect()
    };
    let add = |a: Vec<u128>, b: Vec<u128>| -> Vec<u128> {
        a.iter().zip(&b).map(|(a, b)| a.wrapping_add(*b) & ring(BITS)).collect()
    };
    uniform("good", BITS, &runs(&|run, m| add(secret(m), masks(run, m)))).expect("uniform");

    let seen = |what: &str, f: &dyn Fn(usize, usize) -> Vec<u128>| {
        assert!(uniform(what, BITS, &runs(f)).is_err(), "{what} was not noticed");
    };
    // Every message below is uniform for itself, or nearly so.
    seen("a mask used for two messages", &|run, m| add(secret(m), masks(run, m.min(1))));
    seen("a mask used with both signs", &|run, m| {
        let mask = masks(run, m.min(1));
        if m < 2 { mask } else { mask.iter().map(|v| v.wrapping_neg() & ring(BITS)).collect() }
    });
    seen("a mask used for all elements", &|run, m| add(secret(m), vec![masks(run, m)[0]; LENGTH]));
    seen("a mask used in every run", &|_, m| add(secret(m), masks(0, m)));
    seen("a mask that is two bits short", &|run, m| {
        add(secret(m), masks(run, m)).iter().map(|v| v >> 2).collect()
    });
    seen("a mask that lacks its lowest bit", &|run, m| {
        masks(run, m).iter().map(|v| v & !1).collect()
    });
    seen("no mask", &|_, m| secret(m));
}
