//! Dates in data files. As a number, a date is the days since 1970-01-01, and a time of day the part behind the
//! point.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};

/// Years that a date may have: another one is a mistake, such as two digits where four are meant.
const YEARS: std::ops::RangeInclusive<i32> = 1800..=2299;

/// Whether this says how dates are written.
pub(crate) fn is_format(format: &str) -> bool {
    StrftimeItems::new(format).all(|item| !matches!(item, Item::Error))
}

/// Programs that write dates as numbers: how many of these are a day, and which one is 1970-01-01.
const COUNTS: [(&str, f64, f64); 4] = [
    // Days, the first of 1900 is 1; 1970-01-01 is 25569 also with the day that 1900 did not have.
    ("excel", 1.0, 25_569.0),
    // Days from 1960-01-01, as Stata has them too.
    ("sas", 1.0, 3653.0),
    // Seconds from 1582-10-14.
    ("spss", 86_400.0, 141_428.0 * 86_400.0),
    ("unix", 86_400.0, 0.0),
];

/// Whether this names a program that writes dates as numbers.
pub(super) fn is_count(name: &str) -> bool {
    COUNTS.iter().any(|(program, ..)| *program == name)
}

/// The names of these programs, for people.
pub(super) fn counts() -> String {
    COUNTS.map(|(program, ..)| format!("{program:?}")).join(", ")
}

/// The programs, and the days since 1970-01-01 for which each of them writes this number.
pub(super) fn counted(number: f64) -> impl Iterator<Item = (&'static str, f64)> {
    COUNTS.iter().map(move |(program, a_day, zero)| (*program, (number - zero) / a_day))
}

/// How dates of one column are written.
#[derive(Clone, Debug)]
pub(crate) struct Dates {
    format: String,
}

impl Dates {
    pub(crate) fn new(format: &str) -> Self {
        Self { format: format.to_owned() }
    }

    /// Whether it says which day is meant: year in four digits, month and day.
    pub(crate) fn is_whole(&self) -> bool {
        // The last two digits of the year are those of another one, and neither number is a month but the one that is.
        let day = NaiveDate::from_ymd_opt(1925, 11, 23).and_then(|day| day.and_hms_opt(0, 0, 0));
        let written = |day: NaiveDateTime| day.and_utc().format(&self.format).to_string();
        is_format(&self.format)
            && day.is_some_and(|day| self.day(&written(day)).as_deref() == Some("1925-11-23"))
    }

    /// The day, as `1980-03-01`.
    pub(crate) fn day(&self, cell: &str) -> Option<String> {
        self.days(cell).map(|days| text(days.floor() as i64))
    }

    /// The days since 1970-01-01 for a number, where a program writes them so.
    pub(super) fn of_number(&self, number: f64) -> Option<f64> {
        counted(number).find(|(program, _)| *program == self.format).map(|(_, days)| days)
    }

    /// The days since 1970-01-01.
    pub(crate) fn days(&self, cell: &str) -> Option<f64> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, cell, StrftimeItems::new(&self.format)).ok()?;
        let date = parsed.to_naive_date().ok().filter(|date| YEARS.contains(&date.year()))?;
        // Without a time of day there is none to be read.
        let time = parsed.to_naive_time().unwrap_or(NaiveTime::MIN);
        Some(days(NaiveDateTime::new(date, time)))
    }
}

fn days(time: NaiveDateTime) -> f64 {
    let (whole, rest) = (time.and_utc().timestamp(), time.and_utc().timestamp_subsec_nanos());
    let (days, seconds) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    days as f64 + (seconds as f64 + f64::from(rest) * 1e-9) / 86_400.0
}

/// The text of a day, counted from 1970-01-01.
pub(super) fn text(days: i64) -> String {
    let day = i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days);
    day.map_or_else(|| days.to_string(), |day| day.format("%Y-%m-%d").to_string())
}

/// The forms that are proposed, each with those that it could be taken for.
pub(super) const FORMS: &[&str] = &[
    "%d.%m.%Y",
    "%Y-%m-%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d%b%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.fZ",
    "%d%b%Y:%H:%M:%S",
    "%d%b%Y:%H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S",
    "%b %d %Y",
    "%b %d, %Y",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        let days = |format: &str, cell: &str| Dates::new(format).days(cell);
        assert_eq!(days("%d.%m.%Y", "31.12.2023"), Some(19_722.0));
        assert_eq!(days("%Y-%m-%d", "1969-12-31"), Some(-1.0));
        assert_eq!(days("%d.%m.%Y %H:%M", "01.01.1970 06:00"), Some(0.25));
        assert_eq!(days("%d-%b-%Y", "31-DEC-2023"), Some(19_722.0));
        for (format, cell) in [
            ("%d.%m.%Y", "31.12.23"),
            ("%d.%m.%Y", "12/31/2023"),
            ("%d.%m.%Y", "31.02.2023"),
            ("%d.%m.%Y", "31.12.2023 x"),
            ("%d.%m.%Y", "9999"),
            ("%d.%m.%Y", "31.12.9999"),
        ] {
            assert_eq!(days(format, cell), None, "{format} {cell}");
        }
        assert_eq!(days("%d%b%Y:%H:%M:%S", "31DEC2023:06:00:00"), Some(19_722.25));
        // 2023-12-31 as programs count it.
        for (program, number) in [
            ("excel", 45_291.0),
            ("sas", 23_375.0),
            ("spss", 13_923_360_000.0),
            ("unix", 1_703_980_800.0),
        ] {
            assert_eq!(Dates::new(program).of_number(number), Some(19_722.0), "{program}");
            assert!(is_count(program));
        }
        assert_eq!(Dates::new("%d.%m.%Y").of_number(1.0), None);
        assert_eq!(text(19_722), "2023-12-31");
        assert!(FORMS.iter().all(|form| is_format(form)) && !is_format("%Q"));
        assert!(FORMS.iter().all(|form| Dates::new(form).is_whole()));
        for form in ["%d.%m.%y", "%m/%Y", "%Y", "%d.%d.%Y", "%H:%M", "%Q", ""] {
            assert!(!Dates::new(form).is_whole(), "{form}");
        }
        let day = |form: &str, cell: &str| Dates::new(form).day(cell);
        assert_eq!(day("%d.%m.%Y", "1.3.1980").as_deref(), Some("1980-03-01"));
        assert_eq!(day("%Y-%m-%d %H:%M", "1969-12-31 23:59").as_deref(), Some("1969-12-31"));
    }
}
