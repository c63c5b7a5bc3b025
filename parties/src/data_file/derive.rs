//! Columns that each party computes of its own cells, by their names in a study: transformations and products.
//!
//! | name | what |
//! |---|---|
//! | `log(age)` | the natural logarithm; `sqrt(age)` and `square(age)` likewise |
//! | `rcs(age; 30, 50, 70; 1)` | a term of the natural (restricted cubic) spline with these knots, beside `age` itself |
//! | `age:dose` | the product of two columns or of what is made of them, such as `log(age):dose` |
//! | `age:sex=f` | the same with the indicator of a level |
//!
//! A file that has a column of this very name is read as it stands.

use std::collections::BTreeSet;

use mpc_ml::data::{Cell, Feature, FeatureKind};

use super::translate::Kind;
use super::{DataError, header::Header};

/// What a column is computed by.
#[derive(Clone, Debug, PartialEq)]
enum Formula {
    /// The cell itself.
    Column(String),
    /// 1 where the cell is this word, else 0.
    Level { column: String, level: String },
    /// A function of a cell.
    Apply(Function, String),
    /// The product of at least two of the others.
    Product(Vec<Formula>),
}

#[derive(Clone, Debug, PartialEq)]
enum Function {
    Log,
    Sqrt,
    Square,
    /// With ascending knots, the term from 1 on.
    Spline {
        knots: Vec<f64>,
        term: usize,
    },
}

impl Formula {
    /// The formula that a column of this name stands for, if it is one.
    fn parse(name: &str) -> Option<Self> {
        let parts = parts(name)?;
        match parts[..] {
            [only] => apply(only),
            _ => Some(Self::Product(parts.into_iter().map(factor).collect::<Option<_>>()?)),
        }
    }

    /// The columns that it is computed of, and whether each holds words.
    fn bases(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Column(column) | Self::Apply(_, column) => vec![(column, false)],
            Self::Level { column, .. } => vec![(column, true)],
            Self::Product(factors) => factors.iter().flat_map(Self::bases).collect(),
        }
    }

    /// The value; none where a cell is missing.
    fn value(
        &self,
        cell: &dyn Fn(&str) -> Result<Cell<'static>, String>,
    ) -> Result<Option<f64>, String> {
        let number = |column: &str| match cell(column)? {
            Cell::Number(number) => Ok(Some(number)),
            Cell::Text(text) => match text.trim() {
                "" => Ok(None),
                text => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Some(number)),
                    _ => Err(format!(
                        "it is computed of the column {column:?}, whose cell is not a finite number; correct \
                         the cell, or leave it empty where it is missing"
                    )),
                },
            },
        };
        match self {
            Self::Column(column) => number(column),
            Self::Level { column, level } => {
                let cell = cell(column)?;
                let word = cell.words();
                Ok((!word.is_empty()).then(|| f64::from(u8::from(*word == **level))))
            }
            Self::Apply(function, column) => match number(column)? {
                None => Ok(None),
                Some(x) => function.value(x).map(Some).ok_or_else(|| {
                    format!(
                        "it is computed of the column {column:?}, whose cell must be {} for that; correct the \
                         cell, leave the row out, or agree on another feature",
                        function.domain()
                    )
                }),
            },
            Self::Product(factors) => {
                let mut product = Some(1.0);
                for factor in factors {
                    let value = factor.value(cell)?;
                    product = product.zip(value).map(|(a, b)| a * b);
                }
                Ok(product)
            }
        }
    }
}

impl Function {
    fn value(&self, x: f64) -> Option<f64> {
        let value = match self {
            Self::Log if x > 0.0 => x.ln(),
            Self::Sqrt if x >= 0.0 => x.sqrt(),
            Self::Log | Self::Sqrt => return None,
            Self::Square => x * x,
            Self::Spline { knots, term } => spline(knots, *term, x),
        };
        value.is_finite().then_some(value)
    }

    fn domain(&self) -> &'static str {
        match self {
            Self::Log => "above 0",
            Self::Sqrt => "0 or above",
            Self::Square | Self::Spline { .. } => "small enough for double precision",
        }
    }
}

/// A term of the restricted cubic spline: linear beyond the outer knots, in the unit of x (`rcspline.eval` of R's
/// package Hmisc).
fn spline(knots: &[f64], term: usize, x: f64) -> f64 {
    let cube = |knot: f64| (x - knot).max(0.0).powi(3);
    let [first, .., before, last] = *knots else { return f64::NAN };
    let own = knots[term - 1];
    let spread = (last - first) * (last - first);
    let back = cube(before) * (last - own) - cube(last) * (before - own);
    (cube(own) - back / (last - before)) / spread
}

/// The parts between colons that are in no parenthesis; none where parentheses do not match.
fn parts(name: &str) -> Option<Vec<&str>> {
    let (mut depth, mut from, mut all) = (0usize, 0, Vec::new());
    for (at, letter) in name.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ':' if depth == 0 => {
                all.push(&name[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(&name[from..]);
    (depth == 0).then_some(all)
}

/// A column by its name; what is a number is none.
fn column(name: &str) -> Option<String> {
    let plain = !name.is_empty() && name.trim() == name && name.parse::<f64>().is_err();
    plain.then(|| name.to_owned())
}

fn factor(text: &str) -> Option<Formula> {
    if let Some(applied) = apply(text) {
        return Some(applied);
    }
    match text.split_once('=') {
        Some((name, level)) if !level.is_empty() => {
            Some(Formula::Level { column: column(name)?, level: level.to_owned() })
        }
        _ => column(text).map(Formula::Column),
    }
}

/// A function of one column.
fn apply(text: &str) -> Option<Formula> {
    let (name, inner) = text.strip_suffix(')')?.split_once('(')?;
    let function = match name {
        "log" => Function::Log,
        "sqrt" => Function::Sqrt,
        "square" => Function::Square,
        "rcs" => return splined(inner),
        _ => return None,
    };
    (!inner.contains(['(', ')']))
        .then(|| column(inner))
        .flatten()
        .map(|of| Formula::Apply(function, of))
}

/// Of the name of a whole spline, `rcs(age; 30, 50, 70)`: the column, and the names of its terms.
pub(crate) fn whole_spline(name: &str) -> Option<(String, Vec<String>)> {
    let inner = name.strip_prefix("rcs(")?.strip_suffix(')')?;
    let pieces: Vec<&str> = inner.split(';').map(str::trim).collect();
    let [of, knots] = pieces[..] else { return None };
    let knots: Vec<&str> = knots.split(',').map(str::trim).collect();
    let term = |term: usize| format!("rcs({of}; {}; {term})", knots.join(", "));
    let terms: Vec<String> = (1..=knots.len().checked_sub(2)?).map(term).collect();
    let right = !terms.is_empty() && terms.iter().all(|term| Formula::parse(term).is_some());
    right.then(|| (of.to_owned(), terms))
}

/// The factors of a product, as they are written; none where parentheses do not match.
pub(crate) fn factors(text: &str) -> Option<Vec<&str>> {
    parts(text)
}

/// Whether this is the name of a product of so many factors.
pub(crate) fn is_product(name: &str, factors: usize) -> bool {
    matches!(Formula::parse(name), Some(Formula::Product(of)) if of.len() == factors)
}

fn splined(inner: &str) -> Option<Formula> {
    let pieces: Vec<&str> = inner.split(';').map(str::trim).collect();
    let [of, knots, term] = pieces[..] else { return None };
    let knots: Vec<f64> =
        knots.split(',').map(|knot| knot.trim().parse().ok()).collect::<Option<_>>()?;
    let term: usize = term.parse().ok()?;
    let ascending = knots.iter().all(|knot| knot.is_finite()) && knots.is_sorted_by(|a, b| a < b);
    let fits = knots.len() >= 3 && (1..=knots.len() - 2).contains(&term) && ascending;
    fits.then(|| column(of))
        .flatten()
        .map(|of| Formula::Apply(Function::Spline { knots, term }, of))
}

/// Which columns of a table may be computed, and of what.
#[derive(Clone, Debug, Default)]
pub(super) struct Derive {
    /// For each column of a row its formula, where its name is one.
    formulas: Vec<Option<Formula>>,
    /// All columns that are read: those of a row, then what formulas need beside.
    slots: Vec<(String, Kind)>,
}

impl Derive {
    pub(super) fn new(columns: &[(String, Kind)]) -> Self {
        let formula = |(name, kind): &(String, Kind)| {
            (*kind == Kind::Number).then(|| Formula::parse(name)).flatten()
        };
        let formulas: Vec<Option<Formula>> = columns.iter().map(formula).collect();
        let mut slots = columns.to_vec();
        for (base, words) in formulas.iter().flatten().flat_map(Formula::bases) {
            if !slots.iter().any(|(name, _)| name == base) {
                let kind = if words { Kind::Text } else { Kind::Number };
                slots.push((base.to_owned(), kind));
            }
        }
        Self { formulas, slots }
    }

    /// All columns that are read.
    pub(super) fn slots(&self) -> &[(String, Kind)] {
        &self.slots
    }

    /// Names by which a header is known: those of the columns of a row that are no formulas, and of their bases.
    pub(super) fn names(&self) -> Vec<&str> {
        let is_formula = |at: usize| self.formulas.get(at).is_some_and(Option::is_some);
        let names = self.slots.iter().enumerate().filter(|(at, _)| !is_formula(*at));
        names.map(|(_, (name, _))| name.as_str()).collect()
    }

    /// Where in a file each of the columns that are read is, and which of them are computed: those that the file does
    /// not have.
    pub(super) fn locate(&self, header: &Header<'_>) -> Result<(Vec<usize>, Vec<bool>), DataError> {
        let (mut at, mut computed) = (Vec::new(), Vec::new());
        let mut needed = BTreeSet::new();
        for ((name, _), formula) in self.slots.iter().zip(&self.formulas) {
            match formula {
                Some(formula) if !header.has(name) => {
                    let bases = formula.bases();
                    for (base, _) in &bases {
                        header.locate(base)?;
                        needed.insert((*base).to_owned());
                    }
                    // What stands there is not looked at.
                    at.push(header.locate(bases[0].0)?);
                    computed.push(true);
                }
                Some(formula) if formula.bases().iter().all(|(base, _)| header.has(base)) => {
                    return Err(header.ambiguous(name));
                }
                _ => {
                    at.push(header.locate(name)?);
                    computed.push(false);
                }
            }
        }
        if !computed.contains(&true) {
            return Ok((at, computed));
        }
        for (name, _) in &self.slots[self.formulas.len()..] {
            // What nothing is computed of is not looked at.
            let place = if needed.contains(name) { header.locate(name)? } else { at[0] };
            at.push(place);
        }
        Ok((at, computed))
    }

    /// The cell of a column that is computed, from those of all slots.
    pub(super) fn cell(
        &self,
        position: usize,
        read: &[Result<Cell<'static>, String>],
    ) -> Result<Cell<'static>, String> {
        let Some(formula) = &self.formulas[position] else { return Ok(Cell::text("")) };
        let cell = |base: &str| {
            let slot = self.slots.iter().position(|(name, _)| name == base);
            slot.map_or(Ok(Cell::text("")), |slot| read[slot].clone())
        };
        let value = formula.value(&cell)?;
        Ok(value.map_or(Cell::text(""), Cell::Number))
    }
}

/// What is wrong with the names of these features as formulas: which feature, and the rule that it breaks.
pub(crate) fn check(features: &[Feature]) -> Result<(), (usize, String)> {
    for (at, feature) in features.iter().enumerate() {
        let Some(formula) = Formula::parse(&feature.name) else { continue };
        if matches!(feature.kind, FeatureKind::Categorical(_)) {
            return Err((
                at,
                "stands for a number that is computed, and cannot have levels".into(),
            ));
        }
        let factors = match &formula {
            Formula::Product(factors) => &factors[..],
            other => std::slice::from_ref(other),
        };
        for factor in factors {
            let Formula::Level { column, level } = factor else { continue };
            let has = features.iter().any(|other| {
                other.name == *column
                    && matches!(&other.kind, FeatureKind::Categorical(of) if of.levels.contains(level))
            });
            if !has {
                let rule = format!(
                    "stands for a product with the level {level:?} of {column:?}, and there is no categorical \
                     feature {column:?} with this level: add it, or correct the name"
                );
                return Err((at, rule));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, cells: &[(&str, &'static str)]) -> Result<Option<f64>, String> {
        let cell = |base: &str| {
            let found = cells.iter().find(|(name, _)| *name == base);
            Ok(Cell::text(found.unwrap_or_else(|| panic!("{base} of {name}")).1))
        };
        Formula::parse(name).unwrap_or_else(|| panic!("{name} is a formula")).value(&cell)
    }

    #[test]
    fn names_are_formulas_or_names() {
        for name in [
            "age",
            "sex=f",
            "log",
            "log()",
            "log(age",
            "exp(age)",
            "log(sqrt(age))",
            "12:30",
            "time=0:30",
            "a:",
            "rcs(age; 30, 50; 1)",
            "rcs(age; 30, 50, 40; 1)",
            "rcs(age; 30, 50, 70; 2)",
            "rcs(age; 30, 50, 70)",
        ] {
            assert_eq!(Formula::parse(name), None, "{name}");
        }
        let terms = ["rcs(age; 30, 50, 70, 80; 1)", "rcs(age; 30, 50, 70, 80; 2)"];
        let whole = whole_spline("rcs(age;30,50, 70,80)");
        assert_eq!(whole, Some(("age".to_owned(), terms.map(str::to_owned).to_vec())));
        for name in ["rcs(age; 30, 50)", "rcs(age; 30, 50, 40)", "rcs(age; 30, 50, 70; 1)", "rcs()"]
        {
            assert_eq!(whole_spline(name), None, "{name}");
        }
    }

    /// Against R: log, and `Hmisc::rcspline.eval(x, knots, inclx = FALSE)`, computed by its definition with numpy.
    #[test]
    fn values_are_those_of_the_formulas() {
        let cells = [("age", "60"), ("dose", "1.5"), ("sex", "f"), ("empty", "")];
        for (name, due) in [
            ("log(age)", 4.094_344_562_222_1),
            ("sqrt(age)", 7.745_966_692_414_834),
            ("square(dose)", 2.25),
            ("age:dose", 90.0),
            ("age:sex=f", 60.0),
            ("age:sex=m", 0.0),
            ("log(age):dose", 6.141_516_843_333_15),
            ("square(dose):age:sex=f", 135.0),
            ("rcs(age; 30, 50, 70; 1)", 15.625),
            ("rcs(age; 30, 40, 55, 80; 1)", 10.7),
            ("rcs(age; 30, 40, 55, 80; 2)", 3.12),
        ] {
            let got = value(name, &cells).expect("fits").expect("a number");
            assert!((got - due).abs() < 1e-9, "{name}: {got} instead of {due}");
        }
        for name in ["log(empty)", "age:empty", "empty:sex=f"] {
            assert_eq!(value(name, &cells), Ok(None), "{name}");
        }
        let error = value("log(zero)", &[("zero", "0")]).expect_err("no logarithm");
        assert!(error.contains("\"zero\"") && error.contains("above 0"), "{error}");
        let error = value("sqrt(x):y", &[("x", "-1"), ("y", "2")]).expect_err("no root");
        assert!(error.contains("0 or above"), "{error}");
        let error = value("square(x)", &[("x", "many")]).expect_err("a word");
        assert!(error.contains("not a finite number"), "{error}");
    }
}
