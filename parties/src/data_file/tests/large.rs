//! Large Parquet files beside the crate that reads them. By hand, on an idle machine (docs/data.md has the figures):
//!
//!     cargo test --release -p parties --all-features --lib -- --ignored --nocapture five_million

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::*;

const ROWS: usize = 5_000_000;
/// Columns of doubles, of whole numbers, of words.
const COLUMNS: [usize; 3] = [10, 5, 5];
const GROUP: usize = 500_000;
const LEVELS: [&str; 4] = ["north", "east", "south", "west"];

fn number(row: usize, column: usize) -> usize {
    (row.wrapping_mul(2_654_435_761) ^ column.wrapping_mul(40_503)) >> 7
}

fn write(path: &Path) {
    let mut kinds = "message m {".to_owned();
    for column in 0..COLUMNS.iter().sum() {
        let kind = match column {
            0..10 => "double",
            10..15 => "int32",
            _ => "binary",
        };
        let note = if column < 15 { "" } else { " (STRING)" };
        kinds += &format!(" optional {kind} c{column}{note};");
    }
    let schema = Arc::new(parse_message_type(&(kinds + " }")).unwrap());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let how = Arc::new(WriterProperties::builder().set_compression(zstd).build());
    let mut writer =
        SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, how).unwrap();
    for first in (0..ROWS).step_by(GROUP) {
        let rows = first..first + GROUP;
        let mut group = writer.next_row_group().unwrap();
        for column in 0..COLUMNS.iter().sum() {
            let mut to = group.next_column().unwrap().unwrap();
            // One in fifty is missing.
            let there: Vec<usize> =
                rows.clone().filter(|row| !number(*row, 99).is_multiple_of(50)).collect();
            let levels: Vec<i16> =
                rows.clone().map(|row| i16::from(!number(row, 99).is_multiple_of(50))).collect();
            let of = |row: &usize| number(*row, column);
            match column {
                0..10 => {
                    let values: Vec<f64> =
                        there.iter().map(|row| (of(row) % 100_000) as f64 / 100.0).collect();
                    to.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
                }
                10..15 => {
                    let values: Vec<i32> = there.iter().map(|row| (of(row) % 90) as i32).collect();
                    to.typed::<Int32Type>().write_batch(&values, Some(&levels), None).unwrap();
                }
                _ => {
                    let word = |row: &usize| ByteArray::from(LEVELS[of(row) % 4]);
                    let values: Vec<ByteArray> = there.iter().map(word).collect();
                    to.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                }
            }
            to.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// All cells by the crate alone, some thousand at a time.
fn alone(path: &Path) -> usize {
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let (mut doubles, mut whole, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut levels, mut cells) = (Vec::new(), 0);
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).unwrap();
        for column in 0..COLUMNS.iter().sum() {
            let mut reader = group.get_column_reader(column).unwrap();
            loop {
                levels.clear();
                let levels = Some(&mut levels);
                let (rows, ..) = match &mut reader {
                    ColumnReader::DoubleColumnReader(reader) => {
                        doubles.clear();
                        reader.read_records(8192, levels, None, &mut doubles).unwrap()
                    }
                    ColumnReader::Int32ColumnReader(reader) => {
                        whole.clear();
                        reader.read_records(8192, levels, None, &mut whole).unwrap()
                    }
                    ColumnReader::ByteArrayColumnReader(reader) => {
                        bytes.clear();
                        reader.read_records(8192, levels, None, &mut bytes).unwrap()
                    }
                    _ => panic!("another kind"),
                };
                if rows == 0 {
                    break;
                }
                cells += rows;
            }
        }
    }
    cells
}

fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

#[test]
#[ignore = "by hand: it takes a minute, and 300 MB of disk"]
#[allow(clippy::print_stdout)]
fn five_million_rows_take_at_most_twice_the_time_of_the_crate() {
    if cfg!(debug_assertions) {
        panic!("a program as it is given to people is measured: --release");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write(&path);
    let features = (0..19).map(|column| {
        let name = format!("c{column}");
        let kind = if column < 15 {
            FeatureKind::Numeric(Numeric {
                range: Some((0.0, 1000.0)),
                missing: NumericMissing::Mean,
                indicator: false,
                scale: Scaling::Joint,
            })
        } else {
            FeatureKind::Categorical(Categorical {
                levels: LEVELS.map(str::to_owned).to_vec(),
                base: LEVELS[0].to_owned(),
                missing: CategoricalMissing::Level,
            })
        };
        Feature { name, kind }
    });
    // The target is a column of numbers, and the last column of words a feature.
    let mut features: Vec<Feature> = features.collect();
    let target = CountTarget { column: features.remove(14).name, range: (0.0, 90.0) };
    features.push(Feature { name: "c19".into(), kind: features[14].kind.clone() });
    let schema = Schema::new(features, Target::Count(target)).unwrap();
    let options = ReadOptions { with_target: false, ..options() };

    let mut least = [f64::INFINITY; 2];
    let mut table = 0;
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(alone(&path), 20 * ROWS);
        least[0] = least[0].min(begun.elapsed().as_secs_f64());
        let _ = fs::write("/proc/self/clear_refs", "5");
        let held = memory("VmRSS:");
        let begun = Instant::now();
        let file = read(&Source::file(&path), &schema, &options).unwrap();
        least[1] = least[1].min(begun.elapsed().as_secs_f64());
        assert_eq!(file.table.rows(), ROWS);
        table = ROWS * (14 * 8 + 5 * 8);
        let more = memory("VmHWM:").saturating_sub(held);
        println!("{} MB beside {} MB of the table", more >> 20, table >> 20);
        assert!(more < table as u64 + (200 << 20), "{} MB", more >> 20);
    }
    let bytes = fs::metadata(&path).unwrap().len();
    println!("{} MB of file, table of {} MB: {least:.2?} s", bytes >> 20, table >> 20);
    assert!(least[1] < 2.0 * least[0], "{least:?}");
}
