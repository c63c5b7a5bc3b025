//! What hospitals and banks export: each is refused with what to write, and that is followed.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::data_file::translate::columns;
use crate::study::Study;

/// A study of a number, a date, words, and a target of two classes.
const STUDY: &str = r#"
version = 1
title = "Readmission"
parties = ["a", "b"]
partition = "horizontal"
model = { kind = "logistic", target = { column = "back", positive = "1", negative = "0" }, intercept = true, l2 = 0.0 }
training = { solver = "optimum" }
security = { correlations = "pairwise" }
output = { model = "all", release_bits = 20 }
[[features]]
name = "age"
type = "numeric"
missing = "mean"
indicator = false
scale = "joint"
range = [0, 120]
[[features]]
name = "admitted"
type = "numeric"
missing = "mean"
indicator = false
scale = "joint"
[[features]]
name = "sex"
type = "categorical"
levels = ["F", "M"]
base = "F"
missing = "base"
[[features]]
name = "home"
type = "categorical"
levels = ["café", "maison"]
base = "maison"
missing = "base"
"#;

struct Desk {
    folder: TempDir,
    schema: Schema,
}

impl Desk {
    fn new() -> Self {
        let schema = Study::from_bytes(STUDY.as_bytes()).unwrap().schema().clone();
        Self { folder: tempfile::tempdir().unwrap(), schema }
    }

    fn source(&self, bytes: &[u8], settings: &str) -> Source {
        let path = self.folder.path().join("export.csv");
        fs::write(&path, bytes).unwrap();
        let raw: RawData = toml::from_str(settings).unwrap();
        Source::file(&path).with(raw.reading().unwrap())
    }

    fn read(&self, bytes: &[u8], settings: &str) -> Result<DataFile, DataError> {
        read(&self.source(bytes, settings), &self.schema, &options())
    }

    /// The lines that are proposed, which must make the file readable.
    fn followed(&self, bytes: &[u8]) -> (Vec<String>, DataFile) {
        let DataError::Proposed { error, proposal } = self.read(bytes, "").unwrap_err() else {
            panic!("nothing is proposed")
        };
        assert_eq!(proposal.remaining, None, "{error}: {proposal}");
        assert!(!proposal.lines.is_empty() && proposal.open.is_empty(), "{proposal}");
        let file = self.read(bytes, &proposal.lines.join("\n"));
        (proposal.lines, file.unwrap_or_else(|error| panic!("{error}")))
    }
}

fn numbers(file: &DataFile, at: usize) -> Vec<Option<f64>> {
    let Column::Numeric(cells) = &file.table.columns()[at] else { panic!("no numbers") };
    cells.iter().collect()
}

fn words(file: &DataFile, at: usize) -> Vec<Option<u32>> {
    let Column::Categorical(cells) = &file.table.columns()[at] else { panic!("no words") };
    cells.clone()
}

/// The whole of it at once: semicolons, decimal commas, German dates, Latin-1, a first line for a spreadsheet, words
/// for missing cells, names and words that look like those of the study.
#[test]
fn an_export_is_read_as_its_refusal_says() {
    let desk = Desk::new();
    let text = "sep=;\r\nAGE;admitted;sex;home;back;note\r\n63,5;31.12.2023;f;caf\u{e9};1;x\r\n\
                NA;01.02.2024;M;maison;0;\u{fc}\r\n71,0;NULL;M\u{a0};.;1;y\r\n";
    let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    let (lines, file) = desk.followed(&latin);
    for line in [
        "separator = \";\"",
        "decimal = \",\"",
        "encoding = \"windows-1252\"",
        "missing = [\"NA\", \"NULL\", \".\"]",
        "rename = { AGE = \"age\" }",
        "dates = { admitted = \"%d.%m.%Y\" }",
        "alike = [\"sex\"]",
    ] {
        assert!(lines.iter().any(|each| each == line), "{line}: {lines:?}");
    }
    assert_eq!(numbers(&file, 0), [Some(63.5), None, Some(71.0)]);
    assert_eq!(numbers(&file, 1), [Some(19_722.0), Some(19_754.0), None]);
    assert_eq!(words(&file, 2), [Some(0), Some(1), Some(1)]);
    assert_eq!(words(&file, 3), [Some(0), Some(1), None]);
    assert_eq!(file.table.target().unwrap(), [1.0, 0.0, 1.0]);
    let words = &file.missing_words.0;
    assert_eq!(words["age"], [("NA".to_owned(), 1)]);
    assert_eq!(words["home"], [(".".to_owned(), 1)]);
}

#[test]
fn words_that_look_alike_are_refused_with_the_one_that_was_meant() {
    let desk = Desk::new();
    for (cell, column, meant, why) in [
        ("f", "sex", "F", "upper and lower case"),
        ("M\u{200b}", "sex", "M", "do not show"),
        ("cafe\u{301}", "home", "café", "encoded"),
        ("1.0", "back", "1", "how the number is written"),
        ("01", "back", "1", "how the number is written"),
    ] {
        let cells =
            |name: &str, own: &str| if name == column { cell.to_owned() } else { own.into() };
        let text = format!(
            "age,admitted,sex,home,back\n1,2,{},{},{}\n",
            cells("sex", "F"),
            cells("home", "maison"),
            cells("back", "0")
        );
        let error = desk.read(text.as_bytes(), "").unwrap_err();
        let DataError::Proposed { error, proposal } = error else { panic!("{cell}: {error}") };
        let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(error.contains(&format!("looks like {meant:?}")) && error.contains(why), "{error}");
        assert!(!error.contains(&format!("{cell:?}")), "{error}");
        assert_eq!(proposal.lines, [format!("alike = [\"{column}\"]")]);
        desk.followed(text.as_bytes());
    }
}

/// What only the operator knows is asked, and not guessed.
#[test]
fn nothing_is_guessed_that_has_two_meanings() {
    let desk = Desk::new();
    let open = |bytes: &str| match desk.read(bytes.as_bytes(), "").unwrap_err() {
        DataError::Proposed { proposal, .. } => (proposal.lines, proposal.open.join(" ")),
        other => panic!("{other}"),
    };
    let (lines, text) =
        open("age,admitted,sex,home,back\n1,03/04/2023,F,maison,1\n2,05/06/2023,F,maison,0\n");
    assert!(lines.is_empty() && text.contains("%d/%m/%Y") && text.contains("%m/%d/%Y"), "{text}");
    let (lines, text) =
        open("age;admitted;sex;home;back\n1;1,234;F;maison;1\n2;5,678;F;maison;0\n");
    assert_eq!(lines, ["separator = \";\""]);
    assert!(text.contains("decimal = \",\"") && text.contains("thousands = \",\""), "{text}");
    // One cell tells.
    let text = "age;admitted;sex;home;back\n1;1,234;F;maison;1\n2;5.678,5;F;maison;0\n";
    let (lines, file) = desk.followed(text.as_bytes());
    assert_eq!(lines, ["separator = \";\"", "decimal = \",\"", "thousands = \".\""]);
    assert_eq!(numbers(&file, 1), [Some(1.234), Some(5678.5)]);
}

#[test]
fn sentinels_outside_of_a_range_are_proposed_for_their_column() {
    let desk = Desk::new();
    let text = "age,admitted,sex,home,back\n-999,-999,F,maison,1\n50,3,M,maison,0\n";
    let (lines, file) = desk.followed(text.as_bytes());
    assert_eq!(lines, ["missing_in = { age = [\"-999\"] }"]);
    assert_eq!(numbers(&file, 0), [None, Some(50.0)]);
    // Where no range says that it is impossible, it is a number; the summary tells of it.
    assert_eq!(numbers(&file, 1), [Some(-999.0), Some(3.0)]);
    let many = "age,admitted,sex,home,back\n".to_owned()
        + &"40,-999,F,maison,1\n".repeat(4)
        + &"50,3,M,maison,0\n50,4,M,maison,0\n".repeat(9);
    let summary = Summary::of(&desk.read(many.as_bytes(), "").unwrap());
    assert_eq!(summary.columns[1].sentinels, [(-999.0, 4)]);
    assert!(summary.columns[0].sentinels.is_empty());
    assert_eq!((summary.rows, summary.duplicate_rows), (22, 19));
    assert_eq!(summary.columns[2].levels, [("F".to_owned(), 4), ("M".to_owned(), 18)]);
    assert_eq!(summary.columns[4].levels, [("1".to_owned(), 4), ("0".to_owned(), 18)]);
}

#[test]
fn a_command_gives_the_table_of_the_file() {
    let desk = Desk::new();
    let text = "age,admitted,sex,home,back\n1,2,F,maison,1\n";
    let file = desk.read(text.as_bytes(), "").unwrap();
    let run = |script: &str| {
        let command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
        let source = Source {
            command,
            folder: desk.folder.path().to_owned(),
            ..Source::file(Path::new("sh"))
        };
        read(&source, &desk.schema, &options())
    };
    let printed = run("cat export.csv").unwrap();
    assert_eq!(printed.digest, file.digest);
    assert_eq!(numbers(&printed, 0), numbers(&file, 0));
    assert_eq!(run("gzip -c export.csv").unwrap().table.rows(), 1);
    // Half an output looks like a whole one.
    let error = run("cat export.csv; exit 3").unwrap_err().to_string();
    assert!(error.contains("failed (exit status: 3)"), "{error}");
    // One that goes on when nobody reads it is ended.
    let error = run("echo nothing; yes 1").unwrap_err();
    assert!(matches!(error, DataError::MissingColumn { .. }), "{error}");
}

/// The same table whichever way it came.
#[test]
fn parquet_and_csv_give_the_same_table() {
    use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    let desk = Desk::new();
    let kinds = "message m { optional double age; optional int32 admitted (DATE); required binary sex (STRING); \
                 optional binary home (STRING); required int64 back; repeated int32 list; }";
    let path = desk.folder.path().join("rows.parquet");
    let schema = std::sync::Arc::new(parse_message_type(kinds).unwrap());
    let mut writer =
        SerializedFileWriter::new(fs::File::create(&path).unwrap(), schema, Default::default())
            .unwrap();
    let text = |word: &str| ByteArray::from(word);
    for part in [[0, 1], [2, 3]] {
        let mut group = writer.next_row_group().unwrap();
        macro_rules! column {
            ($kind:ty, $values:expr, $levels:expr) => {{
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch($values, $levels, None).unwrap();
                column.close().unwrap();
            }};
        }
        let first = part[0] == 0;
        if first {
            column!(DoubleType, &[63.5], Some(&[1, 0]));
            column!(Int32Type, &[19_722, -1], Some(&[1, 1]));
        } else {
            column!(DoubleType, &[-999.0, 0.1], Some(&[1, 1]));
            column!(Int32Type, &[0], Some(&[0, 1]));
        }
        column!(ByteArrayType, &[text("F"), text("M")], None);
        column!(ByteArrayType, &[text("café")], Some(&[1, 0]));
        column!(Int64Type, &[1, 0], None);
        let mut column = group.next_column().unwrap().unwrap();
        let (defined, repeated) = (&[0, 0], &[0, 0]);
        column.typed::<Int32Type>().write_batch(&[], Some(defined), Some(repeated)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    let settings = "missing_in = { age = [\"-999\"] }";
    let raw: RawData = toml::from_str(settings).unwrap();
    let source = Source::file(&path).with(raw.reading().unwrap());
    let parquet = read(&source, &desk.schema, &options()).unwrap();
    assert_eq!(parquet.unused_columns, ["list"]);
    let csv = "age,admitted,sex,home,back\n63.5,2023-12-31,F,café,1\n,1969-12-31,M,,0\n-999,,F,café,1\n\
               0.1,1970-01-01,M,,0\n";
    let settings = format!("{settings}\ndates = {{ admitted = \"%Y-%m-%d\" }}");
    let csv = desk.read(csv.as_bytes(), &settings).unwrap();
    for at in 0..2 {
        assert_eq!(numbers(&parquet, at), numbers(&csv, at));
    }
    for at in 2..4 {
        assert_eq!(words(&parquet, at), words(&csv, at));
    }
    assert_eq!(parquet.table.target(), csv.table.target());
    assert_eq!(parquet.missing_words, csv.missing_words);
    // Row by row it is the same, in whatever order; ids are texts.
    let places = [(0, 1), (3, 0)].into_iter().collect();
    let with_id = ReadOptions { id_column: Some("list".into()), ..options() };
    let error = read_records(&source, &desk.schema, &with_id, &places).unwrap_err().to_string();
    assert!(error.contains("holds lists"), "{error}");
    let chosen = read_records(&source, &desk.schema, &options(), &places).unwrap();
    assert_eq!(numbers(&chosen, 0), [Some(0.1), Some(63.5)]);
    // Faults are named by row.
    let strict = Source::file(&path);
    let error = read(&strict, &desk.schema, &options()).unwrap_err();
    assert!(error.to_string().contains("row 3, column \"age\": the number lies"), "{error}");
    let mut rows = Vec::new();
    let wanted = ["admitted", "back"];
    let read = read_columns(&source, &wanted, |cells| {
        rows.push((cells.line, cells.wanted.join(" ")));
        Ok(())
    });
    assert_eq!(read.unwrap().0.len(), 6);
    assert_eq!(rows[0], (1, "2023-12-31 1".to_owned()));
}

/// Rows that cannot be scored are left out with their reason, and numbers outside of a range are taken.
#[test]
fn bad_rows_are_left_out_where_that_is_asked_for() {
    let desk = Desk::new();
    let text = "id,age,admitted,sex,home\np1,63,1,F,maison\np2,130,2,M,maison\np3,x,3,X,maison\np4,9\np5,40,5,,\n";
    let source = desk.source(text.as_bytes(), "");
    let options =
        ReadOptions { lenient: true, id_column: Some("id".into()), ..ReadOptions::default() };
    let file = read(&source, &desk.schema, &options).unwrap();
    assert_eq!(numbers(&file, 0), [Some(63.0), Some(130.0), Some(40.0)]);
    assert_eq!(file.ids.unwrap().0, ["p1", "p2", "p3", "p4", "p5"]);
    assert_eq!(file.left.rows, 5);
    assert_eq!(file.left.outside[&1], ["age"]);
    assert_eq!(file.left.out[&2], "age is not a number; sex is none of the study's levels");
    assert_eq!(file.left.out[&3], "the row has more or fewer cells than the header");
    assert_eq!(file.left.out.len(), 2);
}

#[test]
fn numbers_of_any_size_are_numbers() {
    let desk = Desk::new();
    let text =
        "age,admitted,sex,home,back\n1,1703980800,F,maison,1\n2,1e10,F,maison,0\n3,0,F,maison,1\n";
    let file = desk.read(text.as_bytes(), "").unwrap();
    assert_eq!(numbers(&file, 1), [Some(1_703_980_800.0), Some(1e10), Some(0.0)]);
    assert_eq!(columns(&desk.schema, true).len(), 5);
}
