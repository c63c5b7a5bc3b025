use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mpc_ml::data::{
    BinaryTarget, Categorical, CategoricalMissing, Column, CountTarget, Feature, FeatureKind,
    Numbers, Numeric, NumericMissing, NumericTarget, Offset, Scaling, Target,
};
use proptest::prelude::*;

use super::*;

mod exports;
mod large;

fn schema() -> Schema {
    let age = Numeric {
        range: Some((0.0, 120.0)),
        missing: NumericMissing::Mean,
        indicator: false,
        scale: Scaling::Joint,
    };
    let home = Categorical {
        levels: vec!["own".into(), "rent".into(), "with, comma".into()],
        base: "own".into(),
        missing: CategoricalMissing::Refuse,
    };
    let features = vec![
        Feature { name: "Age".into(), kind: FeatureKind::Numeric(age) },
        Feature { name: "Home".into(), kind: FeatureKind::Categorical(home) },
    ];
    let target =
        BinaryTarget { column: "Status".into(), positive: "bad".into(), negative: "good".into() };
    Schema::new(features, Target::Binary(target)).unwrap()
}

fn options() -> ReadOptions {
    ReadOptions { with_target: true, ..ReadOptions::default() }
}

fn parse(text: &[u8], options: &ReadOptions) -> Result<DataFile, DataError> {
    read_csv(text, Path::new("rows.csv"), &schema(), options)
}

fn places(text: &str, options: &ReadOptions) -> Vec<BadPlace> {
    match parse(text.as_bytes(), options) {
        Err(DataError::BadPlaces { listed, .. }) => listed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn byte_order_mark_line_ends_quotes_and_extra_columns_are_fine() {
    let text = "\u{feff}Status,note, Home ,Age\r\nbad,\"a \"\"b\"\"\r\nc\",\"with, comma\",31.5\r\n\
                good,,rent,\r\n";
    let file = parse(text.as_bytes(), &options()).unwrap();
    assert_eq!(file.unused_columns, ["note"]);
    assert_eq!(file.table.target(), Some(&[1.0, 0.0][..]));
    let ages = |v: &Numbers| v.iter().eq([Some(31.5), None]);
    assert!(matches!(&file.table.columns()[0], Column::Numeric(v) if ages(v)));
    assert!(matches!(&file.table.columns()[1], Column::Categorical(v) if v == &[Some(2), Some(1)]));
}

#[test]
fn bad_cells_are_named_without_their_values() {
    let text = "Age,Home,Status\n30,rent,bad\nold,tent,bad\n30,,good\n130,own,maybe\n1,own\n";
    let bad = places(text, &options());
    let named: Vec<_> = bad.iter().map(|place| (&*place.lines, place.column.as_deref())).collect();
    assert_eq!(
        named,
        [
            (&[3][..], Some("Age")),
            (&[3], Some("Home")),
            (&[4], Some("Home")),
            (&[5], Some("Age")),
            (&[5], Some("Status")),
            (&[6], None)
        ]
    );
    let error = parse(text.as_bytes(), &options()).unwrap_err().to_string();
    for secret in ["old", "tent", "130", "maybe"] {
        assert!(!error.contains(secret), "{error}");
    }
    let shown = places(text, &ReadOptions { show_values: true, ..options() });
    assert_eq!(shown[0].values, [("old".to_owned(), 1)]);
}

/// Transformations and products are computed of the cells as this party writes them.
#[test]
fn columns_are_computed_by_their_names() {
    let number = |name: &str| {
        let missing = NumericMissing::Value(0.0);
        let kind = Numeric { range: None, missing, indicator: false, scale: Scaling::None };
        Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
    };
    let schema = |more: &[&str]| {
        let home = schema().features()[1].clone();
        let features = [home].into_iter().chain(more.iter().map(|name| number(name)));
        Schema::new(features.collect(), schema().target().clone()).unwrap()
    };
    let names = ["log(Age)", "Age:Home=rent", "rcs(Age; 30, 50, 70; 1)", "Dose", "log(Age):Dose"];
    let read = |text: &str, names: &[&str], reading: Reading, lenient: bool| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        let options = ReadOptions { lenient, ..options() };
        read(&Source::file(&path).with(reading), &schema(names), &options)
    };
    let own =
        Reading { separator: b';', decimal: ',', missing: vec!["NA".into()], ..Reading::default() };
    let text = "Home;Age;Dose;Status\nrent;60,0;1,5;bad\nown;NA;2;good\nown;1;;good\n";
    let file = read(text, &names, own.clone(), false).unwrap();
    let due = [
        [Some(60.0_f64.ln()), None, Some(0.0)],
        [Some(60.0), None, Some(0.0)],
        [Some(15.625), None, Some(0.0)],
        [Some(1.5), Some(2.0), None],
        [Some(60.0_f64.ln() * 1.5), None, None],
    ];
    for (column, due) in file.table.columns()[1..].iter().zip(due) {
        let Column::Numeric(cells) = column else { panic!("numbers") };
        for (got, due) in cells.iter().zip(due) {
            let (got, due) = (got.unwrap_or(-9.0), due.unwrap_or(-9.0));
            assert!((got - due).abs() < 1e-12, "{got} instead of {due}");
        }
    }
    assert!(file.unused_columns.is_empty(), "{:?}", file.unused_columns);
    assert_eq!(file.missing_words.0["Age"], [("NA".to_owned(), 1)]);
    // Outside of the domain: file, line, column and rule, and no value.
    let text = "Home,Age,Status\nrent,60,bad\nown,-7,good\n";
    let error = read(text, &["log(Age)"], Reading::default(), false).unwrap_err().to_string();
    for part in ["rows.csv", "line 3", "\"log(Age)\"", "column \"Age\"", "above 0"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("-7"), "{error}");
    let left = read(text, &["log(Age)"], Reading::default(), true).unwrap().left;
    assert_eq!((left.rows, left.out.len()), (2, 1));
    // A column of that name is taken as it is, but not beside the columns that it could be computed of.
    let there = "Home,log(Age),Status\nrent,2,bad\n";
    assert!(read(there, &["log(Age)"], Reading::default(), false).is_ok());
    let both = "Home,log(Age),Age,Status\nrent,2,3,bad\n";
    let error = read(both, &["log(Age)"], Reading::default(), false).unwrap_err();
    assert!(matches!(error, DataError::Ambiguous { .. }), "{error}");
    let without = "Home,Dose,Status\nrent,2,bad\n";
    let error = read(without, &["log(Age)"], Reading::default(), false).unwrap_err().to_string();
    assert!(error.contains("no column \"Age\""), "{error}");
}

#[test]
fn lines_are_counted_with_windows_line_ends_too() {
    let bad = places("Age,Home,Status\r\n30,rent,bad\r\nx,rent,bad\r\n", &options());
    assert_eq!(bad[0].lines, [3]);
    let bad = places("Age,Home,Status\n\n\r\n30,\"re\nnt\",bad\nx,rent,bad", &options());
    assert_eq!(bad.iter().map(|place| place.lines[0]).collect::<Vec<_>>(), [4, 6]);
}

/// One entry for each column and rule: the first lines, the count, and the words where they are asked for.
#[test]
fn faults_are_told_together() {
    let text = format!("Age,Home,Status\n{}1,sea,bad\n", "x,own,bad\ny,own,bad\n".repeat(25));
    let error = parse(text.as_bytes(), &options()).unwrap_err().to_string();
    assert!(error.contains("has 51 places that cannot be used"), "{error}");
    assert!(
        error.contains("lines 2, 3, 4, 5, 6 and 45 more, column \"Age\": the cell is"),
        "{error}"
    );
    assert!(error.contains("line 52, column \"Home\": the word is none of"), "{error}");
    assert!(error.lines().all(|line| line.chars().count() <= 80), "{error}");
    let shown = places(&text, &ReadOptions { show_values: true, ..options() });
    assert_eq!(shown[0].values, [("x".to_owned(), 25), ("y".to_owned(), 25)]);
    assert_eq!(shown[1].values, [("sea".to_owned(), 1)]);
}

#[test]
fn headers_must_fit() {
    let error = |text: &str| parse(text.as_bytes(), &options()).unwrap_err();
    let missing = error("Age,House,Status\n1,own,bad\n").to_string();
    assert!(missing.contains("no column \"Home\"; its columns are: Age, House, Status"));
    assert!(error("Age;Home;Status\n1;own;bad\n").to_string().contains("another separator"));
    assert!(matches!(error("Age,Age,Home,Status\n"), DataError::DuplicateColumn { .. }));
    assert!(matches!(error("Age,Home,Status\n"), DataError::NoRows { .. }));
    assert!(matches!(error(""), DataError::NoHeader { .. }));
}

#[test]
fn ids_are_kept_and_are_no_features() {
    let with = |id: &str| ReadOptions { id_column: Some(id.into()), ..options() };
    let text = b"id,Age,Home,Status\np7,1,own,bad\n";
    let file = parse(text, &with("id")).unwrap();
    assert!(file.unused_columns.is_empty());
    assert_eq!(format!("{:?}", file.ids), "Some(Ids([1 values, redacted]))");
    assert_eq!(file.ids.unwrap().0, ["p7"]);
    assert!(matches!(parse(text, &with("Age")), Err(DataError::IdIsUsed { .. })));
    assert!(matches!(parse(text, &with("key")), Err(DataError::MissingColumn { .. })));
}

#[test]
fn packed_files_are_known_by_their_content() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&Source::file(&path), &schema(), &options())
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"Age,Home,Status\n30,rent,bad\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(write("rows.csv.gz", &packed).unwrap().table.rows(), 1);
    assert_eq!(write("rows.csv", &packed).unwrap().table.rows(), 1);
    assert!(matches!(write("cut.gz", &packed[..30]), Err(DataError::Read { .. })));
    assert!(matches!(write("a.csv", b"PK\x03\x04..."), Err(DataError::Unsupported { .. })));
    for (name, bytes) in [("a.csv", &b"PAR1...."[..]), ("a.parquet", b"x")] {
        assert!(matches!(write(name, bytes), Err(DataError::Parquet { .. })), "{name}");
    }
    let wide: Vec<u8> = "\u{feff}Age,Home,Status\r\n30,rent,bad\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(write("wide.csv", &wide).unwrap().table.rows(), 1);
    let latin = write("l.csv", b"Age,Home,Status\n30,r\xe9nt,bad\n").unwrap_err().to_string();
    assert!(latin.contains("line 2") && latin.contains("UTF-8"), "{latin}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, &options());
    }

    #[test]
    fn any_rows_are_read_or_refused(rows in "[a-z0-9.,\"\r\n-]{0,200}") {
        let _ = parse(format!("Age,Home,Status\n{rows}").as_bytes(), &options());
    }
}

/// Numbers to be predicted, counts, and offsets: bad cells are named by line, column and rule.
#[test]
fn targets_and_offsets_outside_their_range_are_named() {
    let feature = |name: &str| Feature {
        name: name.into(),
        kind: FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        }),
    };
    let number = NumericTarget { column: "strength".into(), range: Some((0.0, 120.0)) };
    let count = CountTarget { column: "visits".into(), range: (0.0, 9.0) };
    let offset = Offset { column: "exposure".into(), range: (-5.0, 5.0) };
    let linear = Schema::new(vec![feature("a")], Target::Numeric(number)).unwrap();
    let poisson =
        Schema::with_offset(vec![feature("a")], Target::Count(count), Some(offset)).unwrap();
    let read = |schema: &Schema, text: &str, options: &ReadOptions| {
        read_csv(text.as_bytes(), Path::new("rows.csv"), schema, options)
    };
    let message = |schema: &Schema, text: &str| {
        let text = read(schema, text, &options()).unwrap_err().to_string();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };

    let text = message(&linear, "a,strength\n1,119.5\n1,120.5\n1,\n");
    assert!(text.starts_with("the data file rows.csv has 2 places"), "{text}");
    for place in [
        "line 3, column \"strength\": the number lies outside the study's range, 0 to 120",
        "line 4, column \"strength\": the cell is empty, and the target may not be missing",
    ] {
        assert!(text.contains(place), "{place}: {text}");
    }
    assert!(!text.contains("120.5"), "{text}");

    let text = message(&poisson, "visits,exposure,a\n2.5,0,1\n-1,0,1\n3,5.5,1\n3,,1\n3,x,1\n");
    for place in [
        "line 2, column \"visits\": the number is not whole",
        "line 3, column \"visits\": the number lies outside the study's range, 0 to 9",
        "line 4, column \"exposure\": the number lies outside the study's range, -5 to 5",
        "line 5, column \"exposure\": the cell is empty, and the offset may not be missing",
        "line 6, column \"exposure\": the cell is not a number",
    ] {
        assert!(text.contains(place), "{place}: {text}");
    }
    let file = read(&poisson, "note,visits,exposure,a\nx,3,-0.5,1\n", &options()).unwrap();
    assert_eq!(file.table.offset(), Some(&[-0.5][..]));
    assert_eq!(file.unused_columns, ["note"]);
    // Predictions need the offset and not the target.
    let without = ReadOptions::default();
    assert!(read(&poisson, "exposure,a\n1,1\n", &without).is_ok());
    let error = read(&poisson, "visits,a\n1,1\n", &without).unwrap_err();
    assert!(matches!(error, DataError::MissingColumn { column, .. } if column == "exposure"));
    let id = ReadOptions { id_column: Some("exposure".into()), ..options() };
    let error = read(&poisson, "visits,exposure,a\n1,1,1\n", &id).unwrap_err();
    assert!(matches!(error, DataError::IdIsUsed { .. }), "{error}");
}

/// A quote in the wrong place swallows rows: all ways in which it can are refused, by line.
#[test]
fn rows_are_not_lost_between_quotes() {
    let header = "Age,Home,Status,note\n";
    let refused = |rows: &str, line: u64, words: &str| {
        let bad = places(&format!("{header}{rows}"), &options());
        let named: Vec<u64> = bad.iter().map(|place| place.lines[0]).collect();
        assert_eq!(named, [line], "{rows:?}: {bad:?}");
        assert!(bad[0].rule.contains(words), "{rows:?}: {bad:?}");
    };
    // Never closed: the rest of the file is one cell.
    refused("1,own,bad,\"5 inch\n2,own,bad,x\n3,rent,good,y\n", 2, "the 2 lines after it");
    refused("1,own,bad,\"5 inch\n2,own,bad,x\n3,rent,good,y", 2, "the 2 lines after it");
    refused("1,own,bad,x\n2,own,bad,\"y", 3, "never closed;");
    // Closed by the next stray quote, with text behind it.
    refused("1,own,bad,\"5 inch\n2,own,bad,x\n3,rent,good,6\" pipe\n", 2, "closes it on line 4");
    refused("1,own,bad,\"5\" pipe\n2,own,bad,x\n", 2, "more text;");
    // Closed at the end of a cell: each row has its four cells, and two rows are lost.
    refused("1,own,bad,\"5\n2,own,bad,x\n3,rent,good,6\"\n4,own,bad,z\n", 2, "look like rows");
    refused("1,own,bad,\"\n2,own,bad,6\"\n", 2, "look like rows");
    refused("1,own,bad,\"5\n\n2,own,bad,6\" \r\n", 2, "look like rows");
    // Rows after the fault are read as they stand.
    refused("1,own,bad,\"5\"x,\n", 2, "more text;");

    let fine = |rows: &str, count: usize| {
        let file = parse(format!("{header}{rows}").as_bytes(), &options()).unwrap();
        assert_eq!(file.table.rows(), count, "{rows:?}");
    };
    fine("1,own,bad,5\" pipe\n2,own,bad,a\"b\n", 2);
    fine("1,own,bad,\"5\"\" pipe, \"\"x\"\"\"\r\n2,own,bad,\"\"\n", 2);
    fine("1,own,bad,\"one, two\nthree, four\n\nfive\"\n2,own,bad,\"x\" \n", 2);
    fine("\"1\" ,\"own\",\"bad\",\"\"", 1);
}

#[test]
fn all_faults_of_quotes_are_counted() {
    let rows = "1,own,bad,\"x\"y\n".repeat(25);
    let error = parse(format!("Age,Home,Status,note\n{rows}").as_bytes(), &options()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("has 25 places") && text.ends_with("and 5 more"), "{text}");
}

#[test]
fn a_header_is_one_line() {
    let text = b"Age,Home,Status,\"note\n31,own,bad,secretive\"\n32,own,bad,x\n";
    let error = parse(text, &options()).unwrap_err().to_string();
    assert!(error.contains("line 1: a quote in the header"), "{error}");
    assert!(!error.contains("secretive"), "{error}");
    let error = parse(b"Age,Home,\"Status\n31,own,secretive\n", &options()).unwrap_err();
    assert!(error.to_string().contains("line 1: a quote opens a cell that is never closed"));
}

/// A file without a header, or one that is a single line to this program, begins with data.
#[test]
fn no_error_shows_a_first_line_that_may_be_data() {
    for text in [
        "31,secretive,bad\n32,own,good\n",
        "31;secretive;bad\n32;own;good\n",
        "Age;Home;Status\r31;secretive;bad\r",
        "Age,Home,Status\r31,secretive,bad\r32,own,good\r",
        "Age,Home,Status,note\r31,own,bad,secretive\n",
        "secretive,Age\n1,2\n",
    ] {
        let error = parse(text.as_bytes(), &options()).unwrap_err().to_string();
        assert!(!error.contains("secretive") && !error.contains("31"), "{error}");
    }
    let error = parse(b"31,secretive,bad\n", &options()).unwrap_err().to_string();
    assert!(error.contains("first line must name the columns"), "{error}");
    let with_values = ReadOptions { show_values: true, ..options() };
    let error = parse(b"31,secretive,bad\n", &with_values).unwrap_err().to_string();
    assert!(error.contains("its columns are: 31, secretive, bad"), "{error}");
    let error = parse(b"Age,Home,Status\r31,own,bad\r", &options()).unwrap_err();
    assert!(matches!(error, DataError::LineEnds { .. }), "{error}");
    assert!(error.to_string().contains("carriage returns alone"));

    // Names that are numbers are names only as long as nothing else is.
    let numbers = ["0", "1", "2"].map(|name| Feature {
        name: name.into(),
        kind: FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        }),
    });
    let target = NumericTarget { column: "y".into(), range: Some((0.0, 9.0)) };
    let schema = Schema::new(numbers.to_vec(), Target::Numeric(target)).unwrap();
    for text in ["1,0,2,77\n", "0,0,1,77\n"] {
        let error = read_csv(text.as_bytes(), Path::new("x.csv"), &schema, &options());
        let error = error.unwrap_err().to_string();
        assert!(!error.contains("77") && !error.contains("twice"), "{error}");
    }
}

#[test]
fn carriage_returns_inside_a_line_are_named() {
    let bad = places("Age,Home,Status\n1,own,bad\n2,own,bad\r3,rent,good\n", &options());
    assert_eq!((bad.len(), &*bad[0].lines), (1, &[3][..]), "{bad:?}");
    assert!(bad[0].rule.contains("carriage return"), "{bad:?}");
    // What some programs make of Windows line ends is harmless.
    let file = parse(b"Age,Home,Status\r\r\n1,own,bad\r\r\n", &options()).unwrap();
    assert_eq!(file.table.rows(), 1);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let link = directory.path().join("link.csv");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for (path, words) in [
        (directory.path(), "it is a directory; name a file in it"),
        (&*pipe, "not a regular file; write what it gives"),
        (&*link, "not a regular file"),
        (Path::new("/dev/zero"), "not a regular file"),
    ] {
        let error = read(&Source::file(path), &schema(), &options()).unwrap_err();
        assert!(matches!(error, DataError::Read { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let file = directory.path().join("rows.csv");
    std::fs::write(&file, "Age,Home,Status\n1,own,bad\n").unwrap();
    let link = directory.path().join("other.csv");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(read(&Source::file(&link), &schema(), &options()).unwrap().table.rows(), 1);
}

/// Of a file with other people in it, those who were aligned are read, in their order.
#[test]
fn chosen_rows_are_read_into_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.csv");
    let text = "id,Age,Home,Status\np0,10,own,bad\n\np1,old,tent,\np2,,rent,good\np3,30,own,good\n";
    std::fs::write(&path, text).unwrap();
    let options = ReadOptions { id_column: Some("id".into()), ..options() };
    let chosen = |places: &[(u32, usize)]| {
        read_records(&Source::file(&path), &schema(), &options, &places.iter().copied().collect())
    };
    // Rows count from 0, blank lines not at all; row 1 has cells that break rules.
    let file = chosen(&[(0, 2), (2, 0), (3, 1)]).unwrap();
    let Column::Numeric(ages) = &file.table.columns()[0] else { panic!() };
    assert_eq!(ages.iter().collect::<Vec<_>>(), [None, Some(30.0), Some(10.0)]);
    let Column::Categorical(homes) = &file.table.columns()[1] else { panic!() };
    assert_eq!(*homes, [Some(1), Some(0), Some(0)]);
    assert_eq!(file.table.target().unwrap(), [0.0, 0.0, 1.0]);
    assert_eq!(file.ids.unwrap().0, ["p2", "p3", "p0"]);
    let error = chosen(&[(0, 0), (1, 1)]).unwrap_err().to_string();
    assert!(error.contains("3 places") && error.contains("line 4, column \"Home\""), "{error}");
    let error = chosen(&[(0, 0), (4, 1)]).unwrap_err();
    assert!(matches!(error, DataError::Changed { .. }), "{error}");
}

proptest! {
    /// However a file is read, no row of the right width is lost without an error: the rows of the
    /// table are the lines, unless a quoted text goes over several of them.
    #[test]
    fn quotes_lose_no_rows(cells in prop::collection::vec(
        prop::collection::vec("[x\"]{0,3}", 2..3), 1..8)
    ) {
        let rows: String =
            cells.iter().map(|pair| format!("1,own,bad,{},{}\n", pair[0], pair[1])).collect();
        let text = format!("Age,Home,Status,note,more\n{rows}");
        if let Ok(file) = parse(text.as_bytes(), &options()) {
            prop_assert_eq!(file.table.rows(), cells.len());
        }
    }
}
