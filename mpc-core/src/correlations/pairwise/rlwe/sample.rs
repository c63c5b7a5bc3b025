//! Secrets, errors and public polynomials.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::params::Params;
use super::words::Words;
use crate::correlations::pairwise::block::{Block, Cipher};
use crate::rand::{Coins, MaskSite, MaskSwitch, Prg, drawn, hash};
use crate::ring::Z128;

/// Blocks that are made at a time.
const CHUNK: usize = 128;

/// A secret stream of words: AES-128 in counter mode under a key of its own. The counter never goes back.
pub(super) struct Stream {
    cipher: Arc<Cipher>,
    next: u64,
    /// Whether a test has switched what this stream is for off.
    off: bool,
}

impl Stream {
    pub(super) fn fresh(site: MaskSite, switch: MaskSwitch, coins: &mut Coins) -> Self {
        let key = Prg::new(&coins.seed("rlwe"), site).elements::<Z128>(1, 128);
        let cipher = Arc::new(Cipher::new(&key[0].0.to_le_bytes()));
        Self { cipher, next: 0, off: switch.is_off(site) }
    }

    fn draw(&mut self, count: usize, of: impl Fn(u64) -> i64) -> Zeroizing<Vec<i64>> {
        let mut out = Zeroizing::new(Vec::with_capacity(count));
        let mut blocks: Zeroizing<[Block; CHUNK]> = Zeroizing::new([[0; 16]; CHUNK]);
        while out.len() < count {
            let now = (count - out.len()).min(2 * CHUNK);
            let used = &mut blocks[..now.div_ceil(2)];
            self.cipher.stream(self.next, used);
            self.next += used.len() as u64;
            let words = used.as_flattened().as_chunks::<8>().0;
            out.extend(words[..now].iter().map(|&word| of(u64::from_le_bytes(word))));
        }
        out
    }

    /// The next `count` words as a stream of their own, which are then behind this one.
    pub(super) fn part(&mut self, count: usize) -> Self {
        let part = Self { cipher: Arc::clone(&self.cipher), next: self.next, off: self.off };
        self.next += count.div_ceil(2) as u64;
        part
    }

    /// A secret, uniform in -1, 0, 1, but for 2^-63.
    pub(super) fn ternary(&mut self, count: usize) -> Zeroizing<Vec<i64>> {
        if self.off { Zeroizing::new(vec![0; count]) } else { self.draw(count, ternary) }
    }

    /// The centred binomial distribution of 2 x 21 coins: variance 10.5, at most 21.
    pub(super) fn errors(&mut self, count: usize) -> Zeroizing<Vec<i64>> {
        if self.off { Zeroizing::new(vec![0; count]) } else { self.draw(count, binomial) }
    }
}

fn ternary(word: u64) -> i64 {
    ((u128::from(word) * 3) >> 64) as i64 - 1
}

fn binomial(word: u64) -> i64 {
    const COINS: u64 = (1 << 21) - 1;
    i64::from((word & COINS).count_ones()) - i64::from((word >> 21 & COINS).count_ones())
}

/// The public polynomials of one session, label and parameter set.
pub(super) struct Common {
    params: Params,
    context: [u8; 32],
}

impl Common {
    pub(super) fn new(params: Params, session: &[u8], label: &str) -> Self {
        let set = [params.degree() as u64, params.limbs() as u64].map(u64::to_le_bytes);
        let context = hash("rlwe", &[session, label.as_bytes(), set.as_flattened()]);
        Self { params, context }
    }

    pub(super) fn params(&self) -> Params {
        self.params
    }

    /// p, under which all keys are made. In the domain of the transform.
    pub(super) fn key(&self) -> Words {
        let mut out = self.params.rns().poly();
        self.expand("rlwe key polynomial", &[], |limb, residues| {
            let at = limb * residues.len();
            out[at..at + residues.len()].copy_from_slice(residues);
        });
        out
    }

    /// a of the ciphertext `number` of the product `index`, limb by limb. In the domain of the
    /// transform.
    pub(super) fn ciphertext(&self, index: u64, number: usize, take: impl FnMut(usize, &[u64])) {
        let which = [index.to_le_bytes(), (number as u64).to_le_bytes()];
        self.expand("rlwe ciphertext polynomial", which.as_flattened(), take);
    }

    /// Uniform residues, by rejection: the polynomial is public.
    fn expand(&self, domain: &str, which: &[u8], mut take: impl FnMut(usize, &[u64])) {
        let digest = hash(domain, &[&self.context, which]);
        drawn::note("polynomials", &digest);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let cipher = Cipher::new(&key);
        let (rns, mut next) = (self.params.rns(), 0);
        let mut blocks = [[0; 16]; CHUNK];
        let mut residues = Vec::with_capacity(self.params.degree() + 2 * CHUNK);
        for limb in 0..self.params.limbs() {
            let q = rns.modulus(limb).value();
            residues.clear();
            while residues.len() < self.params.degree() {
                cipher.stream(next, &mut blocks);
                next += CHUNK as u64;
                let words = blocks.as_flattened().as_chunks::<8>().0;
                let words = words.iter().map(|&word| u64::from_le_bytes(word) >> 14);
                residues.extend(words.filter(|&word| word < q));
            }
            take(limb, &residues[..self.params.degree()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_ternary_and_errors_binomial() {
        let mut coins = Coins::fresh().expect("randomness");
        let mut stream = Stream::fresh(MaskSite::RlweInput, MaskSwitch::default(), &mut coins);
        let count = 1 << 16;
        let ternary = stream.ternary(count);
        for value in -1..=1 {
            let seen = ternary.iter().filter(|&&x| x == value).count() as f64;
            // Standard deviation: 121.
            assert!((seen - count as f64 / 3.0).abs() < 800.0, "{value}: {seen}");
        }
        let errors = stream.errors(count);
        let moment = |power| errors.iter().map(|&x| (x as f64).powi(power)).sum::<f64>();
        let (mean, variance) = (moment(1) / count as f64, moment(2) / count as f64);
        assert!(mean.abs() < 0.1, "{mean}");
        assert!((variance - 10.5).abs() < 0.4, "{variance}");
        assert!(errors.iter().all(|x| x.abs() <= 21));
        assert_eq!((super::ternary(0), super::ternary(u64::MAX)), (-1, 1));
        assert_eq!((binomial(u64::MAX), binomial((1 << 21) - 1)), (0, 21));
    }

    /// Nodes of two versions must have the same polynomials, and the same order of values.
    #[test]
    fn public_polynomials_and_their_order_stay() {
        let common = Common::new(Params::ALL[3], b"session", "forward");
        let digest = |words: &[u64]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            u64::from_le_bytes(*hash("golden", &[&bytes]).first_chunk().expect("32 bytes"))
        };
        let mut key = common.key();
        let mut all = vec![digest(&key)];
        common.ciphertext(3, 4, |_, residues| all.push(digest(residues)));
        Params::ALL[3].rns().inverse(&mut key);
        all.push(digest(&key));
        let due = [
            0xa72e_c0be_4ca1_4682,
            0x5995_6461_2b8b_c7e8,
            0xa32f_302c_d223_bf55,
            0x554b_d838_d2bb_de5e,
            0x4f91_2e15_bbd8_15e4,
            0xb0b1_3374_7996_1e01,
        ];
        assert_eq!(all, due, "{all:#x?}");
    }

    #[test]
    fn public_polynomials_differ_by_everything_that_names_them() {
        let params = Params::ALL[0];
        let first = |common: &Common, index, number| {
            let mut out = Vec::new();
            common.ciphertext(index, number, |_, residues| out.push(residues[..4].to_vec()));
            out
        };
        let common = Common::new(params, b"session", "forward");
        let mut all = vec![
            first(&common, 0, 0),
            first(&common, 1, 0),
            first(&common, 0, 1),
            first(&Common::new(params, b"session", "backward"), 0, 0),
            first(&Common::new(params, b"another", "forward"), 0, 0),
            first(&Common::new(Params::ALL[1], b"session", "forward"), 0, 0),
            params.rns().each(&common.key()).map(|residues| residues[..4].to_vec()).collect(),
        ];
        assert_eq!(all[0], first(&common, 0, 0));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
