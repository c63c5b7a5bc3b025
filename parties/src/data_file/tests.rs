use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mpc_ml::data::{
    BinaryTarget, Categorical, CategoricalMissing, Column, CountTarget, Feature, FeatureKind,
    Numbers, Numeric, NumericMissing, NumericTarget, Offset, Scaling, Target,
};
use proptest::prelude::*;

use super::*;

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
    let named: Vec<_> = bad.iter().map(|place| (place.line, place.column.as_deref())).collect();
    assert_eq!(
        named,
        [
            (3, Some("Age")),
            (3, Some("Home")),
            (4, Some("Home")),
            (5, Some("Age")),
            (5, Some("Status")),
            (6, None)
        ]
    );
    let error = parse(text.as_bytes(), &options()).unwrap_err().to_string();
    for secret in ["old", "tent", "130", "maybe"] {
        assert!(!error.contains(secret), "{error}");
    }
    let shown = places(text, &ReadOptions { show_values: true, ..options() });
    assert_eq!(shown[0].value.as_deref(), Some("old"));
}

#[test]
fn lines_are_counted_with_windows_line_ends_too() {
    let bad = places("Age,Home,Status\r\n30,rent,bad\r\nx,rent,bad\r\n", &options());
    assert_eq!(bad[0].line, 3);
    let bad = places("Age,Home,Status\n\n\r\n30,\"re\nnt\",bad\nx,rent,bad", &options());
    assert_eq!(bad.iter().map(|place| place.line).collect::<Vec<_>>(), [4, 6]);
}

#[test]
fn at_most_twenty_places_are_listed() {
    let text = format!("Age,Home,Status\n{}", "x,own,bad\n".repeat(25));
    let error = parse(text.as_bytes(), &options()).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1 + 20 + 1);
    assert!(error.contains("has 25 places") && error.ends_with("and 5 more"));
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
        read(&path, &schema(), &options())
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"Age,Home,Status\n30,rent,bad\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(write("rows.csv.gz", &packed).unwrap().table.rows(), 1);
    assert_eq!(write("rows.csv", &packed).unwrap().table.rows(), 1);
    assert!(matches!(write("cut.gz", &packed[..30]), Err(DataError::Read { .. })));
    for (name, bytes) in
        [("a.csv", &b"PAR1...."[..]), ("a.parquet", b"x"), ("b.csv", b"\xff\xfeA\0")]
    {
        assert!(matches!(write(name, bytes), Err(DataError::Unsupported { .. })), "{name}");
    }
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
    let message =
        |schema: &Schema, text: &str| read(schema, text, &options()).unwrap_err().to_string();

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
