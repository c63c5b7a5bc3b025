use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{CaseWeights, CountTarget, NumericMissing, Offset, RowColumns, Scaling, Target};

fn builder() -> TableBuilder {
    let features = vec![
        numeric("Age", NumericMissing::Mean, Scaling::Joint),
        categorical("Home", &["own", "rent"], "own"),
    ];
    Table::builder(schema(features).unwrap())
}

#[test]
fn rows_become_columns() {
    let mut builder = builder();
    builder.push_row(&["31", "rent", "bad"]).unwrap();
    builder.push_row(&["", "", "good"]).unwrap();
    let table = builder.finish();
    assert_eq!((table.rows(), table.missing()), (2, vec![1, 1]));
    assert_eq!(table.target(), Some(&[1.0, 0.0][..]));
    assert!(matches!(&table.columns()[1], Column::Categorical(v) if v == &[Some(1), None]));
}

#[test]
fn every_bad_cell_of_a_row_is_named() {
    let bad = builder().push_row(&["old", "tent", ""]).unwrap_err();
    let named: Vec<_> = bad.iter().map(|cell| (cell.column.as_str(), cell.position)).collect();
    assert_eq!(named, [("Age", 0), ("Home", 1), ("Status", 2)]);
    // The rule is told, the value is not.
    let text = format!("{bad:?} {}", bad[1].rule);
    assert!(text.contains("own, rent") && !text.contains("tent"));
}

#[test]
fn the_offset_stands_between_features_and_target() {
    let age = numeric("Age", NumericMissing::Mean, Scaling::Joint);
    let target = Target::Count(CountTarget { column: "visits".into(), range: (0.0, 9.0) });
    let offset = Offset { column: "exposure".into(), range: (-5.0, 5.0) };
    let schema = Schema::with_offset(vec![age], target, Some(offset)).unwrap();
    let mut builder = Table::builder(schema.clone());
    builder.push_row(&["31", "-0.5", "2"]).unwrap();
    let bad = builder.push_row(&["31", "", "2.5"]).unwrap_err();
    let rules: Vec<_> = bad.into_iter().map(|cell| (cell.position, cell.rule)).collect();
    assert_eq!(rules, [(1, CellError::MissingOffset), (2, CellError::NotACount)]);

    // Rows that are to be predicted have an offset and no target.
    let mut builder = Table::builder_without_target(schema);
    builder.push_row(&["31", "-0.5"]).unwrap();
    let bad = builder.push_row(&["31", "6"]).unwrap_err();
    assert_eq!((bad[0].column.as_str(), bad[0].position), ("exposure", 1));
}

#[test]
fn weights_and_groups_stand_before_the_target() {
    let age = numeric("Age", NumericMissing::Mean, Scaling::Joint);
    let target = Target::Count(CountTarget { column: "visits".into(), range: (0.0, 9.0) });
    let extra = RowColumns {
        offset: None,
        weights: Some(CaseWeights { column: "w".into(), range: (0.0, 4.0) }),
        groups: Some("ward".into()),
    };
    let schema = Schema::with_columns(vec![age], target, extra).unwrap();
    let mut builder = Table::builder(schema.clone());
    for row in [["31", "0.5", "north", "2"], ["32", "4", " south", "0"], ["", "1", "north ", "1"]] {
        builder.push_row(&row).unwrap();
    }
    assert!(!format!("{builder:?}").contains("north"));
    let table = builder.finish();
    assert_eq!(table.weights(), Some(&[0.5, 4.0, 1.0][..]));
    assert_eq!(table.groups(), Some(&[0, 1, 0][..]));

    let mut builder = Table::builder(schema.clone());
    let rules = |bad: Vec<BadCell>| {
        bad.into_iter().map(|cell| (cell.column, cell.position, cell.rule)).collect::<Vec<_>>()
    };
    let bad = builder.push_row(&["31", "0", " ", "2"]).unwrap_err();
    let expected =
        [("w".to_owned(), 1, CellError::NoWeight), ("ward".to_owned(), 2, CellError::MissingGroup)];
    assert_eq!(rules(bad), expected);
    for (cell, rule) in [
        ("", CellError::MissingWeight),
        ("-1", CellError::OutsideRange { low: 0.0, high: 4.0 }),
        ("4.5", CellError::OutsideRange { low: 0.0, high: 4.0 }),
    ] {
        let bad = builder.push_row(&["31", cell, "north", "2"]).unwrap_err();
        assert_eq!(rules(bad), [("w".to_owned(), 1, rule)]);
    }
    // Rows that are to be predicted have neither.
    let mut builder = Table::builder_without_target(schema);
    builder.push_row(&["31"]).unwrap();
    let table = builder.finish();
    assert!(table.weights().is_none() && table.groups().is_none());
}

#[test]
fn formatting_a_table_shows_no_value() {
    let mut builder = builder();
    builder.push_row(&["7777", "rent", "bad"]).unwrap();
    let table = builder.finish();
    let text = format!("{table:?} {:#?} {:?}", table, table.columns());
    assert!(!text.contains('7') && !text.contains("rent"), "{text}");
}
