use std::fs;

use crate::data_file::Source;
use crate::schema::testing::{of_toml, same_fields};

use super::*;

const FILE: &str = r#"version = 1
title = "Clients of both"
parties = ["bank", "insurer"]
most = [1000, 500]
least = 2
test_ids = [["A-1 ", "1970-01-01"]]

[[id]]
column = "name"

[[id]]
column = "born"
rules = ["digits"]
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    Alignment::from_bytes(FILE.replace(from, to).as_bytes()).expect_err("refused")
}

#[test]
fn a_file_is_read() {
    let alignment = Alignment::from_bytes(FILE.as_bytes()).unwrap();
    assert_eq!(alignment.terms(), &Terms { bounds: vec![1000, 500], least: 2 });
    assert_eq!(alignment.terms().leader(), 1);
    assert_eq!(alignment.position(&"insurer".parse().unwrap()), Some(1));
    assert!(alignment.name().to_string().starts_with("alignment:"));
    let other = Alignment::from_bytes(FILE.replace("of both", "of all").as_bytes()).unwrap();
    assert_ne!(alignment.name(), other.name());
}

#[test]
fn the_file_of_the_docs_is_read() {
    let page = include_str!("../../../docs/alignment.md");
    let file = page.split("```").find_map(|block| block.strip_prefix("toml\n")).unwrap();
    let alignment = Alignment::from_bytes(file.as_bytes()).unwrap();
    assert_eq!(alignment.parties().len(), 3);
    // Accents in both forms are one id.
    let ids = ["P\u{fc}-0012", " pu\u{308}-0012  "];
    let encoder = alignment.encoder.of_file(&BTreeMap::new());
    let days = ["31.01.1970", "1970-01-31"];
    let ids = [0, 1].map(|at| encoder.encode(&[ids[at], days[at]]));
    assert!(ids[0].is_some() && ids[0] == ids[1]);
}

#[test]
fn fields_of_an_alignment_are_those_of_its_schema() {
    let schema = crate::schema::alignment();
    same_fields::<Raw>(&schema, "");
    same_fields::<IdColumn>(&schema, "/properties/id/items");
    let page = include_str!("../../../docs/alignment.md");
    let file = page.split("```").find_map(|block| block.strip_prefix("toml\n")).unwrap();
    for text in [FILE, file] {
        assert_eq!(of_toml(&schema, text), Vec::<String>::new());
    }
    let rule = FILE.replace("[\"digits\"]", "[\"number\"]");
    assert_eq!(of_toml(&schema, &rule), [".id[1].rules[0]: none of the words"]);
}

#[test]
fn what_breaks_a_rule_is_named_with_its_line() {
    for (from, to, due) in [
        ("version = 1", "version = 2", "line 1: version is 2"),
        ("[\"bank\", \"insurer\"]", "[\"bank\"]", "line 3: parties must be 2 to 7"),
        ("[\"bank\", \"insurer\"]", "[\"bank\", \"bank\"]", "line 3: parties[2] is there twice"),
        ("[1000, 500]", "[1000]", "line 4: most must have a number for each"),
        ("[1000, 500]", "[1000, 0]", "line 4: most[2] must be from 1"),
        ("least = 2", "least = 501", "line 5: least is 501, and a party may have 500"),
        ("least = 2", "lest = 2", "line 5: unknown field `lest`"),
        (", \"1970-01-01\"", "", "line 6: test_ids[1] must have 2 cells"),
        ("column = \"born\"", "column = \"name\"", "line 12: id[2].column \"name\" is there twice"),
        ("[\"digits\"]", "[\"digits\", \"letters-and-digits\"]", "line 13: id[2].rules have"),
        ("[\"digits\"]", "[\"number\"]", "line 13: unknown variant `number`"),
        ("rules = [\"digits\"]", "dates = []", "line 13: id[2].dates must have a form"),
        (
            "rules = [\"digits\"]",
            "dates = [\"%d.%m.%y\"]",
            "line 13: id[2].dates have \"%d.%m.%y\"",
        ),
        (
            "rules = [\"digits\"]",
            "rules = [\"digits\"]\ndates = [\"%Y-%m-%d\"]",
            "line 13: id[2].rules have no place",
        ),
        ("rules = [\"digits\"]", "dates = [\"%d.%m.%Y\"]", "line 6: test_ids[1] cannot be encoded"),
    ] {
        let text = refused(from, to);
        assert!(text.starts_with(due), "{due}: {text}");
    }
}

#[test]
fn ids_are_read_counted_and_written_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.csv");
    fs::write(
        &data,
        "name,x,born\nAnn,1,1970-01-02\n bob ,2,19.3.80\nann,3,1970/01/02\n,4,1990\nEve,\"5,5\",1.0\n",
    )
    .unwrap();
    let alignment = |duplicates: &str| {
        let text = FILE.replace("least = 2", &format!("least = 2\nduplicates = \"{duplicates}\""));
        Alignment::from_bytes(text.as_bytes()).unwrap()
    };
    let error = read_ids(&alignment("refuse"), &Source::file(&data)).unwrap_err().to_string();
    assert!(error.contains("1 rows have an id that came before, on lines 4"), "{error}");
    assert!(!error.to_lowercase().contains("ann"), "{error}");

    for (duplicates, kept) in [("first", "1"), ("last", "3")] {
        let alignment = alignment(duplicates);
        let ids = read_ids(&alignment, &Source::file(&data)).unwrap();
        assert_eq!(ids.len(), 3);
        let text = ids.report(&alignment, &data).text;
        for due in [
            "5 rows, 3 ids",
            "1 rows without an id",
            "1 rows have an id that came before",
            "aaa | 999",
        ] {
            assert!(text.contains(due), "{due}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("alignment:")));
        let out = folder.path().join(format!("{duplicates}.csv"));
        let found = ids.find(&ids.chosen(&[2, 0]), &data).unwrap();
        assert_eq!(found, [2, 0]);
        ids.write(&found, &alignment, &Source::file(&data), &out).unwrap();
        let rows = fs::read_to_string(out).unwrap();
        let lines: Vec<&str> = rows.lines().collect();
        assert_eq!(lines[..2], ["name,x,born", "Eve,\"5,5\",1.0"]);
        assert_eq!(lines[2].split(',').nth(1), Some(kept));
    }
    let ids = read_ids(&alignment("first"), &Source::file(&data)).unwrap();
    assert!(ids.find(&[b"nobody".to_vec()], &data).is_err());
}

/// A date column of a file, in whichever form, is the day; what is none is refused with its line.
#[test]
fn dates_are_days_whoever_wrote_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.csv");
    let dates = "dates = [\"%Y-%m-%d\", \"%d.%m.%Y\"]";
    let alignment = FILE.replace("rules = [\"digits\"]", dates);
    let alignment = Alignment::from_bytes(alignment.as_bytes()).unwrap();
    fs::write(&data, "name,born\nann,1980-03-01\nbob,2.3.1980\neve,\n").unwrap();
    let ids = read_ids(&alignment, &Source::file(&data)).unwrap();
    assert!(ids.report(&alignment, &data).text.contains("2 look like aaa | 9999-99-99"));
    let own = ids.chosen(&[0, 1]);
    fs::write(&data, "name,born\nann,03/01/1980\nbob,03/02/1980\n").unwrap();
    let error = read_ids(&alignment, &Source::file(&data)).unwrap_err().to_string();
    assert!(error.contains("lines 2, 3") && error.contains("not a date"), "{error}");
    assert!(!error.contains("03/01"), "{error}");
    let mut source = Source::file(&data);
    source.reading.dates.insert("born".into(), "%m/%d/%Y".into());
    let others = read_ids(&alignment, &source).unwrap();
    assert_eq!(others.chosen(&[0, 1]), own);
}

#[test]
fn rounded_ids_are_refused_without_showing_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.csv");
    fs::write(&data, "name,born\nann,1\n3.71E+17,2\n").unwrap();
    let alignment = Alignment::from_bytes(FILE.as_bytes()).unwrap();
    let error = read_ids(&alignment, &Source::file(&data)).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("a spreadsheet rounded"), "{error}");
    assert!(!error.contains("3.71"), "{error}");
}
