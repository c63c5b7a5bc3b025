use proptest::prelude::*;

use mpc_ml::artifact::ModelKind;
use mpc_ml::models::glm::{Family, Glm};
use mpc_ml::models::linear::Linear;
use mpc_ml::models::sgd::Sgd;

use super::*;

mod consent;
mod disclosure;
mod federated;
mod private;
mod schema;
mod short;

const EXAMPLE: &str = include_str!("../../../scripts/data/credit_status/study.toml");

fn changed(from: &str, to: &str) -> Result<Study, StudyError> {
    assert!(EXAMPLE.contains(from), "{from}");
    Study::from_bytes(EXAMPLE.replacen(from, to, 1).as_bytes())
}

fn message(from: &str, to: &str) -> String {
    changed(from, to).unwrap_err().to_string()
}

#[test]
fn the_example_is_the_study_of_the_reference() {
    let study = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    let reference = include_str!("../../../scripts/data/credit_status/reference.json");
    let reference: serde_json::Value = serde_json::from_str(reference).unwrap();
    let columns = &reference["tasks"]["bad"]["encoding"]["order_of_columns"];
    assert_eq!(serde_json::json!(study.schema().columns()), *columns);
    assert_eq!(study.schema().columns().len(), 24);
    assert_eq!(study.parties().len(), 3);
    assert_eq!(study.position(&"bank-c".parse().unwrap()), Some(2));
    assert_eq!(study.receivers().len(), 3);
    assert_eq!(study.settings_of::<Sgd>().unwrap().step_size(10), 0.25);
    assert!(study.settings_of::<Linear>().is_none());
}

#[test]
fn the_digest_is_of_every_byte() {
    let study = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    let other = Study::from_bytes(format!("{EXAMPLE}\n").as_bytes()).unwrap();
    assert_ne!(study.digest(), other.digest());
    let text = study.digest().to_string();
    assert_eq!((text.len(), &text[..6]), (6 + 64, "study:"));
    // Pinned: parties of different builds must agree on it.
    assert_eq!(
        StudyDigest::of(b"abc").to_string(),
        "study:4693c27f14031796ecdd7ca82e46c0ae47fe8b89f5a97481517d0a7990ee8c42"
    );
}

/// Products name levels that are there, and what is computed is a number.
#[test]
fn formulas_are_checked_with_the_features() {
    let first = "[[features]]\n";
    let with = |feature: &str| {
        let text = EXAMPLE.replacen(first, &format!("{first}{feature}\n\n{first}"), 1);
        Study::from_bytes(text.as_bytes())
    };
    let study = with("name = \"Income:Home=rent\"\nmissing = 0").unwrap();
    assert_eq!(study.schema().columns()[0], "Income:Home=rent");
    for (feature, words) in [
        ("name = \"Income:Home=tent\"", "no categorical feature \"Home\" with this level"),
        ("name = \"Income:Age=rent\"", "no categorical feature \"Age\""),
        ("name = \"log(Income)\"\nlevels = [\"a\", \"b\"]", "cannot have levels"),
    ] {
        let error = with(feature).unwrap_err().to_string();
        assert!(error.contains("features[1].name") && error.contains(words), "{error}");
    }
}

#[test]
fn errors_name_line_field_and_rule() {
    let line = EXAMPLE.lines().position(|line| line.starts_with("batch")).unwrap() + 1;
    assert_eq!(
        message("batch = 64 ", "batch = 0 "),
        format!("line {line}: training.batch is 0, and must be from 1 to 1000000")
    );
    let line = EXAMPLE.lines().position(|line| line.starts_with("base = ")).unwrap() + 1;
    let text = message("levels = [\"ignore\", ", "level = [\"ignore\", ");
    assert!(text.starts_with("line ") && text.contains("unknown field `level`"), "{text}");
    let text = message("base = \"ignore\"", "base = \"ignored\"");
    // The error stands at the feature's name.
    assert!(text.starts_with(&format!("line {}: the base", line - 3)), "{text}");
    let text = message("epochs = 20", "epochs = 20\nepoch = 3");
    assert!(text.starts_with("line ") && text.contains("unknown field `epoch`"), "{text}");
    let text = message("epochs = 20", "");
    let line = EXAMPLE.lines().position(|line| line == "[training]").unwrap() + 1;
    assert_eq!(text, format!("line {line}: missing field `epochs`"));
    let line = EXAMPLE.lines().position(|line| line.starts_with("epochs")).unwrap() + 1;
    let text = message("epochs = 20", "epochs = \"many\"");
    assert!(text.starts_with(&format!("line {line}: invalid type: string")), "{text}");
    let text = message("epochs = 20", "epochs = 20\nclip = 3.0");
    assert!(text.contains("training.clip stands in [model] as well"), "{text}");
    let text = message("window = 64", "window = 100");
    assert!(text.contains("training.sigmoid.window must be a power of two, for example 128"));
    assert!(message("[security]", "[security").starts_with("line "));
}

#[test]
fn what_comes_later_is_named() {
    let error = changed("partition = \"horizontal\"", "partition = \"mixed\"").unwrap_err();
    let StudyError::Rule { line: Some(_), field, rule } = &error else { panic!("{error}") };
    assert_eq!(field.to_string(), "partition");
    assert!(rule.contains("no model takes"), "{error}");
    let error = changed("version = 1", "version = 2\nfuture = true").unwrap_err();
    assert!(matches!(error, StudyError::Version { got: 2, line: Some(_) }), "{error}");
}

#[test]
fn values_that_break_a_rule_are_refused() {
    for (from, to) in [
        ("title = \"Credit", "title = \"\\u0007Credit"),
        ("parties = [\"bank-a\", \"bank-b\", \"bank-c\"]", "parties = [\"bank-a\"]"),
        ("parties = [\"bank-a\", \"bank-b\"", "parties = [\"bank-a\", \"bank-a\""),
        ("parties = [\"bank-a\"", "parties = [\"bank a\""),
        ("l2 = 0.01", "l2 = -0.01"),
        ("l2 = 0.01", "l2 = nan"),
        ("clip = 32.0", "clip = inf"),
        ("clip = 32.0", "clip = 0.5"),
        ("positive = \"bad\"", "positive = \"good\""),
        ("positive = \"bad\", ", ""),
        ("missing = \"refuse\"", "missing = \"ignore\""),
        ("missing = \"refuse\"", "missing = true"),
        ("\nscale = \"joint\"", "\nscale = { mean = 1.0, std = -1.0 }"),
        ("\nscale = \"joint\"", "\nscale = { mean = 1.0, sd = 1.0 }"),
        ("\nscale = \"joint\"", "\nlevels = []"),
        ("range = [0, 100]", "range = [100, 0]"),
        ("type = \"numeric\"", "type = \"number\""),
        ("base = \"ignore\"", "base = \"ignore\"\nindicator = true"),
        ("name = \"Time\"", "name = \"Seniority\""),
        ("name = \"Time\"", "name = \"Status\""),
        ("solver = \"sgd\"", "solver = \"adam\""),
        ("learning_rate = 0.5", "learning_rate = 0.0"),
        ("momentum = 0.0", "momentum = 1.0"),
        ("seed = 1", "seed = -1"),
        ("terms = 16", "terms = 1000"),
        ("fit = \"plain\"", "fit = \"best\""),
        ("model = [\"bank-a\", \"bank-b\", \"bank-c\"]", "model = []"),
        ("model = [\"bank-a\", \"bank-b\", \"bank-c\"]", "model = [\"bank-d\"]"),
        ("model = [\"bank-a\", \"bank-b\", \"bank-c\"]", "model = \"everybody\""),
        ("release_bits = 16", "release_bits = 30"),
    ] {
        let error = changed(from, to).expect_err(to).to_string();
        assert!(error.starts_with("line "), "{to}: {error}");
    }
}

/// A study with the words of another model and solver.
fn with(model: &str, training: &str, output: &str) -> Result<Study, StudyError> {
    let (before, rest) = EXAMPLE.split_once("[model]").unwrap();
    let (_, rest) = rest.split_once("clip = 32.0").unwrap();
    let (features, rest) = rest.split_once("[training]").unwrap();
    let (_, rest) = rest.split_once("[security]").unwrap();
    let text = format!(
        "{before}[model]\nintercept = true\nl2 = 0.0\nclip = 32.0\n{model}\n#{features}[training]\n{training}\n\
         [security]{rest}\n{output}\n"
    );
    Study::from_bytes(text.as_bytes())
}

const CLASSES: &str =
    "kind = \"logistic\"\ntarget = { column = \"y\", positive = \"a\", negative = \"b\" }";
const NUMBERS: &str = "kind = \"linear\"\ntarget = { column = \"y\", range = [-10, 100] }";
const COUNTS: &str = "kind = \"poisson\"\ntarget = { column = \"y\", range = [0, 100] }\n\
                      offset = { column = \"exposure\", range = [-5, 5] }";
const WEIGHTS: &str = "weights = { column = \"w\", range = [0, 9] }";
const EXACT: &str = "solver = \"exact\"\ncondition = 1000";
const OPTIMUM: &str = "solver = \"optimum\"\ntolerance = 0.001";
const RATE: &str = "solver = \"optimum\"";

#[test]
fn each_model_has_its_solver() {
    let linear = with(NUMBERS, EXACT, "inference = true").unwrap();
    assert_eq!(linear.kind(), ModelKind::Linear);
    let settings = linear.settings_of::<Linear>().unwrap();
    assert!(settings.condition == Some(1000.0) && settings.inference && settings.intercept);

    let usual = with(NUMBERS, "solver = \"exact\"", "").unwrap();
    assert_eq!(usual.settings_of::<Linear>().unwrap().condition, None);

    let logistic = with(CLASSES, OPTIMUM, "").unwrap();
    let optimum = logistic.settings_of::<Glm>().unwrap();
    assert_eq!((optimum.family, optimum.tolerance), (Family::Logistic, 0.001));

    let poisson = with(COUNTS, RATE, "inference = true").unwrap();
    let optimum = poisson.settings_of::<Glm>().unwrap();
    assert_eq!((optimum.family, optimum.tolerance), (Family::Poisson, 0.001));
    assert_eq!(poisson.schema().offset().unwrap().column, "exposure");
    // The offset is no feature.
    assert_eq!(poisson.schema().columns().len(), 24);
}

#[test]
fn weights_and_groups_are_facts_of_the_plan() {
    let model = format!("{CLASSES}\n{WEIGHTS}\ngroups = \"ward\"");
    let study = with(&model, OPTIMUM, "inference = true\nrobust = \"cluster\"").unwrap();
    assert_eq!(study.schema().weights().unwrap().column, "w");
    assert_eq!(study.schema().groups(), Some("ward"));
    let facts = study.facts(&[1000, 1000, 1000]);
    assert_eq!((facts.weights, facts.groups), (Some(9.0), true));
    assert!(study.plan(&[1000, 1000, 1000]).is_ok());
    let linear = format!("{NUMBERS}\ngroups = \"ward\"");
    let linear = with(&linear, EXACT, "inference = true\nrobust = \"cluster\"").unwrap();
    assert!(linear.facts(&[1000, 1000, 1000]).groups);
    assert!(linear.plan(&[1000, 1000, 1000]).is_ok());
    let study = with(CLASSES, OPTIMUM, "inference = true\nrobust = \"cluster\"").unwrap();
    let error = study.plan(&[1000, 1000, 1000]).map(drop).unwrap_err().to_string();
    assert!(error.contains("needs the groups of the rows"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_refused_with_the_reason() {
    let sgd = "solver = \"sgd\"";
    let plus = |text: &str, more: &str| format!("{text}\n{more}");
    let no_range = "kind = \"linear\"\ntarget = { column = \"y\" }";
    let negative = "kind = \"poisson\"\ntarget = { column = \"y\", range = [-1, 5] }";
    for (model, training, output, reason) in [
        (
            NUMBERS,
            sgd,
            "",
            "training.solver is \"sgd\", which does not fit a linear model: it must be \"exact\"",
        ),
        (NUMBERS, OPTIMUM, "", "does not fit a linear model: it must be \"exact\""),
        (COUNTS, sgd, "", "does not fit a poisson model: it must be \"optimum\""),
        (COUNTS, EXACT, "", "does not fit a poisson model"),
        (CLASSES, EXACT, "", "does not fit a logistic model"),
        (CLASSES, "solver = \"newton\"", "", "must be \"optimum\" or \"sgd\" for a logistic model"),
        (
            &plus(NUMBERS, "offset = { column = \"e\", range = [0, 1] }"),
            EXACT,
            "",
            "model.offset has no place",
        ),
        (
            &COUNTS.replace("{ column = \"exposure\", range = [-5, 5] }", "\"exposure\""),
            RATE,
            "",
            "model.offset needs a range",
        ),
        (&COUNTS.replace("exposure", "Age"), RATE, "", "named twice"),
        (&COUNTS.replace("exposure", "y"), RATE, "", "named twice"),
        (&COUNTS.replace("[-5, 5]", "[5, -5]"), RATE, "", "the range of the column \"exposure\""),
        (no_range, EXACT, "", "model.target.range is missing"),
        (
            &plus(NUMBERS, WEIGHTS),
            EXACT,
            "",
            "model.weights have no place in a model by the solver",
        ),
        (
            &plus(CLASSES, "groups = \"g\""),
            OPTIMUM,
            "",
            "model.groups are for robust = \"cluster\"",
        ),
        (&plus(NUMBERS, "groups = \"g\""), EXACT, "", "model.groups are for robust = \"cluster\""),
        (NUMBERS, EXACT, "robust = \"hc1\"", "output.robust needs inference = true"),
        (
            NUMBERS,
            EXACT,
            "inference = true\n[[output.contrasts]]\nname = \"one\"\nweights = { Age = 1 }\n\
             [[output.contrasts]]\nname = \"two\"\nweights = { height = 1, Age = -1 }",
            "output.contrasts[2] has a weight for \"height\", which is no encoded column",
        ),
        (
            CLASSES,
            OPTIMUM,
            "inference = true\n[[output.contrasts]]\nname = \"one\"\nweight = { Age = 1 }",
            "unknown field `weight`",
        ),
        (
            NUMBERS,
            EXACT,
            "inference = true\ntests = [\"ward\"]",
            "output.tests names \"ward\", which is no feature",
        ),
        (&plus(CLASSES, "groups = 3"), OPTIMUM, "", "invalid type"),
        (&plus(CLASSES, "weights = \"w\""), OPTIMUM, "", "model.weights need a range"),
        (&plus(CLASSES, &WEIGHTS.replace("\"w\"", "\"y\"")), OPTIMUM, "", "named twice"),
        (&plus(CLASSES, &WEIGHTS.replace("[0,", "[-1,")), OPTIMUM, "", "must not begin below 0"),
        (negative, RATE, "", "must not begin below 0"),
        (&NUMBERS.replace("[-10, 100]", "[1, 1]"), EXACT, "", "two finite numbers"),
        (
            &NUMBERS.replace("range", "positive = \"a\", range"),
            EXACT,
            "",
            "model.target.positive has no place",
        ),
        (
            &CLASSES.replace("positive", "range = [0, 1], positive"),
            OPTIMUM,
            "",
            "model.target.range has no place",
        ),
        (NUMBERS, "solver = \"exact\"\ncondition = 0.5", "", "training.condition is"),
        (NUMBERS, "solver = \"exact\"\ncondition = 1e9", "", "training.condition is"),
        (NUMBERS, "solver = \"exact\"\ncondition = nan", "", "training.condition is"),
        (NUMBERS, &plus(EXACT, "batch = 64"), "", "training.batch belongs to the solver \"sgd\""),
        (
            NUMBERS,
            &plus(EXACT, "tolerance = 0.1"),
            "",
            "training.tolerance belongs to the solver \"optimum\"",
        ),
        (
            NUMBERS,
            &plus(EXACT, "sigmoid = { window = 64, terms = 16 }"),
            "",
            "belongs to the solver \"sgd\"",
        ),
        (CLASSES, &plus(OPTIMUM, "seed = 1"), "", "training.seed belongs"),
        (CLASSES, &OPTIMUM.replace("0.001", "0"), "", "training.tolerance is 0"),
        (CLASSES, &plus(OPTIMUM, "passes = 0"), "", "training.passes is 0"),
        (CLASSES, &plus(OPTIMUM, "finish = \"now\""), "", "unknown variant `now`"),
        (CLASSES, &plus(OPTIMUM, "batch = 64"), "", "training.batch belongs to the solver \"sgd\""),
        (&NUMBERS.replace("kind", "kinds"), EXACT, "", "missing field `kind`"),
        (NUMBERS, EXACT, "inference = \"yes\"", "invalid type"),
    ] {
        let error = with(model, training, output).expect_err(reason).to_string();
        assert!(error.starts_with("line ") && error.contains(reason), "{reason}: {error}");
    }
    let error = message("release_bits = 16", "inference = true\nrelease_bits = 16");
    assert!(error.contains("output.inference belongs to the solver"), "{error}");
    for (line, reason) in [(WEIGHTS, "model.weights have"), ("groups = \"g\"", "model.groups have")]
    {
        let error = message("clip = 32.0", &format!("clip = 32.0\n{line}"));
        assert!(error.starts_with("line ") && error.contains(reason), "{error}");
    }
}

/// Settings that a study of before needed are told from those that never were.
#[test]
fn settings_that_are_no_longer_needed_are_named_as_such() {
    let with_line = |model: &str, line: &str| {
        let training = format!("{OPTIMUM}\n{line}");
        with(model, &training, "").expect_err(line).to_string()
    };
    for (model, setting, value) in [
        (CLASSES, "condition", "50"),
        (CLASSES, "prevalence", "0.1"),
        (CLASSES, "sigmoid", "{ window = 64, terms = 16 }"),
        (CLASSES, "largest_eigenvalue", "3.0"),
        (COUNTS, "rate", "{ mean = 2.0, halfwidth = 3.0 }"),
    ] {
        let error = with_line(model, &format!("{setting} = {value}"));
        let reason = format!("training.{setting} is not needed any more");
        assert!(error.starts_with("line ") && error.contains(&reason), "{error}");
        assert!(error.ends_with("remove it"), "{error}");
    }
    let error = with_line(CLASSES, "prevalance = 0.1");
    assert!(error.contains("training.prevalance is unknown"), "{error}");
    // A table of its own is named at its head.
    let error = with_line(COUNTS, "[training.rate]\nmean = 2.0");
    assert!(error.contains("training.rate is not needed any more"), "{error}");
}

#[test]
fn a_penalty_leaves_no_standard_errors() {
    assert!(EXAMPLE.contains("l2 = 0.01"));
    let text = EXAMPLE
        .replace("release_bits = 16", "release_bits = 16\ninference = true")
        .split_once("[training]")
        .map(|(head, tail)| {
            let security = tail.split_once("[security]").unwrap().1;
            format!("{head}[training]\n{OPTIMUM}\n[security]{security}")
        })
        .unwrap();
    let error = Study::from_bytes(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("output.inference is not possible with a penalty"), "{error}");
    let free = text.replace("l2 = 0.01", "l2 = 0.0");
    assert!(Study::from_bytes(free.as_bytes()).is_ok());
}

#[test]
fn what_does_not_fit_the_rows_is_refused_at_its_field() {
    let study = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    let line = EXAMPLE.lines().position(|line| line.starts_with("batch")).unwrap() + 1;
    let refused = |rows: &[u64]| study.plan(rows).map(drop).unwrap_err().to_string();
    let error = refused(&[10, 20, 30]);
    assert!(error.starts_with(&format!("line {line}: training.batch is 64")), "{error}");
    let error = refused(&[0, 0, 0]);
    assert!(error.starts_with("rows are 0"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Study::from_bytes(&bytes);
    }

    #[test]
    fn changed_studies_are_read_or_refused(
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        with in ".{0,6}",
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Err(error) = Study::from_bytes(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
