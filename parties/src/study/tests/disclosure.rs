//! What a study reveals, as it is told.

use super::*;

/// What a study reveals if every party has a thousand rows.
fn disclosure(study: &Study) -> Vec<Disclosure> {
    let plan = study.plan(&vec![1000; study.parties().len()]).unwrap();
    study.disclosure(&*plan)
}

#[test]
fn every_solver_says_what_it_reveals() {
    let texts = |study: &Study| {
        let all = disclosure(study).into_iter();
        all.map(|each| format!("{} {} {}", each.what, each.to_whom, each.why)).collect::<String>()
    };
    let linear = texts(&with(NUMBERS, EXACT, "inference = true").unwrap());
    for words in ["largest condition number 1000", "the uncertainty of each", "squared residuals"] {
        assert!(linear.contains(words), "{words}: {linear}");
    }
    assert!(!linear.contains("batch") && !linear.contains("deviance of"), "{linear}");
    let poisson = texts(&with(COUNTS, RATE, "inference = true").unwrap());
    for words in
        ["deviance", "without features", "up to 40 times: two numbers", "in standard errors"]
    {
        assert!(poisson.contains(words), "{words}: {poisson}");
    }
    let plain = texts(&with(CLASSES, OPTIMUM, "").unwrap());
    assert!(!plain.contains("deviance"), "{plain}");
    let sgd = texts(&Study::from_bytes(EXAMPLE.as_bytes()).unwrap());
    assert!(sgd.contains("form a batch: 20 epochs in batches of 64"), "{sgd}");
}

/// What is told in words is what the session lets out, output by output.
#[test]
fn everything_that_is_revealed_is_told() {
    for (model, training, output) in [
        (NUMBERS, EXACT, "inference = true"),
        (NUMBERS, EXACT, ""),
        (CLASSES, OPTIMUM, "inference = true"),
        (COUNTS, RATE, "inference = true"),
    ] {
        let study = with(model, training, output).unwrap();
        let plan = study.plan(&[1000; 3]).unwrap();
        let told = study.disclosure(&*plan);
        let outputs = study.outputs(&*plan);
        let labels: std::collections::BTreeSet<_> =
            outputs.iter().map(|output| &output.label).collect();
        assert_eq!(labels.len(), outputs.len(), "a label stands for two outputs");
        for output in &outputs {
            assert!(!output.what.is_empty() && !output.why.is_empty(), "{}", output.label);
            let times = |what: &str| {
                what == output.what || what.ends_with(&format!(" times: {}", output.what))
            };
            assert!(told.iter().any(|each| times(&each.what)), "{}", output.label);
        }
        // Beside them: public facts, traffic. What is revealed after each pass is told once.
        let different: std::collections::BTreeSet<_> =
            outputs.iter().map(|output| (&output.what, &output.why)).collect();
        assert_eq!(told.len(), different.len() + 2);
    }
}

#[test]
fn recipients_may_be_all_or_some() {
    let list = "model = [\"bank-a\", \"bank-b\", \"bank-c\"]";
    assert_eq!(changed(list, "model = \"all\"").unwrap().receivers().len(), 3);
    let some = changed(list, "model = [\"bank-c\", \"bank-a\"]").unwrap();
    let names: Vec<_> = some.receivers().iter().map(PartyName::as_str).collect();
    assert_eq!(names, ["bank-a", "bank-c"]);
    assert_eq!(some.recipients(), Recipients::Among(0b101));
    let model = disclosure(&some).into_iter().find(|each| each.what.contains("coefficients"));
    assert_eq!(model.unwrap().to_whom, "bank-a, bank-c");
}

#[test]
fn two_parties_are_warned() {
    let text = EXAMPLE.replace(", \"bank-c\"]", "]");
    let two = Study::from_bytes(text.as_bytes()).unwrap();
    let warned = |study: &Study| disclosure(study).iter().any(|each| each.why.contains("WARNING"));
    assert!(warned(&two));
    let three = Study::from_bytes(EXAMPLE.as_bytes()).unwrap();
    assert!(!warned(&three));
    // Sums of inference are the other's by subtraction.
    let two = |inference: &str| {
        let text = |each: &Study| disclosure(each).into_iter().map(|d| d.why).collect::<String>();
        let study = with(NUMBERS, EXACT, inference).unwrap();
        let parties = study.parties()[..2].to_vec();
        let terms = Terms { parties: parties.clone(), ..study.terms };
        let study = Study { recipients: parties, terms, ..study };
        text(&study).matches("WARNING").count()
    };
    assert_eq!((two("inference = true"), two("")), (2, 1));
}

#[test]
fn a_dealer_is_named_where_there_is_one() {
    let named = |study: &Study| disclosure(study).iter().any(|each| each.to_whom == "the dealer");
    assert!(!named(&Study::from_bytes(EXAMPLE.as_bytes()).unwrap()));
    assert!(named(&changed("correlations = \"pairwise\"", "correlations = \"dealer\"").unwrap()));
}
