//! Words that exports have in many places, by which they are known: these may be named, since the program has them itself.

/// What stands beside numbers. The longer first, where one begins like another.
const UNITS: &[&str] = &[
    "EUR", "USD", "GBP", "CHF", "PLN", "CZK", "DKK", "NOK", "SEK", "€", "$", "£", "¥", "zł", "Kč",
    "kr.", "kr", "Fr.", "years", "yrs", "Jahre", "anni", "años", "ans", "jaar", "lat", "days",
    "Tage", "mmHg", "kg", "cm", "mg",
];

/// How the first cell of a line that is no row is written; `#` stands for a number, `---` for any line of dashes.
const NO_ROWS: &[&str] = &[
    "---",
    "summe",
    "gesamt",
    "gesamtsumme",
    "insgesamt",
    "zwischensumme",
    "total",
    "totals",
    "grand total",
    "subtotal",
    "sum",
    "somme",
    "sous-total",
    "total général",
    "totale",
    "suma",
    "razem",
    "totaal",
    "totalt",
    "i alt",
    "yhteensä",
    "összesen",
    "celkem",
    "(# rows)",
    "(# row)",
    "(# rows affected)",
    "(# row(s) affected)",
    "(# row affected)",
    "# rows selected.",
    "# rows",
];

/// Words of one meaning in two classes.
const PAIRS: &[[&[&str]; 2]] = &[
    [
        &[
            "yes",
            "y",
            "ja",
            "j",
            "oui",
            "si",
            "sí",
            "sì",
            "sim",
            "tak",
            "da",
            "ano",
            "true",
            "wahr",
            "vrai",
            "verdadero",
            "vero",
        ],
        &[
            "no", "n", "nein", "non", "nie", "nee", "não", "nej", "ne", "false", "falsch", "faux",
            "falso",
        ],
    ],
    [
        &[
            "f", "female", "k", "w", "weiblich", "femme", "mujer", "femmina", "kobieta", "vrouw",
            "kvinna", "kvinde",
        ],
        &["m", "male", "männlich", "homme", "hombre", "maschio", "mężczyzna", "man", "mand"],
    ],
];

/// The unit that a cell ends or begins with.
pub(super) fn unit_of(cell: &str) -> Option<&'static str> {
    let beside = |unit: &&&str| {
        let rest = cell.strip_suffix(**unit).or_else(|| cell.strip_prefix(**unit));
        rest.is_some_and(|rest| {
            !rest.trim().is_empty() && rest.contains(|it: char| it.is_ascii_digit())
        })
    };
    UNITS.iter().find(beside).copied()
}

/// Whether a line whose first cell is so, in the form of [`no_row`](super::super::reading::no_row), is known to be no row.
pub(super) fn is_no_row(form: &str) -> bool {
    NO_ROWS.contains(&form.to_lowercase().as_str())
}

/// The one of two classes that a word means, where it is one of the usual words for them.
pub(super) fn class_of<'l>(word: &str, levels: &'l [String]) -> Option<&'l str> {
    let is = |words: &[&str], word: &str| words.contains(&word.to_lowercase().as_str());
    PAIRS.iter().find_map(|pair| {
        let [yes, no] = pair.map(|words| {
            let mut all = levels.iter().filter(move |level| is(words, level));
            all.next().filter(|_| all.next().is_none())
        });
        let (yes, no) = yes.zip(no)?;
        match pair.map(|words| is(words, word)) {
            [true, false] => Some(yes.as_str()),
            [false, true] => Some(no.as_str()),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_words_are_known() {
        assert_eq!(unit_of("1.087,75 €"), Some("€"));
        assert_eq!(unit_of("$1,087.75"), Some("$"));
        assert_eq!(unit_of("EUR 5"), Some("EUR"));
        for none in ["€", "many kg", "5", "kg"] {
            assert_eq!(unit_of(none), None, "{none}");
        }
        let levels = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (back, sex) = (levels(&["yes", "no"]), levels(&["M", "F", "other"]));
        assert_eq!(class_of("Nein", &back), Some("no"));
        assert_eq!(class_of("oui", &back), Some("yes"));
        assert_eq!(class_of("weiblich", &sex), Some("F"));
        assert_eq!(class_of("maybe", &back), None);
        // Two levels that mean the same are not told apart.
        assert_eq!(class_of("nein", &levels(&["yes", "no", "non"])), None);
        assert!(is_no_row("Summe") && is_no_row("(# rows affected)") && !is_no_row("north"));
    }
}
