//! The studies that are measured, and how near to their references they must come.

use std::path::PathBuf;

use parties::study::Study;

use crate::{Outcome, cut};

/// Where the data sets are, from the root of the repository.
const DATA: &str = "scripts/data";

/// Those that are also run by parties that hold columns, where their solver takes them.
const BY_COLUMNS: [&str; 5] = [
    "credit_status/study",
    "credit_status/optimum",
    "hospital_pancreatitis/small",
    "concrete_strength/study",
    "doctor_visits_count/study",
];

/// What is divided by columns from the start, and needs an alignment first.
const COLUMNS: &str = "breast_cancer_vertical/study";

/// One study of one data set.
#[derive(Debug)]
pub struct Case {
    /// The folder of the data set.
    pub set: &'static str,
    /// The name of the study file in it, without `.toml`.
    pub file: &'static str,
    /// The task in the set's `reference.json`.
    pub task: &'static str,
    /// What must hold; `None` where the method does not aim at the reference.
    pub limits: Option<Limits>,
    effort: Effort,
}

/// The largest allowed differences to the reference, on the encoded, standardised scale.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a coefficient, over the largest coefficient of the reference.
    pub coefficient_over_max: f64,
    /// Of a coefficient, over its standard error in the reference.
    pub coefficient_over_se: f64,
    /// Of a standard error, over the reference's.
    pub standard_error: f64,
    /// Of the prediction for a row that nobody trained on: a probability as it is, a number or a
    /// mean over the standard deviation of the target among those rows.
    pub prediction: f64,
    /// Of AUC, R2 or D2 on those rows.
    pub metric: f64,
}

/// How much of a machine's time a study takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// Seconds: part of the gate.
    Smoke,
    /// Up to some minutes.
    Usual,
    /// Asked for by a flag.
    Large,
}

const LIMITS: Limits = Limits {
    coefficient_over_max: 1e-3,
    coefficient_over_se: 0.02,
    standard_error: 0.01,
    prediction: 2e-3,
    metric: 0.002,
};

/// With noise: near enough to the fit without any to be of use. Six of its deviations, and more.
const PRIVATE: Limits = Limits { metric: 0.06, ..LIMITS };

/// Near the optimum, not at it by proof: the predictions are to be as good.
const FEDERATED: Limits = Limits { metric: 0.001, ..LIMITS };

/// The table of all studies.
const CASES: [Case; 18] = [
    // Twenty epochs of gradient descent come near the optimum, not to it.
    case("credit_status", "study", "bad", Effort::Usual, None),
    case("credit_status", "optimum", "bad", Effort::Usual, Some(LIMITS)),
    case("hospital_pancreatitis", "small", "pancreatitis_small", Effort::Smoke, Some(LIMITS)),
    case("hospital_pancreatitis", "study", "pancreatitis", Effort::Usual, Some(LIMITS)),
    case("concrete_strength", "study", "strength", Effort::Smoke, Some(LIMITS)),
    case("diabetes_progression", "study", "progression", Effort::Usual, Some(LIMITS)),
    case(
        "longley_collinear",
        "study",
        "employment",
        Effort::Usual,
        Some(Limits { coefficient_over_max: 1e-4, ..LIMITS }),
    ),
    case(
        "doctor_visits_count",
        "study",
        "mdvis",
        Effort::Usual,
        Some(Limits { coefficient_over_se: 0.05, ..LIMITS }),
    ),
    // Standard errors of an unpenalised fit are none here: nothing is said in their units.
    case("breast_cancer_vertical", "study", "malignant", Effort::Usual, Some(LIMITS)),
    case("credit_status", "federated", "bad", Effort::Usual, Some(FEDERATED)),
    case("credit_status", "private", "bad", Effort::Usual, Some(PRIVATE)),
    case(
        "diabetes_progression",
        "private",
        "progression",
        Effort::Usual,
        Some(Limits { metric: 0.2, ..LIMITS }),
    ),
    case("doctor_visits_count", "private", "mdvis", Effort::Usual, Some(PRIVATE)),
    case(
        "flights_large",
        "private-delay",
        "arr_delay",
        Effort::Large,
        Some(Limits { metric: 0.3, ..LIMITS }),
    ),
    case("flights_large", "private-late", "late", Effort::Large, Some(PRIVATE)),
    case("flights_large", "delay", "arr_delay", Effort::Large, Some(LIMITS)),
    case("flights_large", "late", "late", Effort::Large, Some(LIMITS)),
    case("mnist_wide", "study", "odd", Effort::Large, Some(LIMITS)),
];

const fn case(
    set: &'static str,
    file: &'static str,
    task: &'static str,
    effort: Effort,
    limits: Option<Limits>,
) -> Case {
    Case { set, file, task, limits, effort }
}

impl Case {
    /// The case of this name, `SET/FILE`.
    pub fn named(name: &str) -> Outcome<&'static Self> {
        let found = CASES.iter().find(|case| case.name() == name);
        found.ok_or_else(|| format!("there is no study {name:?}").into())
    }

    /// The cases that the arguments of `list` choose.
    pub fn chosen(filters: &[&str]) -> Outcome<Vec<&'static Self>> {
        let (mut smoke, mut large, mut columns, mut only) = (false, false, false, None);
        let mut filters = filters.iter();
        while let Some(filter) = filters.next() {
            match *filter {
                "--smoke" => smoke = true,
                "--large" => large = true,
                "--by-columns" => columns = true,
                "--only" => only = Some(*filters.next().ok_or("--only needs the name of a set")?),
                _ => return Err(format!("list does not know {filter:?}").into()),
            }
        }
        let chosen = CASES.iter().filter(|case| match only {
            // Who names a set wants it, however large.
            Some(set) => case.set == set || case.name() == set,
            None if smoke => case.effort == Effort::Smoke,
            None => large || case.effort != Effort::Large,
        });
        let mut chosen: Vec<_> = chosen.collect();
        if !columns {
            chosen.retain(|case| case.name() != COLUMNS);
        }
        if columns {
            chosen.retain(|case| case.name() == COLUMNS || BY_COLUMNS.contains(&&*case.name()));
            let mut taken = Vec::new();
            for case in chosen {
                if case.name() == COLUMNS {
                    taken.push(case);
                    continue;
                }
                match cut::refused(&case.study())? {
                    None => taken.push(case),
                    Some(why) => eprintln!("{} is left out: {why}", case.name()),
                }
            }
            chosen = taken;
        }
        if chosen.is_empty() {
            return Err(format!("there is no set {:?}", only.unwrap_or_default()).into());
        }
        Ok(chosen)
    }

    /// `SET/FILE`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.set, self.file)
    }

    /// The study file.
    pub fn study(&self) -> PathBuf {
        PathBuf::from(format!("{DATA}/{}/{}.toml", self.set, self.file))
    }

    /// A file of the data set, plain or as gzip.
    pub fn data(&self, name: &str) -> PathBuf {
        let plain = PathBuf::from(format!("{DATA}/{}/{name}", self.set));
        if plain.exists() { plain } else { PathBuf::from(format!("{DATA}/{}/{name}.gz", self.set)) }
    }

    /// For scripts: name, study file, and `PARTY=ROWS` for each party.
    pub fn line(&self) -> Outcome<String> {
        let study = Study::read(&self.study())?;
        let mut line = format!("{} {}", self.name(), self.study().display());
        for (index, party) in study.parties().iter().enumerate() {
            let rows = self.data(&format!("party{}.csv", index + 1));
            line += &format!(" {party}={}", rows.display());
        }
        Ok(line)
    }
}
