//! Words that look alike: a cell that a person takes for a level, and a program does not.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// In what a word differs from the one that it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Difference {
    /// Characters that do not show, such as a zero-width space.
    Invisible,
    /// Spaces.
    Spaces,
    /// Letters that are the same and are encoded in another way: an accent of its own, a wide letter.
    Encoding,
    /// Upper and lower case.
    Case,
    /// Letters of another alphabet.
    Alphabet,
    /// How a number is written.
    Number,
    /// More than one of them.
    Several,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invisible => "characters that do not show, such as a zero-width space",
            Self::Spaces => "its spaces",
            Self::Encoding => "how a letter is encoded (an accent as a character of its own, say)",
            Self::Case => "upper and lower case",
            Self::Alphabet => "a letter of another alphabet that looks the same",
            Self::Number => "how the number is written, such as 1.0 or 01 for 1",
            Self::Several => {
                "more than one of case, spaces, characters that do not show, and the encoding or alphabet of \
                 letters"
            }
        })
    }
}

/// A character that takes no place on a screen.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || (letter.is_control() && !letter.is_whitespace())
}

/// The Latin letter that a Greek or Cyrillic one looks like.
fn latin(letter: char) -> char {
    const LOOKS: &[(&str, &str)] = &[
        ("АВЕЗКМНОРСТУХІЈЅ", "ABE3KMHOPCTYXIJS"),
        ("асеорухіјѕһԁ", "aceopyxijshd"),
        ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"),
        ("ονι", "ovi"),
    ];
    let find =
        |(from, to): &(&str, &str)| from.chars().zip(to.chars()).find(|(from, _)| *from == letter);
    LOOKS.iter().find_map(find).map_or(letter, |(_, to)| to)
}

type Fold = fn(&str) -> String;

const FOLDS: [(Difference, Fold); 5] = [
    (Difference::Invisible, |word| word.chars().filter(|letter| !is_invisible(*letter)).collect()),
    (Difference::Spaces, |word| word.split_whitespace().collect::<Vec<_>>().concat()),
    (Difference::Encoding, |word| word.nfkc().collect()),
    (Difference::Case, |word| word.to_lowercase()),
    (Difference::Alphabet, |word| word.chars().map(latin).collect()),
];

/// All of them. Letters of other alphabets first: not every small letter looks like one of these.
fn folded(word: &str) -> String {
    [0, 1, 2, 4, 3].iter().fold(word.to_owned(), |word, &at| FOLDS[at].1(&word))
}

fn number(word: &str) -> Option<f64> {
    let written =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    word.bytes().all(written).then(|| word.parse().ok()).flatten()
}

/// The word of `words` that `cell`, which is none of them, looks like, and in what it differs. None where it
/// looks like none, or like several.
#[must_use]
pub fn look_alike<'w>(
    cell: &str,
    words: &(impl Iterator<Item = &'w str> + Clone),
) -> Option<(&'w str, Difference)> {
    let only = |same: &dyn Fn(&str) -> bool| {
        let mut found = words.clone().filter(|word| same(word));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    };
    for (difference, fold) in FOLDS {
        let own = fold(cell);
        if let Some(word) = only(&|word| fold(word) == own) {
            return Some((word, difference));
        }
    }
    if let Some(own) = number(cell) {
        return only(&|word| number(word) == Some(own)).map(|word| (word, Difference::Number));
    }
    let own = folded(cell);
    if own.is_empty() {
        return None;
    }
    only(&|word| folded(word) == own).map(|word| (word, Difference::Several))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_told_which_one_was_meant() {
        let like = |cell: &str, words: &[&'static str]| look_alike(cell, &words.iter().copied());
        let sexes = ["F", "M"];
        assert_eq!(like("f", &sexes), Some(("F", Difference::Case)));
        assert_eq!(like("M\u{200b}", &sexes), Some(("M", Difference::Invisible)));
        assert_eq!(like("\u{41c}", &sexes), Some(("M", Difference::Alphabet)));
        assert_eq!(like("\u{ff2d}", &sexes), Some(("M", Difference::Encoding)));
        assert_eq!(like("m\u{200b}", &sexes), Some(("M", Difference::Several)));
        assert_eq!(
            like("caf\u{65}\u{301}", &["caf\u{e9}"]),
            Some(("caf\u{e9}", Difference::Encoding))
        );
        assert_eq!(like("stage  2", &["stage 2"]), Some(("stage 2", Difference::Spaces)));
        for cell in ["1.0", "01", "+1", "1e0"] {
            assert_eq!(like(cell, &["0", "1"]), Some(("1", Difference::Number)), "{cell}");
        }
        // Like none, or like more than one.
        for (cell, words) in
            [("x", &sexes[..]), ("\u{200b}", &sexes), ("Ab", &["ab", "AB"]), ("1", &["1.0", "01"])]
        {
            assert_eq!(like(cell, words), None, "{cell:?}");
        }
        // The nearer one is meant where there is one.
        assert_eq!(like("f\u{200b}", &["f", "F"]), Some(("f", Difference::Invisible)));
    }
}
