//! The six words of a node, which operators compare by telephone.

use std::fmt;

use crate::identity::Fingerprint;

/// The English word list of BIP-39 (Palatinus, Rusnak, Voisine, Bowe 2013; MIT): 2048 words, each known by its
/// first four letters.
const LIST: &str = include_str!("words.txt");

/// How many words a node has.
const WORDS: usize = 6;

/// Bits of a word.
const BITS: usize = 11;

/// The six words of a key: 66 bits of a hash of it (docs/protocols.md 0, Introduction).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words([&'static str; WORDS]);

impl Words {
    /// The words of a key.
    #[must_use]
    pub fn of(key: &Fingerprint) -> Self {
        let hash = mpc_core::rand::hash("words of a node 1", &[key.as_bytes()]);
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        let bits = u128::from_be_bytes(first);
        let list: Vec<&'static str> = LIST.lines().collect();
        let word = |index: usize| {
            let number = bits >> (128 - BITS * (index + 1)) & ((1 << BITS) - 1);
            list.get(number as usize).copied().unwrap_or_default()
        };
        Self(std::array::from_fn(word))
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The words of nodes in the order of their keys, so that any two screens that know the same nodes show
/// the same lines.
#[must_use]
pub fn table(nodes: &[(&str, Fingerprint)]) -> String {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(|(_, key)| *key.as_bytes());
    let width = nodes.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    // The longest six words have 8 letters each.
    let line = |(name, key): &(&str, Fingerprint)| {
        let words = Words::of(key);
        if width <= 20 {
            format!("  {name:width$}  {words}\n")
        } else {
            format!("  {name}\n    {words}\n")
        }
    };
    nodes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_is_that_of_bip_39() {
        let digest = ring::digest::digest(&ring::digest::SHA256, LIST.as_bytes());
        assert_eq!(
            crate::output::hex(digest.as_ref()),
            "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
        );
        let words: Vec<&str> = LIST.lines().collect();
        assert_eq!(words.len(), 1 << BITS);
        let heads: BTreeSet<&str> =
            words.iter().map(|word| word.get(..4).unwrap_or(word)).collect();
        assert_eq!(heads.len(), words.len());
        assert!(words.iter().all(|word| word.len() <= 8));
    }

    #[test]
    fn words_are_66_bits_of_the_key() {
        let key =
            |byte: u8| format!("ed25519:{}", format!("{byte:02x}").repeat(32)).parse().unwrap();
        let (a, b): (Fingerprint, Fingerprint) = (key(1), key(2));
        assert_eq!(Words::of(&a), Words::of(&a));
        assert_ne!(Words::of(&a), Words::of(&b));
        // Computed apart, from the definition in docs/protocols.md.
        let hash = mpc_core::rand::hash("words of a node 1", &[a.as_bytes()]);
        let bits: String = hash.iter().map(|byte| format!("{byte:08b}")).collect();
        let list: Vec<&str> = LIST.lines().collect();
        let words: Vec<&str> = (0..6)
            .map(|at| list[usize::from_str_radix(&bits[11 * at..11 * (at + 1)], 2).unwrap()])
            .collect();
        assert_eq!(Words::of(&a).to_string(), words.join(" "));
        // Every word moves with the key.
        let all: Vec<Words> = (0..40).map(|byte| Words::of(&key(byte))).collect();
        for place in 0..WORDS {
            assert!(all.iter().map(|words| words.0[place]).collect::<BTreeSet<_>>().len() > 30);
        }
    }

    #[test]
    fn both_screens_show_the_same_lines() {
        let key =
            |byte: u8| format!("ed25519:{}", format!("{byte:02x}").repeat(32)).parse().unwrap();
        let (a, b) = (("bank-a", key(9)), ("b", key(3)));
        assert_eq!(table(&[a, b]), table(&[b, a]));
        assert!(table(&[a, b]).starts_with("  b       "));
        let long = "x".repeat(64);
        assert!(table(&[(&long, key(1))]).lines().all(|line| line.len() <= 80));
    }
}
