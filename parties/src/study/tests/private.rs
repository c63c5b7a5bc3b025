//! Studies with differential privacy.

use super::super::Study;

/// A study with differential privacy declares all by which a row becomes numbers, and asks for nothing without noise.
#[test]
fn a_private_study_declares_everything() {
    const TEXT: &str = include_str!("../../../../scripts/data/credit_status/private.toml");
    let study = Study::from_bytes(TEXT.as_bytes()).unwrap();
    assert_eq!(study.privacy().unwrap().epsilon, 3.0);
    assert!(study.plan(&[1761, 1089, 713]).is_ok());
    for (from, to, words) in [
        ("scale = { typical = [20, 60] }", "scale = \"joint\"", "typical = [LOW, HIGH]"),
        ("scale = { typical = [20, 60] }", "", "typical = [LOW, HIGH]"),
        ("typical = [20, 60]", "typical = [60, 20]", "a smaller and a larger number"),
        ("epsilon = 3", "", "epsilon"),
        ("epsilon = 3", "epsilon = 0", "privacy.epsilon is 0"),
        (
            "[privacy]",
            "[training]\nsolver = \"optimum\"\n[privacy]",
            "belongs to the solver \"private\"",
        ),
        ("[security]", "[output]\nrelease_bits = 20\n[security]", "release_bits"),
        (
            "[security]",
            "[output]\nmodel = [\"bank-a\"]\n[security]",
            "output.model must be \"all\"",
        ),
        (
            "[security]",
            "[security]\nagainst = \"semi-honest\"",
            "must be \"covert\" with [privacy]",
        ),
        ("[privacy]", "[training]\nepsilon = 1\n[privacy]", "stands in"),
    ] {
        assert!(TEXT.contains(from), "{from}");
        let error = Study::from_bytes(TEXT.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let moved = TEXT.replace("[privacy]", "[training]\nsolver = \"private\"");
    let error = Study::from_bytes(moved.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("belongs into [privacy]"), "{error}");
    let few = study.plan(&[40, 40, 40]).err().unwrap().to_string();
    assert!(few.contains("privacy.epsilon is 3") && few.contains("rows would do"), "{few}");
}

/// Standard errors are asked for where those of other models are, of models that can have them.
#[test]
fn a_private_study_may_ask_for_standard_errors() {
    const LINEAR: &str = include_str!("../../../../scripts/data/diabetes_progression/private.toml");
    const COUNTS: &str = include_str!("../../../../scripts/data/doctor_visits_count/private.toml");
    let asked = |text: &str, table: &str| {
        let text =
            text.replacen("[privacy]", &format!("[{table}]\ninference = true\n[privacy]"), 1);
        Study::from_bytes(text.as_bytes())
    };
    let rows = [3000, 3000, 3000];
    let study = asked(LINEAR, "output").unwrap();
    assert!(study.privacy().unwrap().inference);
    let said = |study: &Study| {
        let plan = study.plan(&rows).unwrap();
        let figures = plan.figures().precision.join(" ");
        (plan.outputs(), figures)
    };
    let (outputs, figures) = said(&study);
    assert_eq!(outputs.len(), 3);
    let why = &outputs[0].why;
    assert!(
        why.contains("its standard errors where a public test")
            && why.contains("differentially private")
    );
    assert!(figures.contains("must be") && figures.contains("up to some three times as far off"));
    // What does not ask stays as it is.
    let plain = Study::from_bytes(LINEAR.as_bytes()).unwrap();
    let (outputs, figures) = said(&plain);
    assert_eq!(outputs.len(), 13);
    assert!(figures.contains("no standard errors") && !outputs[0].why.contains("standard errors"));
    // With few rows the noise leaves none, whatever they are.
    let few = study.plan(&[118, 118, 118]).err().unwrap().to_string();
    assert!(few.contains("output.inference cannot be had with this noise"), "{few}");
    let wrong = asked(LINEAR, "training").unwrap_err().to_string();
    assert!(wrong.contains("belongs into [output]: move it there"), "{wrong}");
    let inside = LINEAR.replacen("[privacy]", "[privacy]\ninference = true", 1);
    let wrong = Study::from_bytes(inside.as_bytes()).unwrap_err().to_string();
    assert!(wrong.contains("belongs into [output]: move it there"), "{wrong}");
    let counts = asked(COUNTS, "output").unwrap_err().to_string();
    assert!(counts.contains("output.inference is not possible for counts"), "{counts}");
}
