use proptest::prelude::*;

use super::*;

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
    assert_eq!(study.output().model.len(), 3);
    assert_eq!(study.training().step_length(10), 0.25);
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

#[test]
fn errors_name_line_field_and_rule() {
    let line = EXAMPLE.lines().position(|line| line.starts_with("batch")).unwrap() + 1;
    assert_eq!(
        message("batch = 64 ", "batch = 0 "),
        format!("line {line}: training.batch must be a whole number from 1 to 1000000")
    );
    let line = EXAMPLE.lines().position(|line| line.starts_with("base = ")).unwrap() + 1;
    let text = message("base = \"ignore\"\n", "");
    assert!(text.starts_with("line ") && text.contains("features[10].base"), "{text}");
    let text = message("base = \"ignore\"", "base = \"ignored\"");
    // The error stands at the feature's name.
    assert!(text.starts_with(&format!("line {}: the base", line - 3)), "{text}");
    let text = message("epochs = 20", "epochs = 20\nepoch = 3");
    assert!(text.starts_with("line ") && text.contains("unknown field `epoch`"), "{text}");
    let text = message("epochs = 20", "");
    assert!(text.contains("missing field `epochs`"), "{text}");
    let text = message("window = 64", "window = 100");
    assert!(text.contains("training.sigmoid.window must be a power of two, for example 128"));
    assert!(message("[security]", "[security").starts_with("line "));
}

#[test]
fn what_comes_later_is_named() {
    for (from, to) in [
        ("partition = \"horizontal\"", "partition = \"vertical\""),
        ("kind = \"logistic\"", "kind = \"linear\""),
    ] {
        let error = changed(from, to).unwrap_err();
        assert!(matches!(error, StudyError::NotYet { line: Some(_), .. }), "{error}");
        assert!(error.to_string().contains("not supported yet"), "{error}");
    }
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

#[test]
fn recipients_may_be_all_or_some() {
    let list = "model = [\"bank-a\", \"bank-b\", \"bank-c\"]";
    assert_eq!(changed(list, "model = \"all\"").unwrap().output().model.len(), 3);
    let some = changed(list, "model = [\"bank-c\", \"bank-a\"]").unwrap();
    let names: Vec<_> = some.output().model.iter().map(PartyName::as_str).collect();
    assert_eq!(names, ["bank-a", "bank-c"]);
    let model = some.disclosure().into_iter().find(|each| each.what.contains("coefficients"));
    assert_eq!(model.unwrap().to_whom, "bank-a, bank-c");
}

#[test]
fn two_parties_are_warned() {
    let text = EXAMPLE.replace(", \"bank-c\"]", "]");
    let two = Study::from_bytes(text.as_bytes()).unwrap();
    let warned = |study: &Study| study.disclosure().iter().any(|each| each.why.contains("WARNING"));
    assert!(warned(&two));
    let three = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    assert!(!warned(&three));
    assert!(three.disclosure().iter().any(|each| each.to_whom == "the dealer"));
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
