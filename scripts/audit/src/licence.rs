//! SPDX expressions.

use std::collections::BTreeSet;

/// Whether an expression can be met with the licences allowed. `A/B` is the old way to write
/// `A OR B`. What cannot be read is not met.
pub fn allowed(expression: &str, licences: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens = spaced.split_whitespace().collect();
    let mut reader = Reader { tokens, at: 0, licences };
    reader.any() && reader.at == reader.tokens.len()
}

struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    licences: &'a BTreeSet<&'a str>,
}

impl Reader<'_> {
    fn next_is(&mut self, token: &str) -> bool {
        let is = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(is);
        is
    }

    fn any(&mut self) -> bool {
        let mut met = self.all();
        while self.next_is("OR") {
            met |= self.all();
        }
        met
    }

    /// AND binds before OR.
    fn all(&mut self) -> bool {
        let mut met = self.one();
        while self.next_is("AND") {
            met &= self.one();
        }
        met
    }

    fn one(&mut self) -> bool {
        if self.next_is("(") {
            let met = self.any();
            return self.next_is(")") && met;
        }
        let Some(&licence) = self.tokens.get(self.at) else { return false };
        self.at += 1;
        if self.next_is("WITH") {
            // An exception makes another licence of it, which has to be on the list as a whole.
            let whole = format!("{licence} WITH {}", self.tokens.get(self.at).unwrap_or(&""));
            self.at += 1;
            return self.licences.contains(whole.as_str());
        }
        self.licences.contains(licence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_bind_as_they_should() {
        let licences = BTreeSet::from(["MIT", "ISC"]);
        for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND ISC", "(A OR MIT) AND ISC"] {
            assert!(allowed(good, &licences), "{good}");
        }
        for bad in
            ["", "GPL-3.0", "MIT AND A", "A OR MIT AND B", "MIT WITH X", "MIT )", "(MIT", "MIT ISC"]
        {
            assert!(!allowed(bad, &licences), "{bad}");
        }
    }
}
