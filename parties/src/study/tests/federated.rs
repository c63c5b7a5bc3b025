//! Studies by federated averaging.

use super::super::Study;

const TEXT: &str = include_str!("../../../../scripts/data/credit_status/federated.toml");
const PRIVATE: &str = include_str!("../../../../scripts/data/credit_status/private.toml");

fn refused(text: &str) -> String {
    Study::from_bytes(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn a_federated_study_says_what_its_rounds_reveal() {
    let study = Study::from_bytes(TEXT.as_bytes()).unwrap();
    assert!(study.is_federated());
    let plan = study.plan(&[1761, 1089, 713]).unwrap();
    let told = study.disclosure(&*plan);
    let round = told.iter().find(|each| each.what.starts_with("up to 20 times")).unwrap();
    for words in ["25 coefficients", "that all 3 parties were in it", "number of rows", "gradient"]
    {
        assert!(round.what.contains(words), "{words}: {}", round.what);
    }
    assert!(round.to_whom.starts_with("all parties"), "{}", round.to_whom);
    // Where parties may be away, that is told, and what it tells.
    let parties = "parties = [\"bank-a\", \"bank-b\", \"bank-c\"]";
    let more = TEXT.replace(parties, "parties = [\"a\", \"b\", \"c\", \"d\", \"e\"]");
    let study = Study::from_bytes(more.as_bytes()).unwrap();
    let told = study.disclosure(&*study.plan(&[100; 5]).unwrap());
    let round = told.iter().find(|each| each.what.starts_with("up to 20 times")).unwrap();
    assert!(round.what.contains("which of the 5 parties were in it (3 at least)"));
    assert!(round.why.contains("shows by the difference"), "{}", round.why);
}

#[test]
fn what_does_not_go_with_it_is_refused() {
    for (from, to, words) in [
        ("mode = \"federated\"", "mode = \"central\"", "training.mode must be \"federated\""),
        (
            "mode = \"federated\"",
            "solver = \"federated\"",
            "write mode = \"federated\" in its place",
        ),
        ("rounds = 20", "solver = \"sgd\"", "training.solver has no place beside mode"),
        ("rounds = 20", "epochs = 3", "training.epochs has no place in a study with mode"),
        ("rounds = 20", "rounds = 0", "training.rounds is 0"),
        ("rounds = 20", "turns = 20", "unknown field `turns`"),
        ("l2 = 0.01\n", "", "missing field `l2`"),
        (
            "[security]",
            "[output]\nrelease_bits = 20\n[security]",
            "output.release_bits has no place",
        ),
        ("[security]", "[output]\ninference = true\n[security]", "output.inference has no place"),
        (
            "[security]",
            "[output]\nmodel = [\"bank-a\"]\n[security]",
            "output.model must be \"all\"",
        ),
        ("against = \"semi-honest\"", "", "security.against must be \"semi-honest\""),
        ("\"pairwise\"", "\"dealer\"", "needs no joint randomness"),
        ("[model]", "[model]\ngroups = \"person\"", "remove them"),
        ("[model]", "[model]\nclip = 8.0", "model.clip has no place"),
        ("[model]", "[model]\nintercept = false", "model.intercept has no place"),
    ] {
        assert!(TEXT.contains(from), "{from}");
        let error = refused(&TEXT.replacen(from, to, 1));
        assert!(error.contains(words), "{words}: {error}");
    }
    let exact = TEXT.replace("mode = \"federated\"\n", "");
    assert!(refused(&exact).contains("belongs to mode = \"federated\""), "{}", refused(&exact));
    let poisson = TEXT
        .replace("kind = \"logistic\"", "kind = \"poisson\"")
        .replace("positive = \"bad\", negative = \"good\"", "range = [0, 9]");
    assert!(refused(&poisson).contains("has no Poisson models"), "{}", refused(&poisson));
    let few = TEXT.replace("least_parties = 3", "least_parties = 2");
    let study = Study::from_bytes(few.as_bytes()).unwrap();
    let error = study.plan(&[100; 3]).err().unwrap().to_string();
    assert!(error.contains("training.least_parties is 2, and must be from 3 to 3"), "{error}");
    // A quorum that two groups could each have, and one that is more than may begin.
    for (threshold, words) in [
        (1, "training.threshold is 1, and must be from 2 to 3"),
        (4, "training.threshold is 4, and must be from 2 to 3"),
    ] {
        let quorum = format!("least_parties = 3\nthreshold = {threshold}");
        let study =
            Study::from_bytes(TEXT.replace("least_parties = 3", &quorum).as_bytes()).unwrap();
        let error = study.plan(&[100; 3]).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
    let quorum = TEXT.replace("least_parties = 3", "least_parties = 3\nthreshold = 2");
    let study = Study::from_bytes(quorum.as_bytes()).unwrap();
    let told = study.disclosure(&*study.plan(&[100; 3]).unwrap());
    let round = told.iter().find(|each| each.what.starts_with("up to 20 times")).unwrap();
    assert!(
        round.why.contains("as long as fewer than 2 nodes pool what they see"),
        "{}",
        round.why
    );
    // Who holds columns has no whole rows.
    let columns = include_str!("../../../../scripts/data/breast_cancer_vertical/study.toml");
    let (begin, end) = columns.split_once("[training]").unwrap();
    let (_, end) = end.split_once("\n[").unwrap();
    let federated = "mode = \"federated\"\n";
    let error = refused(&format!("{begin}[training]\n{federated}\n[{end}"));
    assert!(error.contains("partition is \"vertical\""), "{error}");
}

/// The advice makes a private study of it.
#[test]
fn noise_for_rows_has_no_place_in_it() {
    let begin = "[privacy]";
    let asked = "[training]\nmode = \"federated\"\nl2 = 0.01\nrounds = 20\nown_steps = 20\nleast_parties = 3\n\
                 patience_s = 60\n[privacy]";
    let both = PRIVATE.replacen(begin, asked, 1);
    let both = both.replacen("[security]", "[security]\nagainst = \"semi-honest\"", 1);
    let error = refused(&both);
    assert!(
        error.contains("training.mode is \"federated\", and the study has [privacy]"),
        "{error}"
    );
    let (mut followed, settings) = (String::new(), error.split_once('(').unwrap().1);
    let settings = settings.split_once(')').unwrap().0;
    let named: Vec<&str> = settings.split(", ").chain(["mode", "l2", "against"]).collect();
    for line in both.lines() {
        if !named.iter().any(|name| line.starts_with(&format!("{name} ="))) {
            followed += &format!("{line}\n");
        }
    }
    let study = Study::from_bytes(followed.as_bytes()).unwrap();
    assert!(study.privacy().is_some() && !study.is_federated());
}

#[test]
fn several_classes_are_declared() {
    let several = |target: &str| {
        let text = TEXT.replace("kind = \"logistic\"", "kind = \"multinomial\"");
        text.replace("positive = \"bad\", negative = \"good\"", target)
    };
    let levels = several("levels = [\"bad\", \"good\", \"unknown\"]");
    let study = Study::from_bytes(levels.as_bytes()).unwrap();
    let plan = study.plan(&[100; 3]).unwrap();
    let told = study.disclosure(&*plan);
    assert!(told.iter().any(|each| each.what.contains("75 coefficients")), "{told:?}");
    for (target, words) in [
        ("positive = \"bad\", negative = \"good\"", "model.target.positive has no place here"),
        ("range = [0, 1]", "model.target.range has no place here"),
        ("party = \"bank-a\"", "has no place here"),
        ("levels = [\"bad\"]", "\"Status\" has 1 levels"),
        ("levels = [\"bad\", \"bad\"]", "\"Status\""),
    ] {
        let error = refused(&several(target));
        assert!(error.contains(words), "{words}: {error}");
    }
    let missing = refused(&several("levels = []").replace(", levels = []", ""));
    assert!(missing.contains("model.target.levels is missing"), "{missing}");
    let exact = levels.replace("mode = \"federated\"\n", "");
    assert!(refused(&exact).contains("training.mode is missing"), "{}", refused(&exact));
    let two = TEXT.replace("negative = \"good\"", "negative = \"good\", levels = [\"a\", \"b\"]");
    assert!(refused(&two).contains("it belongs to kind = \"multinomial\""), "{}", refused(&two));
}
