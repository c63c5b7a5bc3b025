//! Exports as hospitals, banks and insurers have them: the first `study check` says how each is written, and with
//! these lines in party.toml the second one is content.

use std::io::Write as _;

use super::*;

/// A study of six columns, in fewer than 15 lines.
const STUDY: &str = r#"version = 1
title = "Readmission"
parties = ["a", "b"]
model = { kind = "logistic", target = { column = "back", positive = "yes", negative = "no" } }
features = [
  { name = "age", range = [0, 120], missing = "mean" },
  { name = "admitted", range = [10000, 30000], missing = "mean" },
  { name = "cost", range = [0, 1e6], missing = "mean" },
  { name = "sex", levels = ["F", "M"], missing = "level" },
  { name = "ward", levels = ["Süd", "Łódź", "Centre"], missing = "level" },
]
"#;

/// What a row of all exports says: age, day, cost, sex, ward, back.
type Row<'a> = (Option<f64>, [u32; 3], Option<f64>, &'a str, &'a str, &'a str);

fn rows() -> Vec<Row<'static>> {
    let row = |at: usize| {
        let age = (at % 7 != 3).then_some(20.0 + at as f64 + 0.5 * (at % 2) as f64);
        let cost = (at % 5 != 4).then_some(950.25 + 137.5 * at as f64);
        let day = [2023, 1 + at as u32 % 12, 1 + (7 * at as u32) % 28];
        let (sex, back) = (["F", "M"][at % 2], ["yes", "no"][at / 2 % 2]);
        (age, day, cost, sex, ["Süd", "Centre"][at / 4 % 2], back)
    };
    (0..24).map(row).collect()
}

struct Style {
    name: &'static str,
    first: &'static str,
    header: [&'static str; 6],
    separator: &'static str,
    end: &'static str,
    missing: &'static str,
    number: fn(f64) -> String,
    date: fn([u32; 3]) -> String,
    word: fn(&str) -> String,
    bytes: fn(&str) -> Vec<u8>,
    /// Lines below the rows.
    last: &'static str,
    /// A setting that only who made the file can know.
    own: &'static str,
}

fn plain() -> Style {
    Style {
        name: "plain.csv",
        first: "",
        header: ["age", "admitted", "cost", "sex", "ward", "back"],
        separator: ",",
        end: "\n",
        missing: "",
        number: |number| number.to_string(),
        date: |[year, month, day]| format!("{year}-{month:02}-{day:02}"),
        word: str::to_owned,
        bytes: |text| text.as_bytes().to_vec(),
        last: "",
        own: "",
    }
}

fn comma(number: f64) -> String {
    number.to_string().replace('.', ",")
}

/// With a sign between groups of three digits.
fn grouped(number: f64, sign: &str, decimal: &str) -> String {
    let text = format!("{number:.2}");
    let (whole, rest) = text.split_once('.').unwrap();
    let at = whole.len().saturating_sub(3);
    let whole =
        if at > 0 { format!("{}{sign}{}", &whole[..at], &whole[at..]) } else { whole.into() };
    format!("{whole}{decimal}{rest}")
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

fn german_date([year, month, day]: [u32; 3]) -> String {
    format!("{day:02}.{month:02}.{year}")
}

fn exports() -> Vec<Style> {
    vec![
        Style {
            name: "german hospital, spreadsheet",
            first: "sep=;",
            separator: ";",
            end: "\r\n",
            missing: "k.A.",
            number: comma,
            date: german_date,
            bytes: latin,
            ..plain()
        },
        Style {
            name: "french bank, SAS",
            separator: ";",
            missing: ".",
            number: |number| grouped(number, "\u{a0}", ","),
            date: |[year, month, day]| format!("{day:02}/{month:02}/{year}"),
            ..plain()
        },
        Style {
            name: "american insurer, SQL Server",
            header: ["Age", "Admitted", "Cost", "Sex", "Ward", "Back"],
            end: "\r\n",
            missing: "NULL",
            number: |number| format!("\"{}\"", grouped(number, ",", ".")),
            date: |[year, month, day]| format!("{month:02}/{day:02}/{year}"),
            word: |word| format!("\"{word}\""),
            ..plain()
        },
        Style { name: "hospital, R", missing: "NA", word: |word| format!("\"{word}\""), ..plain() },
        Style {
            name: "insurer, SPSS",
            separator: "\t",
            missing: "#NULL!",
            number: comma,
            date: german_date,
            bytes: |text| [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            ..plain()
        },
        Style {
            name: "bank, pandas, packed",
            missing: "NaN",
            number: |number| format!("{number:?}"),
            date: |[year, month, day]| format!("{year}-{month:02}-{day:02} 00:00:00"),
            bytes: |text| {
                let mut packed =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(text.as_bytes()).unwrap();
                packed.finish().unwrap()
            },
            ..plain()
        },
        Style {
            name: "polish bank, Windows",
            separator: ";",
            missing: "brak",
            own: "missing = [\"brak\"]",
            number: comma,
            date: german_date,
            word: |word| if word == "Süd" { "Łódź".to_owned() } else { word.to_owned() },
            bytes: |text| encoding_rs::WINDOWS_1250.encode(text).0.into_owned(),
            ..plain()
        },
        Style {
            name: "insurer, spreadsheet as Unicode text",
            separator: "\t",
            end: "\r\n",
            missing: "#N/A",
            number: comma,
            date: german_date,
            bytes: |text| {
                format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
            },
            ..plain()
        },
        Style { name: "hospital, PostgreSQL", separator: "|", missing: "\\N", ..plain() },
        Style {
            name: "swiss insurer",
            separator: ";",
            missing: "-",
            number: |number| grouped(number, "'", "."),
            date: |[year, month, day]| format!("{year}-{month:02}-{day:02}T12:00:00"),
            word: |word| if word.len() == 1 { word.to_lowercase() } else { format!("{word} ") },
            ..plain()
        },
    ]
    .into_iter()
    .chain(more_exports())
    .collect()
}

/// The days since 1970-01-01 of a date.
fn days([year, month, day]: [u32; 3]) -> u32 {
    let before = (1970..year).map(|year| 365 + u32::from(year % 4 == 0)).sum::<u32>();
    let months = [31, 28 + u32::from(year % 4 == 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    before + months[..month as usize - 1].iter().sum::<u32>() + day - 1
}

fn month(at: u32) -> &'static str {
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        [at as usize - 1]
}

/// Ten of other programs and countries, with what else exports have: titles above the header and totals below, units,
/// numbers in the place of dates, words of the country.
fn more_exports() -> Vec<Style> {
    vec![
        Style {
            name: "german hospital, SAP list",
            first: "Fallliste 2023;;;;;\r\nStand: 31.12.2023;;;;;\r\n",
            separator: ";",
            end: "\r\n",
            number: |number| grouped(number, ".", ","),
            date: german_date,
            bytes: latin,
            last: "Summe;;50.234,00;;;\r\n",
            ..plain()
        },
        Style {
            name: "french insurer, Excel with units",
            header: ["Age (ans)", "Admitted", "Cost [EUR]", "Sex", "Ward", "Back"],
            separator: ";",
            missing: "#N/A",
            number: |number| {
                if number < 100.0 {
                    comma(number)
                } else {
                    grouped(number, "\u{202f}", ",") + " €"
                }
            },
            date: |[year, month, day]| format!("{day:02}/{month:02}/{year}"),
            word: |word| match word {
                "yes" => "Oui".into(),
                "no" => "Non".into(),
                word => word.to_owned(),
            },
            ..plain()
        },
        Style {
            name: "british bank, sqlcmd",
            separator: "|",
            missing: "NULL",
            date: |[year, month, day]| format!("{year}-{month:02}-{day:02} 00:00:00.000"),
            last: "\n(24 rows affected)\n",
            ..plain()
        },
        Style {
            name: "american bank, SAS",
            header: ["AGE", "ADMITTED", "COST", "SEX", "WARD", "BACK"],
            missing: ".",
            date: |[year, at, day]| format!("{day:02}{}{year}", month(at)),
            word: |word| format!("\"{word}\""),
            ..plain()
        },
        Style {
            name: "spanish hospital, SPSS",
            separator: ";",
            end: "\r\n",
            missing: "#NULL!",
            number: comma,
            date: |date| (u64::from(days(date)) * 86_400 + 141_428 * 86_400).to_string(),
            word: |word| match word {
                "yes" => "Sí".into(),
                "no" => "No".into(),
                "F" => "mujer".into(),
                "M" => "hombre".into(),
                word => word.to_owned(),
            },
            bytes: |text| [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            ..plain()
        },
        Style {
            name: "italian bank, Excel numbers of days",
            separator: ";",
            missing: "n.d.",
            number: comma,
            date: |date| (days(date) + 25_569).to_string(),
            last: "Totale;;50234;;;\n",
            ..plain()
        },
        Style {
            name: "american insurer, spreadsheet",
            header: ["Age (years)", "admitted", "cost ($)", "sex", "ward", "back"],
            end: "\r\n",
            missing: "N/A",
            number: |number| {
                if number < 100.0 {
                    number.to_string()
                } else {
                    format!("\"${}\"", grouped(number, ",", "."))
                }
            },
            date: |[year, month, day]| format!("{month}/{day}/{year}"),
            last: "Grand Total,,\"$50,234.00\",,,\r\n",
            ..plain()
        },
        Style {
            name: "swiss hospital, Oracle",
            header: ["\"AGE\"", "\"ADMITTED\"", "\"COST\"", "\"SEX\"", "\"WARD\"", "\"BACK\""],
            missing: "(null)",
            date: |[year, at, day]| format!("{day:02}-{}-{year}", month(at)),
            word: |word| match word {
                "yes" => "Ja".into(),
                "no" => "Nein".into(),
                word => format!("\"{word}\""),
            },
            last: "24 rows selected.\n",
            ..plain()
        },
        Style {
            name: "dutch insurer, seconds of a database",
            separator: "\t",
            missing: "-999",
            date: |date| (u64::from(days(date)) * 86_400).to_string(),
            ..plain()
        },
        Style {
            name: "polish hospital, codes",
            first: "Raport: przyj\u{119}cia",
            separator: ";",
            end: "\r\n",
            missing: "#N/D!",
            number: comma,
            date: |[year, month, day]| format!("{year}-{month:02}-{day:02}T00:00:00Z"),
            word: |word| match word {
                "yes" => "1".into(),
                "no" => "2".into(),
                "F" => "K".into(),
                "Süd" => "\u{141}\u{f3}d\u{17a}".into(),
                word => word.to_owned(),
            },
            bytes: |text| encoding_rs::WINDOWS_1250.encode(text).0.into_owned(),
            last: "Razem;;50234,00;;;\r\n",
            // Which code is which nobody can guess.
            own: "recode = { back = { 1 = \"yes\", 2 = \"no\" },",
            ..plain()
        },
    ]
}

impl Style {
    fn file(&self) -> Vec<u8> {
        let mut text =
            if self.first.is_empty() { String::new() } else { self.first.to_owned() + self.end };
        text += &(self.header.join(self.separator) + self.end);
        if self.name.starts_with("british bank") {
            text += &(["---------"; 6].join(self.separator) + self.end);
        }
        for (age, day, cost, sex, ward, back) in rows() {
            let number = |number: Option<f64>| number.map_or(self.missing.to_owned(), self.number);
            let words = [sex, ward, back].map(self.word);
            let [sex, ward, back] = words;
            let cells = [number(age), (self.date)(day), number(cost), sex, ward, back];
            text += &(cells.join(self.separator) + self.end);
        }
        (self.bytes)(&(text + self.last))
    }
}

/// The lines of settings in a refusal.
fn proposed(error: &str) -> Vec<&str> {
    let begin = error.find("below [data] in party.toml").unwrap_or_else(|| panic!("{error}"));
    let lines = error[begin..].lines().skip_while(|line| !line.is_empty()).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn exports_are_read_with_the_second_call_at_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["init", "--name", "a", "--address", "-"]);
    let settings = fs::read_to_string(at.join("party.toml")).unwrap();
    let settings = settings.replace("least_cells = 10", "least_cells = 0");
    fs::write(at.join("study.toml"), STUDY).unwrap();
    assert!(STUDY.lines().count() <= 15);
    let check = ["--json", "study", "check", "study.toml", "--data", "export.csv"];
    let mut summaries = Vec::new();
    for style in exports() {
        fs::write(at.join("export.csv"), style.file()).unwrap();
        fs::write(at.join("party.toml"), &settings).unwrap();
        let error = fails(at, 3, &["study", "check", "study.toml", "--data", "export.csv"]);
        let own = style.own;
        let mut lines = proposed(&error).join("\n");
        if own.starts_with("recode = {") {
            lines = lines.replace("recode = {", own);
        } else {
            lines = format!("{lines}\n{own}");
        }
        let described = settings.replace("# [data]", &format!("[data]\n{lines}\n"));
        fs::write(at.join("party.toml"), described).unwrap();
        let output = party(at, &check);
        assert!(output.status.success(), "{}: {lines}\n{output:?}", style.name);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        summaries.push((style.name, report["data"]["summary"].clone()));
    }
    // They all say the same.
    assert_eq!(summaries.len(), 20);
    for (name, summary) in &summaries {
        for (column, first) in summary["columns"]
            .as_array()
            .unwrap()
            .iter()
            .zip(summaries[0].1["columns"].as_array().unwrap())
        {
            for figure in ["missing", "name"] {
                assert_eq!(column[figure], first[figure], "{name}");
            }
            let noon =
                if *name == "swiss insurer" && column["name"] == "admitted" { 0.5 } else { 0.0 };
            if let (Some(own), Some(first)) =
                (column["numbers"].as_array(), first["numbers"].as_array())
            {
                for (at, (own, first)) in own.iter().zip(first).enumerate() {
                    let moved = if at == 1 { 0.0 } else { noon };
                    let apart = own.as_f64().unwrap() - first.as_f64().unwrap() - moved;
                    assert!(apart.abs() < 1e-9, "{name}: {column} {first}");
                }
            }
            if !name.starts_with("polish") {
                assert_eq!(column["levels"], first["levels"], "{name}");
            }
        }
    }
}

/// A draft from the own rows is a study that fits them.
#[test]
fn a_draft_fits_the_rows_that_it_was_drafted_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["init", "--name", "a", "--address", "-"]);
    let settings = fs::read_to_string(at.join("party.toml")).unwrap();
    let settings = settings
        .replace("least_cells = 10", "least_cells = 0")
        .replace("# [data]", "[data]\ndates = { admitted = \"%Y-%m-%d\" }");
    fs::write(at.join("party.toml"), settings).unwrap();
    fs::write(at.join("rows.csv"), plain().file()).unwrap();
    let new = ["study", "new", "--data", "rows.csv", "--target", "back", "--parties", "a,b,c"];
    let text = ok(at, &new);
    assert!(text.contains("Wrote study.toml: a draft of 5 features"), "{text}");
    let draft = fs::read_to_string(at.join("study.toml")).unwrap();
    assert!(draft.lines().count() <= 15, "{draft}");
    for line in [
        "  { name = \"age\", range = [20, 50], missing = \"mean\" },",
        "  { name = \"sex\", levels = [\"M\", \"F\"] },",
    ] {
        assert!(draft.contains(line), "{line}: {draft}");
    }
    let text = ok(at, &["study", "check", "study.toml", "--data", "rows.csv"]);
    assert!(text.contains("Encoded as 5 columns: age, admitted, cost, sex=F, ward="), "{text}");
    fails(at, 8, &new);
    let text = ok(at, &["study", "describe", "study.toml", "--data", "rows.csv"]);
    assert!(
        text.contains("rows.csv: 24 rows") && text.contains("F 12, M 12")
            || text.contains("M 12, F 12"),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let linear =
        ["study", "new", "--data", "rows.csv", "--target", "admitted", "--out", "linear.toml"];
    ok(at, &linear);
    ok(at, &["study", "check", "linear.toml", "--data", "rows.csv"]);
    let poisson = [&linear[..5], &["cost", "--kind", "poisson", "--out", "p.toml"]].concat();
    assert!(fails(at, 3, &poisson).contains("no count"));
}
