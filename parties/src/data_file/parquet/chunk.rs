//! Some cells of a column of a Parquet file, and what each of them says.

use std::borrow::Cow;
use std::cell::OnceCell;

use mpc_ml::data::Cell;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use crate::data_file::dates;

const NANOSECONDS_A_DAY: f64 = 86_400e9;

/// What the values of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// What they are.
    Plain,
    /// Whole numbers from 0, in the place of signed ones.
    Unsigned,
    /// Whole numbers in units of 10^-scale.
    Decimal { scale: u32 },
    /// Days since 1970-01-01.
    Date,
    /// Times, so many to a day.
    Time { a_day: f64 },
    /// Half-precision numbers.
    Half,
}

impl Meaning {
    /// What a column holds; otherwise, for a person, why it is not read.
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, String> {
        let name = column.name();
        if column.path().parts().len() > 1 || column.max_rep_level() > 0 {
            return Err(format!(
                "the column {name:?} holds lists or structures, and not one cell a row"
            ));
        }
        let unsupported = |kind: &dyn std::fmt::Debug| {
            Err(format!(
                "the column {name:?} is of the type {kind:?}, which is not read; write it as text"
            ))
        };
        let scale = || u32::try_from(column.type_scale()).ok().filter(|scale| *scale <= 38);
        let decimal = || match scale() {
            Some(scale) => Ok(Self::Decimal { scale }),
            None => unsupported(&"decimal with a scale outside of 0 to 38"),
        };
        match (column.logical_type_ref(), column.converted_type(), column.physical_type()) {
            (Some(LogicalType::Decimal(_)), ..) | (None, ConvertedType::DECIMAL, _) => decimal(),
            (Some(LogicalType::Date), ..) | (None, ConvertedType::DATE, _) => Ok(Self::Date),
            (Some(LogicalType::Timestamp(time)), ..) => Ok(Self::Time {
                a_day: match time.unit {
                    TimeUnit::MILLIS => 86_400e3,
                    TimeUnit::MICROS => 86_400e6,
                    TimeUnit::NANOS => NANOSECONDS_A_DAY,
                },
            }),
            (None, ConvertedType::TIMESTAMP_MILLIS, _) => Ok(Self::Time { a_day: 86_400e3 }),
            (None, ConvertedType::TIMESTAMP_MICROS, _) => Ok(Self::Time { a_day: 86_400e6 }),
            (Some(LogicalType::Integer(kind)), ..) if !kind.is_signed => Ok(Self::Unsigned),
            (
                None,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
                _,
            ) => Ok(Self::Unsigned),
            (Some(LogicalType::Float16), ..) => Ok(Self::Half),
            (
                None
                | Some(
                    LogicalType::Integer(_)
                    | LogicalType::String
                    | LogicalType::Enum
                    | LogicalType::Json
                    | LogicalType::Unknown,
                ),
                ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS | ConvertedType::INTERVAL,
                kind,
            ) => unsupported(&kind),
            (Some(LogicalType::Integer(_) | LogicalType::Unknown) | None, _, kind)
                if kind != Type::FIXED_LEN_BYTE_ARRAY =>
            {
                Ok(Self::Plain)
            }
            (Some(LogicalType::String | LogicalType::Enum | LogicalType::Json), _, _) => {
                Ok(Self::Plain)
            }
            (Some(kind), ..) => unsupported(kind),
            (None, _, kind) => unsupported(&kind),
        }
    }
}

/// The values of some cells, those that are there.
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// Where the bytes of a cell begin, and how many they are; none for a missing cell.
pub(super) type Place = Option<(usize, usize)>;

/// Some cells of a column. **Private data.**
pub(super) struct Chunk {
    meaning: Meaning,
    /// The definition level of each cell; empty where none can be missing.
    levels: Vec<i16>,
    /// That of a cell that is there.
    present: i16,
    /// Where the value of each cell is, as far as it has one; empty where that is the place of the cell. Made when it is
    /// asked for, since a column of numbers needs none.
    slots: OnceCell<Vec<u32>>,
    values: Values,
}

impl Chunk {
    pub(super) fn new(column: &ColumnDescriptor) -> Result<Self, String> {
        let values = match column.physical_type() {
            Type::BOOLEAN => Values::Bool(Vec::new()),
            Type::INT32 => Values::Int32(Vec::new()),
            Type::INT64 => Values::Int64(Vec::new()),
            Type::INT96 => Values::Int96(Vec::new()),
            Type::FLOAT => Values::Float(Vec::new()),
            Type::DOUBLE => Values::Double(Vec::new()),
            Type::BYTE_ARRAY => Values::Bytes(Vec::new()),
            Type::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Vec::new()),
        };
        let (meaning, present) = (Meaning::of(column)?, column.max_def_level());
        Ok(Self { meaning, levels: Vec::new(), present, slots: OnceCell::new(), values })
    }

    /// Reads so many more cells in the place of those before; gives how many there were.
    pub(super) fn read(
        &mut self,
        reader: &mut ColumnReader,
        most: usize,
    ) -> Result<usize, ParquetError> {
        let Self { levels, values, .. } = self;
        levels.clear();
        macro_rules! read {
            ($reader:expr, $values:expr) => {{
                $values.clear();
                $reader.read_records(most, Some(levels), None, $values)?
            }};
        }
        let (rows, ..) = match (reader, values) {
            (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => read!(reader, values),
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => {
                read!(reader, values)
            }
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => {
                read!(reader, values)
            }
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => {
                read!(reader, values)
            }
            (ColumnReader::FloatColumnReader(reader), Values::Float(values)) => {
                read!(reader, values)
            }
            (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => {
                read!(reader, values)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => {
                read!(reader, values)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                read!(reader, values)
            }
            _ => return Err(ParquetError::General("a column changed its type".to_owned())),
        };
        self.slots.take();
        Ok(rows)
    }

    fn slots(&self) -> &[u32] {
        self.slots.get_or_init(|| {
            // Where all are there, each value is in the place of its row.
            if self.whole() {
                return Vec::new();
            }
            let place = |next: &mut u32, level: &i16| {
                let slot = *next;
                *next += u32::from(*level == self.present);
                Some(slot)
            };
            self.levels.iter().scan(0, place).collect()
        })
    }

    /// Whether no cell is missing.
    fn whole(&self) -> bool {
        self.levels.iter().all(|level| *level == self.present)
    }

    /// The numbers of all cells, NaN where one is missing, if every cell is a number that a study may read as it is;
    /// each is the one that its [`cell`](Self::cell) gives.
    pub(super) fn numbers<'a>(&'a self, scratch: &'a mut Vec<f64>) -> Option<&'a [f64]> {
        scratch.clear();
        match (&self.values, self.meaning) {
            // A number of the file that is none is no missing cell.
            (Values::Double(values), Meaning::Plain) if self.whole() => {
                let finite = values.iter().fold(true, |all, value| all & value.is_finite());
                return finite.then_some(values);
            }
            (Values::Double(values), Meaning::Plain) => {
                self.spread(scratch, values, |value| value.is_finite().then_some(value))?;
            }
            (Values::Int32(values), Meaning::Plain | Meaning::Date) => {
                self.spread(scratch, values, |value| Some(f64::from(value)))?;
            }
            (Values::Int32(values), Meaning::Unsigned) => {
                self.spread(scratch, values, |value| Some(f64::from(value.cast_unsigned())))?;
            }
            (Values::Int64(values), Meaning::Plain) => {
                self.spread(scratch, values, exactly)?;
            }
            (Values::Int64(values), Meaning::Unsigned) => {
                self.spread(scratch, values, |value| exactly(value).filter(|_| value >= 0))?;
            }
            (Values::Int64(values), Meaning::Time { a_day }) => {
                self.spread(scratch, values, |value| Some(value as f64 / a_day))?;
            }
            (Values::Float(values), Meaning::Plain) => self.spread(scratch, values, shortest)?,
            _ => return None,
        }
        Some(scratch)
    }

    /// Puts the values in the places of their cells; none where one is no number.
    fn spread<T: Copy>(
        &self,
        to: &mut Vec<f64>,
        values: &[T],
        number: impl Fn(T) -> Option<f64>,
    ) -> Option<()> {
        let mut wrong = false;
        let mut take = |value: Option<T>| match value.and_then(&number) {
            Some(number) => number,
            None => {
                wrong = true;
                f64::NAN
            }
        };
        if self.whole() {
            to.extend(values.iter().map(|value| take(Some(*value))));
        } else {
            let mut next = values.iter().copied();
            let cell = |level: &i16| {
                if *level == self.present { take(next.next()) } else { f64::NAN }
            };
            to.extend(self.levels.iter().map(cell));
        }
        (!wrong).then_some(())
    }

    /// Where the bytes of each cell are in memory, and none for a missing one, if they are such. As long as this chunk is
    /// not read again, cells with the same place are the same: those of a dictionary.
    pub(super) fn places(&self) -> Option<impl Iterator<Item = Place> + '_> {
        let Values::Bytes(values) = &self.values else { return None };
        let mut next = values.iter();
        let mut place = move || {
            let bytes = next.next()?.data();
            Some((bytes.as_ptr().addr(), bytes.len()))
        };
        let count = if self.present > 0 { self.levels.len() } else { values.len() };
        let there = move |row| self.present == 0 || self.levels[row] == self.present;
        Some((0..count).map(move |row| if there(row) { place() } else { None }))
    }

    /// A cell: a text where `as_text`, even if it is a number. None where it is bytes that are no text.
    pub(super) fn cell(&self, row: usize, as_text: bool) -> Option<Cell<'_>> {
        if self.present > 0 && self.levels.get(row).is_none_or(|level| *level != self.present) {
            return Some(Cell::text(""));
        }
        let at = self.slots().get(row).map_or(row, |slot| *slot as usize);
        let text = |text: String| Cell::Text(Cow::Owned(text));
        let whole = |number: i64| match self.meaning {
            _ if as_text && self.meaning == Meaning::Date => text(dates::text(number)),
            Meaning::Time { a_day } => Cell::Number(number as f64 / a_day),
            Meaning::Decimal { scale } => decimal(i128::from(number), scale, as_text),
            // Up to here a number is what its digits say.
            _ if !as_text && number.unsigned_abs() <= 1 << 53 => Cell::Number(number as f64),
            _ => text(number.to_string()),
        };
        Some(match &self.values {
            Values::Bool(values) => Cell::text(if values[at] { "true" } else { "false" }),
            Values::Int32(values) if self.meaning == Meaning::Unsigned => {
                whole(i64::from(values[at].cast_unsigned()))
            }
            Values::Int32(values) => whole(i64::from(values[at])),
            Values::Int64(values) if self.meaning == Meaning::Unsigned && values[at] < 0 => {
                text(values[at].cast_unsigned().to_string())
            }
            Values::Int64(values) => whole(values[at]),
            Values::Int96(values) => Cell::Number(values[at].to_nanos() as f64 / NANOSECONDS_A_DAY),
            // A text has the fewest digits that give the number, and so would a CSV file.
            Values::Float(values) => text(values[at].to_string()),
            Values::Double(values) if as_text || !values[at].is_finite() => {
                text(values[at].to_string())
            }
            Values::Double(values) => Cell::Number(values[at]),
            Values::Bytes(values) => self.bytes(values[at].data(), as_text)?,
            Values::Fixed(values) => self.bytes(values[at].data(), as_text)?,
        })
    }

    fn bytes<'a>(&self, bytes: &'a [u8], as_text: bool) -> Option<Cell<'a>> {
        match (self.meaning, bytes) {
            (Meaning::Decimal { scale }, bytes) if (1..=16).contains(&bytes.len()) => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
                let mut wide = [sign; 16];
                wide[16 - bytes.len()..].copy_from_slice(bytes);
                Some(decimal(i128::from_be_bytes(wide), scale, as_text))
            }
            (Meaning::Half, &[low, high]) => {
                let number = half(u16::from_le_bytes([low, high]));
                Some(Cell::Text(Cow::Owned(number.to_string())))
            }
            (Meaning::Plain, bytes) => std::str::from_utf8(bytes).ok().map(Cell::text),
            _ => None,
        }
    }
}

/// A whole number that is one in double precision too.
fn exactly(number: i64) -> Option<f64> {
    (number.unsigned_abs() <= 1 << 53).then_some(number as f64)
}

/// The number that the fewest digits give which give this one: the one that a CSV file would have.
fn shortest(number: f32) -> Option<f64> {
    // Of a whole number of up to seven digits they are its own.
    if number.fract() == 0.0 && number.abs() < 1e7 {
        return Some(f64::from(number));
    }
    number.is_finite().then(|| number.to_string().parse().ok()).flatten()
}

/// A number in units of 10^-scale.
fn decimal<'a>(number: i128, scale: u32, as_text: bool) -> Cell<'a> {
    // Both are exact, and a division rounds once, as reading the digits does.
    if !as_text && number.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return Cell::Number(number as f64 / 10_f64.powi(scale as i32));
    }
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale as usize + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale as usize);
    let sign = if number < 0 { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    Cell::Text(Cow::Owned(format!("{sign}{whole}{point}{rest}")))
}

/// A number of IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells one by one and all at once are the same numbers.
    #[test]
    fn numbers_at_once_are_those_of_the_cells() {
        let chunk = |meaning, levels: &[i16], values| {
            let (levels, slots) = (levels.to_vec(), OnceCell::new());
            Chunk { meaning, levels, present: 1, slots, values }
        };
        let all = [
            chunk(Meaning::Plain, &[1, 0, 1], Values::Int32(vec![-7, 1 << 30])),
            chunk(Meaning::Unsigned, &[1, 1], Values::Int32(vec![-1, 3])),
            chunk(Meaning::Date, &[0, 1], Values::Int32(vec![19_000])),
            chunk(Meaning::Plain, &[1, 1, 0], Values::Int64(vec![-(1 << 53), 12])),
            chunk(Meaning::Unsigned, &[1, 1], Values::Int64(vec![1, 1 << 40])),
            chunk(
                Meaning::Time { a_day: 86_400e3 },
                &[1, 0],
                Values::Int64(vec![1_700_000_000_123]),
            ),
            chunk(Meaning::Plain, &[1, 0, 1, 1], Values::Float(vec![0.1, -16_777_216.0, 2e-30])),
            chunk(Meaning::Plain, &[0, 1, 1], Values::Double(vec![0.1, -2.5])),
            chunk(Meaning::Plain, &[1, 1], Values::Double(vec![0.1, -2.5])),
        ];
        for (at, chunk) in all.iter().enumerate() {
            let mut scratch = Vec::new();
            let numbers = chunk.numbers(&mut scratch).unwrap();
            assert_eq!(numbers.len(), chunk.levels.len(), "{at}");
            for (row, number) in numbers.iter().enumerate() {
                let cell = match chunk.cell(row, false).unwrap() {
                    Cell::Number(number) => number,
                    Cell::Text(text) if text.is_empty() => f64::NAN,
                    Cell::Text(text) => text.parse().unwrap(),
                };
                assert_eq!(number.to_bits(), cell.to_bits(), "{at}, {row}");
            }
        }
        // What is no number of double precision is read cell by cell.
        for values in [
            Values::Int64(vec![(1 << 53) + 1]),
            Values::Double(vec![f64::NAN]),
            Values::Float(vec![f32::INFINITY]),
            Values::Bool(vec![true]),
        ] {
            assert!(chunk(Meaning::Plain, &[1], values).numbers(&mut Vec::new()).is_none());
        }
        let negative = Values::Int64(vec![-1]);
        assert!(chunk(Meaning::Unsigned, &[1], negative).numbers(&mut Vec::new()).is_none());
    }

    #[test]
    fn decimals_are_what_their_digits_say() {
        assert_eq!(decimal(-1234, 2, false), Cell::Number(-12.34));
        assert_eq!(decimal(5, 3, true), Cell::text("0.005"));
        assert_eq!(decimal(-120, 0, true), Cell::text("-120"));
        let long = 12_345_678_901_234_567_890_i128;
        assert_eq!(decimal(long, 4, false), Cell::text("1234567890123456.7890"));
        for (bits, number) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (1, 5.960_464_5e-8)]
        {
            assert_eq!(half(bits), number, "{bits:x}");
        }
    }
}
