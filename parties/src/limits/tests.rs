use mpc_ml::data::{
    CountTarget, Feature, FeatureKind, Numeric, NumericMissing, Offset, Scaling, Schema, Target,
};

use super::*;
use crate::node::OwnSide;
use crate::settings::Overrides;

/// Rows of a jointly scaled number that may be missing, an offset and a count.
fn table(rows: &[[&str; 3]], missing: NumericMissing, scale: Scaling) -> Table {
    let number = Numeric { range: Some((0.0, 99.0)), missing, indicator: false, scale };
    let features = vec![Feature { name: "dose".into(), kind: FeatureKind::Numeric(number) }];
    let target = Target::Count(CountTarget { column: "visits".into(), range: (0.0, 50.0) });
    let offset = Offset { column: "years".into(), range: (0.1, 9.0) };
    let schema = Schema::with_offset(features, target, Some(offset)).unwrap();
    let mut table = Table::builder(schema);
    rows.iter().for_each(|row| table.push_row(row).unwrap());
    table.finish()
}

const JOINT: Scaling = Scaling::Joint;

fn refusal(rows: &[[&str; 3]], missing: NumericMissing, scale: Scaling) -> Option<String> {
    let limits = Limits { least_cells: 3, ..Limits::default() };
    limits.check_columns(&table(rows, missing, scale)).err().map(|failure| {
        assert_eq!(failure.exit, Exit::LocalInput);
        assert!(failure.advice.as_ref().unwrap().contains("limits.least_cells"), "{failure}");
        failure.what
    })
}

fn says(rows: &[[&str; 3]], words: &[&str]) {
    let what = refusal(rows, NumericMissing::Mean, JOINT).expect("refused");
    words.iter().for_each(|word| assert!(what.contains(word), "no {word:?} in {what}"));
    assert!(what.contains("limits.least_cells is 3"), "{what}");
}

#[test]
fn sums_that_tell_single_cells_are_refused() {
    let good =
        [["1", "1", "0"], ["2", "2", "1"], ["3", "1", "2"], ["4", "3", "0"], ["1", "2", "1"]];
    assert_eq!(refusal(&good, NumericMissing::Mean, JOINT), None);
    let with = |column: usize, cells: [&'static str; 5]| {
        let mut rows = good;
        rows.iter_mut().zip(cells).for_each(|(row, cell)| row[column] = cell);
        rows
    };

    says(&with(0, ["41", "", "", "", "37"]), &["column dose: only 2 of its cells are there"]);
    says(&with(0, ["41", "", "", "", ""]), &["column dose: only 1 of its cells are there"]);
    // Nobody can draw a conclusion from a column that is empty here.
    assert_eq!(refusal(&with(0, [""; 5]), NumericMissing::Mean, JOINT), None);
    // All known but for one.
    says(&with(0, ["0", "0", "-0", "57", "0"]), &["column dose: all but 1 of its cells"]);
    // A fact about the party.
    assert_eq!(refusal(&with(0, ["7"; 5]), NumericMissing::Mean, JOINT), None);
    // What is filled in is known to all.
    let filled = with(0, ["41", "", "", "", "37"]);
    let what = refusal(&filled, NumericMissing::Value(0.0), JOINT).unwrap();
    assert!(what.contains("all but 2"), "{what}");
    // No sum is made of a column with constants.
    let constants = Scaling::Constants { mean: 3.0, std: 2.0 };
    assert_eq!(refusal(&filled, NumericMissing::Value(0.0), constants), None);

    // The sum of the target is revealed by some models, and X^T y shapes all of them.
    says(&with(2, ["0", "0", "9", "0", "0"]), &["target visits: all but 1 of its cells"]);
    says(&with(1, ["1", "1", "1", "1", "2"]), &["offset years: all but 1 of its cells"]);
    assert_eq!(refusal(&with(1, ["1"; 5]), NumericMissing::Mean, JOINT), None);
    assert_eq!(refusal(&with(2, ["0"; 5]), NumericMissing::Mean, JOINT), None);
}

#[test]
fn an_operator_may_have_no_limit() {
    let rows = [["41", "1", "0"], ["", "2", "0"]];
    let limits = Limits { least_cells: 0, ..Limits::default() };
    limits.check_columns(&table(&rows, NumericMissing::Mean, JOINT)).unwrap();
    assert!(Limits::default().check_columns(&table(&rows, NumericMissing::Mean, JOINT)).is_err());
}

#[test]
fn cells_are_told_apart() {
    assert_eq!(kinds([].into_iter()), (0, 0));
    assert_eq!(kinds([1.0].into_iter()), (1, 0));
    assert_eq!(kinds([0.0, -0.0, 2.0, 0.0].into_iter()), (4, 1));
    assert_eq!(kinds([1.0, 2.0, 3.0].into_iter()), (3, 2));
}

/// What no study overrides: refused alone, with the limit, the file and what to do.
#[test]
fn limits_are_read_and_kept() {
    let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/credit_status");
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file);
    std::fs::copy(sets.join("party1.csv"), at("rows.csv")).unwrap();
    let study = std::fs::read_to_string(sets.join("study.toml")).unwrap();
    assert!(study.contains("correlations = \"pairwise\""));
    let with_dealer = study.replace("correlations = \"pairwise\"", "correlations = \"dealer\"");
    std::fs::write(at("study.toml"), study).unwrap();
    std::fs::write(at("dealer.toml"), &with_dealer).unwrap();
    let read = |limits: &str, study: &str| {
        let settings = format!(
            "version = 1\nidentity = {{ name = \"bank-a\", key = \"x.key\" }}\n\
             network = {{ listen = \"127.0.0.1:7400\" }}\ndata = {{ path = \"rows.csv\" }}\n\
             state = {{ directory = \"state\" }}\n{limits}"
        );
        std::fs::write(at("party.toml"), settings).unwrap();
        OwnSide::read(&at(study), &at("party.toml"), &Overrides::default(), false)
    };
    let refused = |limits: &str, study: &str, exit: Exit, words: &[&str]| {
        let failure = read(limits, study).map(|_| ()).expect_err(limits);
        assert_eq!(failure.exit, exit, "{failure}");
        let text = failure.to_string();
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {text}"));
    };

    assert_eq!(read("", "study.toml").unwrap().settings.limits, Limits::default());
    read("limits = { dealer = false }", "study.toml").unwrap();
    read("", "dealer.toml").unwrap();
    let local = Exit::LocalInput;
    let words = ["1761 rows, and limits.least_rows is 5000", "rows.csv", "what to do"];
    refused("limits = { least_rows = 5000 }", "study.toml", local, &words);
    let words = ["all but", "limits.least_cells is 1500", "rows.csv", "what to do"];
    refused("limits = { least_cells = 1500 }", "study.toml", local, &words);
    let words = ["limits.dealer of this node is false", "dealer.toml", "what to do"];
    refused("limits = { dealer = false }", "dealer.toml", Exit::Configuration, &words);
    refused("limits = { most_rows = 1 }", "study.toml", Exit::Configuration, &["most_rows"]);

    // What is in the study alone, whatever the rows are.
    let limited = |limit: &str, words: &[&str]| {
        let limits = format!("limits = {{ {limit} }}");
        refused(&limits, "study.toml", Exit::Configuration, words);
        refused(&limits, "study.toml", Exit::Configuration, &["study.toml", "what to do"]);
    };
    limited("peers = [\"bank-b\"]", &["names bank-c as a party", "limits.peers", "[\"bank-b\"]"]);
    limited("peers = []", &["names bank-b as a party"]);
    limited("purposes = [\"research\"]", &["does not say what kind", "limits.purposes"]);
    limited("models = [\"linear\"]", &["\"logistic\", and limits.models", "[\"linear\"]"]);
    limited("most_coefficients = 24", &["has 25 coefficients", "limits.most_coefficients", "24"]);
    limited("never_columns = [\"x\", \"income\"]", &["column Income", "limits.never_columns"]);
    limited("never_columns = [\"STATUS\"]", &["column Status", "limits.never_columns"]);
    let all = "limits = { peers = [\"bank-c\", \"bank-b\", \"bank-d\"], models = [\"logistic\"], \
               most_coefficients = 25, never_columns = [\"Inc\"] }";
    read(all, "study.toml").unwrap();
    let kind = |kind: &str| format!("{with_dealer}\n[consent]\nkind = {kind:?}\n");
    std::fs::write(at("research.toml"), kind("research")).unwrap();
    std::fs::write(at("sales.toml"), kind("sales")).unwrap();
    let research = "limits = { purposes = [\"care\", \"research\"] }";
    read(research, "research.toml").unwrap();
    let words = ["consent.kind of the study is \"sales\"", "[\"care\", \"research\"]"];
    refused(research, "sales.toml", Exit::Configuration, &words);
    for wrong in ["models = [\"ridge\"]", "purposes = [\"Any\"]", "peers = [\"Bank B\"]"] {
        let field = format!("limits.{}", wrong.split(' ').next().unwrap());
        refused(&format!("limits = {{ {wrong} }}"), "study.toml", Exit::Configuration, &[&field]);
    }
}

#[test]
fn protocols_of_the_parties_own_have_a_limit_too() {
    let text = include_str!("../../examples/custom_protocol.toml");
    let agreement = crate::study::Agreement::from_bytes(text.as_bytes()).unwrap();
    let own: PartyName = "shop-a".parse().unwrap();
    let check = |limits: &Limits| limits.check_terms(agreement.terms(), &own);
    let mut limits = Limits::default();
    check(&limits).unwrap();
    // Who allows some models has not thought of protocols, and who names others does not allow this one.
    limits.models = Some(vec![ModelKind::Linear]);
    let refused = check(&limits).unwrap_err();
    assert!(refused.what.contains("spread/1") && refused.what.contains("limits.protocols"));
    limits.protocols = Some(vec!["spread/2".to_owned()]);
    assert!(check(&limits).unwrap_err().what.contains("[\"spread/2\"]"));
    limits.protocols = Some(vec!["spread/1".to_owned()]);
    check(&limits).unwrap();
    limits.peers = Some(vec!["shop-b".parse().unwrap()]);
    assert!(check(&limits).unwrap_err().what.contains("names shop-c as a party"));
    assert!(limits.check_count(9, Path::new("input.txt")).unwrap_err().what.contains("least_rows"));
}
