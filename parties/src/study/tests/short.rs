//! What a study need not say, and what it must not.

use super::*;

/// What is left out changes nothing but how long a fit takes, or is the strict one.
#[test]
fn a_short_study_is_the_long_one() {
    let short = r#"
        version = 1
        title = "Strength"
        parties = ["a", "b"]
        model = { kind = "linear", target = { column = "y", range = [0, 9] } }
        features = [
          { name = "age", range = [0, 120] },
          { name = "sex", levels = ["m", "f"] },
        ]"#;
    let long = r#"
        version = 1
        title = "Strength"
        parties = ["a", "b"]
        partition = "horizontal"
        [model]
        kind = "linear"
        target = { column = "y", range = [0, 9] }
        intercept = true
        l2 = 0.0
        clip = 1024.0
        [[features]]
        name = "age"
        type = "numeric"
        range = [0, 120]
        missing = "refuse"
        indicator = false
        scale = "joint"
        [[features]]
        name = "sex"
        type = "categorical"
        levels = ["m", "f"]
        base = "m"
        missing = "refuse"
        [training]
        solver = "exact"
        [security]
        correlations = "pairwise"
        against = "covert"
        [output]
        model = "all"
        release_bits = 20
        inference = false"#;
    let read = |text: &str| Study::from_bytes(text.as_bytes()).unwrap();
    let same = |short: &Study, long: &Study| {
        assert_eq!(short.schema(), long.schema());
        assert_eq!(short.model().settings(), long.model().settings());
        assert_eq!(short.security(), long.security());
        assert_eq!(short.receivers(), long.receivers());
        let plan = |study: &Study| study.outputs(&*study.plan(&[40, 50]).unwrap());
        assert_eq!(format!("{:?}", plan(short)), format!("{:?}", plan(long)));
    };
    same(&read(short), &read(long));
    let logistic = |text: &str| {
        let text = text.replace("\"linear\"", "\"logistic\"");
        let text = text.replace("\"exact\"", "\"optimum\"").replace("bits = 20", "bits = 24");
        text.replace("range = [0, 9]", "positive = \"1\", negative = \"0\"")
    };
    same(&read(&logistic(short)), &read(&logistic(long)));
}

/// Names that would collide in a model file are refused where the study is read.
#[test]
fn names_that_a_model_needs_are_refused() {
    for (name, others, words) in [
        ("(intercept)", "", "the one of the intercept"),
        ("age=b", "{ name = \"age\", levels = [\"a\", \"b\"] },", "would both have the name"),
        (
            "age__missing",
            "{ name = \"age\", missing = \"mean\", indicator = true },",
            "would both have the name",
        ),
    ] {
        let text = format!(
            "version = 1\ntitle = \"t\"\nparties = [\"a\", \"b\"]\n\
             model = {{ kind = \"linear\", target = {{ column = \"y\", range = [0, 9] }} }}\n\
             features = [{others} {{ name = {name:?} }}]\n"
        );
        let error = Study::from_bytes(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("line 5: ") && error.contains(words), "{name}: {error}");
    }
}
