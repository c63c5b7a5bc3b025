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
