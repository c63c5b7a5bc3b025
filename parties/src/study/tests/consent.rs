use super::*;

fn with(consent: &str) -> Result<Study, StudyError> {
    Study::from_bytes(format!("{EXAMPLE}\n{consent}").as_bytes())
}

#[test]
fn a_study_says_what_it_is_for() {
    let plain = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(plain.consent(), &Consent::default());
    let text = r#"
[consent]
purpose = """
Whether default can be foreseen
with the data of three banks."""
kind = "risk-research"
legal_basis = "Art. 6 (1) f GDPR"
retention = "the model until 2031, records of the run for a year"
approvals = "all"
[[consent.controllers]]
party = "bank-b"
controller = "Bank B plc"
contact = "dpo@bank-b.example"
[[consent.controllers]]
party = "bank-a"
controller = "Bank A AG"
"#;
    let study = with(text).unwrap();
    let consent = study.consent();
    assert!(consent.purpose.as_ref().unwrap().contains("foreseen\nwith"));
    assert_eq!(consent.kind.as_deref(), Some("risk-research"));
    assert_eq!(consent.approvals, Approvals::All);
    assert_eq!(consent.controllers[0].party.as_str(), "bank-b");
    assert_eq!(consent.controllers[1].contact, None);
    // Every word of it is agreed on.
    let other = with(&text.replace("a year", "two years")).unwrap();
    assert_ne!(study.digest(), other.digest());
}

#[test]
fn what_a_study_is_for_is_bounded_and_shows_as_what_it_is() {
    let refused = |consent: &str, words: &[&str]| {
        let text = with(consent).unwrap_err().to_string();
        assert!(text.starts_with("line "), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
    };
    let long = "x".repeat(2001);
    for purpose in ["", " ", "a\\u001b[2Jb", "a\\u202eb", "a\\u0007", &long] {
        let consent = format!("[consent]\npurpose = \"{purpose}\"");
        refused(&consent, &["consent.purpose must be text of 1 to 2000 characters"]);
    }
    with(&format!("[consent]\npurpose = \"{}\"", &long[1..])).unwrap();
    refused("[consent]\nkind = \"Research\"", &["consent.kind must be a word"]);
    refused("[consent]\napprovals = \"some\"", &["consent.approvals must be \"all\""]);
    refused("[consent]\nreason = \"x\"", &["unknown field `reason`"]);
    let one = "{ party = \"bank-a\", controller = \"A\" }";
    let list = |items: &str| format!("[consent]\ncontrollers = [{items}]");
    refused(&list(&format!("{one}, {one}")), &["consent.controllers[2]", "bank-a a second time"]);
    refused(&list(&one.replace("bank-a", "bank-x")), &["[1].party", "not among the parties"]);
    refused(&list(&one.replace("\"A\"", "\"A\\nB\"")), &["[1].controller must be one line"]);
}
