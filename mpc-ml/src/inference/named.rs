//! Which columns a word of `tests` names: a feature, all features that are made of one thing, or several of these.

/// The columns that a joint test is of, ascending; otherwise the name that is none. `features` are those of a study and
/// how many columns each has.
///
/// A name is that of a feature, or what its name has before the parts that count: `age:region` is every feature
/// `age:region=..`, one for each level, and `rcs(age; 30, 50, 70)` every term `rcs(age; 30, 50, 70; 1)` and on. Several
/// names have ` + ` between them.
pub(super) fn tested(test: &str, features: &[(String, u32)]) -> Result<Vec<usize>, String> {
    let of = |is: &dyn Fn(&str) -> bool| {
        let (mut from, mut columns) = (0, Vec::new());
        for (name, count) in features {
            let next = from + *count as usize;
            if is(name) {
                columns.extend(from..next);
            }
            from = next;
        }
        columns
    };
    let one = |word: &str| {
        let found = of(&|name| name == word);
        if !found.is_empty() {
            return Some(found);
        }
        let wanted = tight(word);
        let found = of(&|name| stem(name).is_some_and(|stem| tight(&stem) == wanted));
        (!found.is_empty()).then_some(found)
    };
    if let Some(columns) = one(test) {
        return Ok(columns);
    }
    let mut all = Vec::new();
    for word in test.split(" + ").map(str::trim) {
        all.extend(one(word).ok_or_else(|| word.to_owned())?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The name without the levels of its factors and the numbers of spline terms; none where it has neither.
fn stem(name: &str) -> Option<String> {
    let (mut depth, mut parts, mut from) = (0u32, Vec::new(), 0);
    for (at, letter) in name.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                parts.push(&name[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&name[from..]);
    let whole = |part: &&str| match part.strip_suffix(')').and_then(|it| it.rsplit_once(';')) {
        Some((spline, _)) if spline.starts_with("rcs(") && spline.contains(';') => {
            format!("{spline})")
        }
        _ => part.split_once('=').map_or(*part, |(factor, _)| factor).to_owned(),
    };
    let stem = parts.iter().map(whole).collect::<Vec<_>>().join(":");
    (stem != name).then_some(stem)
}

/// Without spaces, which are written in knots or not.
fn tight(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_all_columns_that_are_made_of_one_thing() {
        let features = [
            ("age", 1),
            ("rcs(age; 30, 50, 70, 80; 1)", 1),
            ("rcs(age; 30, 50, 70, 80; 2)", 1),
            ("region", 3),
            ("age:region=east", 1),
            ("age:region=west", 1),
            ("rcs(age; 30, 50, 70, 80; 1):region=east", 1),
            ("a + b", 1),
            ("age:dose", 1),
        ]
        .map(|(name, columns)| (name.to_owned(), columns));
        for (test, columns) in [
            ("age", &[0][..]),
            ("region", &[3, 4, 5]),
            ("rcs(age; 30, 50, 70, 80)", &[1, 2]),
            ("rcs(age;30,50,70,80)", &[1, 2]),
            ("age:region", &[6, 7]),
            ("rcs(age; 30, 50, 70, 80):region", &[8]),
            ("age + rcs(age; 30, 50, 70, 80)", &[0, 1, 2]),
            ("age:region + region + age:region", &[3, 4, 5, 6, 7]),
            ("age:region=west", &[7]),
            ("a + b", &[9]),
            ("age:dose", &[10]),
        ] {
            assert_eq!(tested(test, &features).as_deref(), Ok(columns), "{test}");
        }
        for (test, unknown) in [
            ("rcs(age; 30, 50, 70)", "rcs(age; 30, 50, 70)"),
            ("region=east", "region=east"),
            ("age + sex", "sex"),
            ("age:dose=x", "age:dose=x"),
            ("", ""),
        ] {
            assert_eq!(tested(test, &features), Err(unknown.to_owned()), "{test}");
        }
    }
}
