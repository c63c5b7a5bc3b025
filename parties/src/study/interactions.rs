//! Words of a study that stand for several features: `rcs(age; 30, 50, 70)` for all terms of a spline, and
//! `model.interactions` for products with every level of a factor.

use super::StudyError;
use super::place::Field;
use super::raw::{RawFeature, RawMissing};
use crate::data_file::derive as formulas;

/// Features that one interaction may stand for, at most.
const MOST: usize = 1000;

/// What a factor of an interaction may be in a product: the word for it, and between which numbers it lies, if that
/// is known.
type Factor = (String, Option<(f64, f64)>);

/// The features that a study has: those that it lists, with the terms of a spline in its place, and the products that
/// its interactions stand for behind them. Each says which field asks for it.
pub(super) fn check(
    interactions: &[String],
    listed: Vec<RawFeature>,
) -> Result<Vec<RawFeature>, StudyError> {
    let mut all = Vec::with_capacity(listed.len());
    let listed: Vec<RawFeature> = listed
        .into_iter()
        .enumerate()
        .map(|(at, feature)| RawFeature { field: Field::from("features").item(at), ..feature })
        .collect();
    for feature in &listed {
        let Some((base, terms)) = formulas::whole_spline(&feature.name) else {
            all.push(feature.clone());
            continue;
        };
        if !listed.iter().any(|other| other.name == base) {
            let rule = format!(
                "stands for the terms of a spline beside {base:?} itself, which is no feature of the study: name \
                 it too"
            );
            return Err(StudyError::rule(feature.field.clone().key("name"), rule));
        }
        if feature.range.is_some() {
            let rule = format!(
                "has no place here, since each term of a spline has its own: leave it out, {base:?} has one"
            );
            return Err(StudyError::rule(feature.field.clone().key("range"), rule));
        }
        all.extend(terms.into_iter().map(|name| RawFeature { name, ..feature.clone() }));
    }
    for (at, text) in interactions.iter().enumerate() {
        let field = Field::from("model.interactions").item(at);
        match products(text, &all) {
            Ok(made) => {
                all.extend(made.into_iter().map(|it| RawFeature { field: field.clone(), ..it }));
            }
            Err(rule) => return Err(StudyError::rule(field, format!("(of {text:?}) {rule}"))),
        }
    }
    Ok(all)
}

/// The products that an interaction stands for, in the order of the levels, the last factor's first.
fn products(text: &str, features: &[RawFeature]) -> Result<Vec<RawFeature>, String> {
    let parts: Vec<&str> =
        formulas::factors(text).unwrap_or_default().into_iter().map(str::trim).collect();
    if parts.len() < 2 {
        return Err(
            "must be two or more features with colons between, such as \"age:region\"".into()
        );
    }
    let mut party = None;
    let mut made: Vec<Factor> = vec![(String::new(), Some((1.0, 1.0)))];
    for (at, part) in parts.iter().enumerate() {
        if parts[..at].contains(part) {
            return Err(format!("names {part:?} twice; a square is a feature \"square({part})\""));
        }
        let (factors, own) = factors(part, features)?;
        if *party.get_or_insert_with(|| own.clone()) != own {
            return Err(
                "is of features of different parties, and nobody has both in one row".into()
            );
        }
        if made.len() * factors.len() > MOST {
            return Err(format!("stands for more than {MOST} features; merge levels"));
        }
        let joined = |(before, low_high): &Factor, (word, range): &Factor| {
            let name = if at == 0 { word.clone() } else { format!("{before}:{word}") };
            (name, low_high.zip(*range).map(|(a, b)| product(a, b)))
        };
        made = made.iter().flat_map(|a| factors.iter().map(move |b| joined(a, b))).collect();
    }
    if let Some((name, _)) = made.iter().find(|(name, _)| !formulas::is_product(name, parts.len()))
    {
        return Err(format!(
            "would be the feature {name:?}, which cannot be told from another one: a level has a colon or a \
             parenthesis in it; give it another name (data.recode in each party.toml)"
        ));
    }
    let feature = |(name, range): Factor| RawFeature {
        name,
        party: party.clone().flatten(),
        kind: Some("numeric".to_owned()),
        range,
        ..RawFeature::default()
    };
    Ok(made.into_iter().map(feature).collect())
}

/// What a part of an interaction may be in a product, and whose it is.
fn factors(part: &str, features: &[RawFeature]) -> Result<(Vec<Factor>, Option<String>), String> {
    let named = |name: &str| features.iter().find(|feature| feature.name == name);
    let terms =
        formulas::whole_spline(part).map_or_else(|| vec![part.to_owned()], |(_, terms)| terms);
    let (mut all, mut party) = (Vec::new(), None);
    for term in terms {
        let feature = named(&term).ok_or_else(|| {
            format!(
                "names {part:?}, which is no feature of the study: name it among the features too"
            )
        })?;
        let refuses = matches!(&feature.missing, RawMissing::Word(word) if word == "refuse");
        if !refuses {
            return Err(format!(
                "is of {part:?}, which may be missing, and what stands for a missing product is to be said: write \
                 each product as a feature of its own with its rule for missing cells, or let {part:?} have \
                 missing = \"refuse\""
            ));
        }
        party = Some(feature.party.clone());
        match &feature.levels {
            None => all.push((term, feature.range)),
            Some(levels) => {
                let base = feature.base.as_ref().or(levels.first());
                let others = levels.iter().filter(|level| Some(*level) != base);
                all.extend(others.map(|level| (format!("{term}={level}"), Some((0.0, 1.0)))));
            }
        }
    }
    Ok((all, party.flatten()))
}

/// Between which numbers a product of numbers from these ranges lies.
fn product((low, high): (f64, f64), other: (f64, f64)) -> (f64, f64) {
    let ends = [low * other.0, low * other.1, high * other.0, high * other.1];
    ends.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), end| {
        (least.min(end), most.max(end))
    })
}

#[cfg(test)]
mod tests {
    use crate::study::Study;

    const TEXT: &str = r#"
version = 1
title = "Cost by age and region"
parties = ["north", "east"]

features = [
    { name = "age", range = [18, 100] },
    { name = "rcs(age;30,50, 70,80)" },
    { name = "dose", range = [-2, 3] },
    { name = "region", levels = ["north", "east", "west"], base = "east" },
    { name = "sex", levels = ["f", "m"] },
]

[model]
kind = "linear"
target = { column = "cost", range = [0, 1e5] }
interactions = ["age:region", "sex:region", "age:dose"]

[output]
inference = true
tests = ["region", "age:region", "age + rcs(age; 30, 50, 70, 80)", "rcs(age; 30, 50, 70, 80)"]
"#;

    fn read(from: &str, to: &str) -> Result<Study, String> {
        assert!(TEXT.contains(from), "{from}");
        Study::from_bytes(TEXT.replacen(from, to, 1).as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_stands_for_all_levels_and_all_terms() {
        let study = read("", "").expect("fits");
        let columns = [
            "age",
            "rcs(age; 30, 50, 70, 80; 1)",
            "rcs(age; 30, 50, 70, 80; 2)",
            "dose",
            "region=north",
            "region=west",
            "sex=m",
            "age:region=north",
            "age:region=west",
            "sex=m:region=north",
            "sex=m:region=west",
            "age:dose",
        ];
        assert_eq!(study.schema().columns(), columns);
        let range = |name: &str| {
            let feature = study.schema().features().iter().find(|it| it.name == name).expect(name);
            let mpc_ml::data::FeatureKind::Numeric(kind) = &feature.kind else { panic!("{name}") };
            kind.range
        };
        assert_eq!(range("age:region=north"), Some((0.0, 100.0)));
        assert_eq!(range("sex=m:region=west"), Some((0.0, 1.0)));
        assert_eq!(range("age:dose"), Some((-200.0, 300.0)));
        let plan = study.plan(&[500, 600]).expect("fits");
        let told = study.outputs(&*plan);
        for test in ["region", "age:region", "age + rcs(age; 30, 50, 70, 80)"] {
            assert!(told.iter().any(|output| output.label.ends_with(test)), "{test}");
        }
        // A spline times a factor is each of its terms times each level.
        let study = read("\"age:dose\"", "\"rcs(age; 30, 50, 70, 80):sex\"").expect("fits");
        let columns = study.schema().columns();
        assert_eq!(
            columns[11..],
            ["rcs(age; 30, 50, 70, 80; 1):sex=m", "rcs(age; 30, 50, 70, 80; 2):sex=m"]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_field_and_line() {
        let line = |text: &str| {
            let before = TEXT.split(text).next().expect("text");
            format!("line {}", before.lines().count())
        };
        let (interactions, spline) = (line("[\"age:region\""), line("{ name = \"rcs("));
        for (from, to, says, line) in [
            ("\"age:dose\"", "\"age\"", "two or more features with colons", &interactions),
            ("\"age:dose\"", "\"age:bmi\"", "\"bmi\", which is no feature", &interactions),
            ("\"age:dose\"", "\"age:age\"", "\"square(age)\"", &interactions),
            ("\"age:dose\"", "\"age:region\"", "age:region=north", &interactions),
            ("\"age:dose\"", "\"log(age):dose\"", "name it among the features too", &interactions),
            ("[\"f\", \"m\"]", "[\"f\", \"m:x\"]", "has a colon or a parenthesis", &interactions),
            (
                "[\"f\", \"m\"]",
                "[\"f\", \"m\"], missing = \"base\"",
                "what stands for a missing product",
                &interactions,
            ),
            ("70,80)\"", "70,80)\", range = [0, 9]", "each term of a spline", &spline),
            ("name = \"rcs(age;", "name = \"rcs(bmi;", "\"bmi\" itself", &spline),
            (
                "\"region\", \"age:region\"",
                "\"region\", \"region:age\"",
                "\"region:age\", which is no feature",
                &String::new(),
            ),
            (
                "\"region\", \"age:region\"",
                "\"region\", \"age:region=north + age:region=west\", \"age:region\"",
                "whose columns are those of",
                &String::new(),
            ),
        ] {
            let said = read(from, to).expect_err(to);
            assert!(said.contains(says) && said.contains(line.as_str()), "{to}: {said} ({line})");
        }
    }
}
