use mpc_ml::data::{
    BinaryTarget, CaseWeights, Categorical, CategoricalMissing, FeatureKind, Numeric,
    NumericMissing, Scaling,
};

use super::*;
use crate::study::Study;

const EXAMPLE: &str = include_str!("../../../../scripts/data/credit_status/study.toml");
const NAME: &str = "alignment:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The example for parties that hold columns: the features in turn at the parties that `parties` names.
fn vertical(parties: &[&str]) -> String {
    let mut turn = parties.iter().cycle();
    let mut lines = Vec::new();
    for line in EXAMPLE.lines() {
        lines.push(line.replace("column = \"Status\"", "column = \"Status\", party = \"bank-b\""));
        if line == "[[features]]" {
            lines.push(format!("party = {:?}", turn.next().unwrap()));
        }
    }
    let text = lines.join("\n") + "\n";
    let to = format!("partition = \"vertical\"\nalignment = {NAME:?}");
    text.replacen("partition = \"horizontal\"", &to, 1)
}

fn refused(text: &str) -> String {
    Study::from_bytes(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_is_said_of_columns_is_checked_at_its_line() {
    let all = ["bank-a", "bank-b", "bank-c"];
    let good = vertical(&all);
    let line = |words: &str| {
        good.lines().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}")) + 1
    };
    let (alignment, target) = (line("alignment ="), line("[model]"));
    let named = format!("alignment = {NAME:?}");
    for (from, to, at, words) in [
        (&*named, "", None, "partition is \"vertical\", and the study names no alignment"),
        ("00112233", "0011223", Some(alignment), "must be the name of an alignment"),
        ("\"alignment:", "\"study:", Some(alignment), "must be the name of an alignment"),
        (", party = \"bank-b\"", "", None, "model.target.party is missing"),
        (
            ", party = \"bank-b\"",
            ", party = \"bank-x\"",
            None,
            "model.target.party names \"bank-x\"",
        ),
        ("party = \"bank-c\"\n", "", None, "features[3].party (of \"Age\") is missing"),
        ("party = \"bank-c\"\n", "party = \"bank\"\n", None, "features[3].party names \"bank\""),
        ("partition = \"vertical\"", "partition = \"mixed\"", None, "partition is \"mixed\""),
        (
            "partition = \"vertical\"",
            "partition = \"horizontal\"",
            Some(alignment),
            "alignment has no place here",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let error = refused(&good.replacen(from, to, 1));
        assert!(error.starts_with("line ") && error.contains(words), "{words}: {error}");
        if let Some(at) = at {
            assert!(error.starts_with(&format!("line {at}: ")), "{at}: {error}");
        }
    }
    assert!(target > alignment);
    let whole = good.replacen(&named, "", 1).replace("\"vertical\"", "\"horizontal\"");
    assert!(refused(&whole).contains("features[1].party has no place here"));
    let error = refused(&vertical(&all[..2]));
    assert!(error.contains("parties[3] holds no column of this study"), "{error}");
}

#[test]
fn the_study_of_the_docs_is_read_with_its_scores() {
    let page = include_str!("../../../../docs/study-vertical.md");
    let mut files = page.split("```").filter_map(|block| block.strip_prefix("toml\n"));
    let (fit, evaluate) = (files.next().unwrap(), files.next().unwrap());
    let predict = files.next().unwrap();
    let study = Study::from_bytes(fit.as_bytes()).unwrap();
    assert!(study.is_own() && study.has_target(0) && study.scoring().is_none());
    assert_eq!(study.columns().unwrap().widths(), [2, 1, 2]);
    let told = study.disclosure(&*study.plan(&[3000; 3]).unwrap());
    let of = |words: &str| told.iter().filter(|each| each.what.contains(words)).count();
    assert_eq!(
        (of("its own part of the final model"), of("what follows from the results")),
        (3, 1)
    );
    assert_eq!(of("mean, the standard deviation"), 0);
    let error = study.plan(&[29; 3]).map(drop).unwrap_err().to_string();
    assert!(error.contains("features are too many for the aligned records"), "{error}");

    let scores = format!("{fit}\n{predict}");
    let scoring = Study::from_bytes(scores.as_bytes()).unwrap();
    assert!(scoring.scoring().is_some() && !scoring.has_target(0));
    assert_eq!(scoring.receivers().len(), 1);
    let told = scoring.disclosure(&*scoring.plan(&[3; 3]).unwrap());
    let told: Vec<&str> = told.iter().map(|each| &*each.what).collect();
    assert!(told.len() == 4 && told[2].starts_with("the score of each record"), "{told:?}");
    let refused = |from: &str, to: &str| {
        assert!(scores.contains(from), "{from}");
        refused(&scores.replacen(from, to, 1))
    };
    assert!(refused("study:8d", "study:8").contains("predict.study must be the digest"));
    assert!(refused("scores = [\"bank\"]", "scores = []").contains("predict.scores names nobody"));
    assert!(refused("scores =", "score =").contains("unknown field `score`"));
    assert!(refused("\"pairwise\"", "\"dealer\"").contains("need no joint randomness"));
    let whole = include_str!("../../../../scripts/data/concrete_strength/study.toml");
    assert!(self::refused(&format!("{whole}\n{predict}")).contains("party predict --model"));

    let evaluation = format!("{fit}\n{evaluate}");
    let study = Study::from_bytes(evaluation.as_bytes()).unwrap();
    assert!(study.has_target(0) && !study.has_target(1) && study.receivers().len() == 3);
    let told = study.disclosure(&*study.plan(&[500; 3]).unwrap());
    let told: Vec<&str> = told.iter().map(|each| &*each.what).collect();
    assert!(told.len() == 5 && told[3].contains("area under the ROC curve"), "{told:?}");
    let error = study.plan(&[29; 3]).map(drop).unwrap_err().to_string();
    assert!(error.contains("29 test records"), "{error}");
    assert!(self::refused(&format!("{evaluation}\n{predict}")).contains("write two files"));
    assert!(self::refused(&format!("{whole}\n{evaluate}")).contains("party study evaluate"));
    let wrong = evaluation.replacen("study = \"study:8d", "study = \"study:8", 1);
    assert!(self::refused(&wrong).contains("evaluate.study must be the digest"));
}

fn feature(name: &str, words: bool) -> Feature {
    let kind = if words {
        FeatureKind::Categorical(Categorical {
            levels: ["a", "b", "c"].map(str::to_owned).to_vec(),
            base: "a".into(),
            missing: CategoricalMissing::Base,
        })
    } else {
        FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Mean,
            indicator: false,
            scale: Scaling::Joint,
        })
    };
    Feature { name: name.into(), kind }
}

#[test]
fn each_party_reads_its_own_columns() {
    let features = ["x", "y", "z"].map(|name| (name.to_owned(), Field::default())).to_vec();
    let said = Said {
        cut: Cut::Vertical,
        alignment: Some(NAME.to_owned()),
        // As the study has them: in no order of the parties.
        features: [("z", "b"), ("x", "a"), ("y", "a")]
            .map(|(name, party)| (name.to_owned(), Some(party.to_owned()), Field::default()))
            .to_vec(),
        target: Some("c".to_owned()),
    };
    let parties = ["a", "b", "c"].map(|name| name.parse().unwrap());
    let places = said.check(&parties).unwrap().unwrap();
    assert_eq!(places.features, [1, 0, 0]);
    let target = BinaryTarget { column: "t".into(), positive: "1".into(), negative: "0".into() };
    let rest = RowColumns {
        weights: Some(CaseWeights { column: "w".into(), range: (0.0, 2.0) }),
        ..RowColumns::default()
    };
    let all = vec![feature("x", false), feature("y", true), feature("z", false)];
    let schema = Schema::with_columns(all, Target::Binary(target), rest).unwrap();
    let columns = places.columns(3, &schema, &features).unwrap();
    assert_eq!((columns.widths(), columns.holder()), (vec![3, 1, 0], 2));
    assert_eq!(columns.alignment().to_string(), NAME);
    let names = |place: usize| columns.schema_of(place).unwrap().columns();
    assert_eq!(names(0), ["x", "y=b", "y=c"]);
    assert_eq!(names(1), ["z"]);
    assert!(names(2).is_empty() && columns.schema_of(3).is_none());
    let weights = |place: usize| columns.schema_of(place).unwrap().weights().is_some();
    assert_eq!([0, 1, 2].map(weights), [false, false, true]);

    let refused = columns.enough(&[24; 3]).unwrap_err().to_string();
    assert!(refused.contains("are 5 coefficients, and 24 records"), "{refused}");
    assert!(refused.contains("which is 25"), "{refused}");
    assert!(columns.enough(&[25; 3]).is_ok());
}
