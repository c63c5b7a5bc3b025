//! A bank, an insurer and a registry that hold different columns of the same persons.

use std::fs;

use mpc_ml::SgdPlan;
use mpc_ml::data::{Dataset, Standardisation, Table, encode, joint_statistics};
use mpc_ml::models::sgd::{Sgd, plaintext};
use parties::alignment::AlignmentName;
use parties::study::Study;

use crate::PARTIES;
use crate::support::{Ended, Nodes, Running};

/// A study of two columns of the bank, one of the insurer and one of the registry; the insurer knows who
/// claimed.
pub fn study(alignment: &str, model: &str) -> String {
    let feature = |party: &str, name: &str, rest: &str| {
        format!("[[features]]\nname = {name:?}\nparty = {party:?}\n{rest}\n")
    };
    let joint = "type = \"numeric\"\nmissing = \"mean\"\nindicator = false\nscale = \"joint\"";
    let words =
        "type = \"categorical\"\nlevels = [\"a\", \"b\"]\nbase = \"a\"\nmissing = \"refuse\"";
    let fixed = "type = \"numeric\"\nmissing = \"refuse\"\nindicator = false\n\
                 scale = { mean = 1.0, std = 2.0 }\nrange = [-9, 9]";
    let text = format!(
        "version = 1\ntitle = \"claims by columns\"\nparties = [\"bank\", \"insurer\", \"registry\"]\n\
         partition = \"vertical\"\nalignment = {alignment:?}\n[model]\nkind = \"logistic\"\n\
         target = {{ column = \"claims\", party = \"insurer\", positive = \"1\", negative = \"0\" }}\n\
         intercept = true\nl2 = 0.02\nclip = 8.0\n"
    );
    let end = format!(
        "[training]\nsolver = \"sgd\"\nepochs = 4\nbatch = 30\nlearning_rate = 0.8\ndecay = 0.1\n\
         momentum = 0.0\nseed = 5\nsigmoid = {{ window = 64, terms = 12, fit = \"plain\" }}\n\
         [security]\ncorrelations = \"pairwise\"\n[output]\nmodel = {model}\nrelease_bits = 20\n"
    );
    // In no order of the parties.
    let features = feature("registry", "kind", words)
        + &feature("bank", "income", joint)
        + &feature("insurer", "risk", fixed)
        + &feature("bank", "debt", joint);
    text + &features + &end
}

/// Some digits of a person, as if they meant something.
fn digits(person: u32, of: u32) -> u32 {
    (person.wrapping_mul(2_654_435_761) >> (4 * of)) % 16
}

/// Persons with ids in three spellings; each party lacks some, and some of the registry's have a cell that no
/// rule is for.
pub fn columns(persons: std::ops::Range<u32>) -> Vec<String> {
    let mut files = [
        "client,income,debt\n".to_owned(),
        "risk,claims,client\n".to_owned(),
        "client,kind\n".to_owned(),
    ];
    for i in persons {
        if i % 10 != 0 {
            let debt = if i % 7 == 1 { String::new() } else { digits(i, 1).to_string() };
            files[0] += &format!("P{i:04},{}.5,{debt}\n", 10 * digits(i, 0));
        }
        if i % 9 != 0 {
            let risk = f64::from(digits(i, 2)) / 2.0 - 3.0;
            let claims = u32::from(digits(i, 0) + digits(i, 3) > 16);
            files[1] += &format!("{risk},{claims},p{i:04} \n");
        }
        let kind = if i % 9 == 0 { "x" } else { ["a", "b"][(digits(i, 3) % 2) as usize] };
        files[2] = files[2].clone() + &format!("\u{ff30}{i:04},{kind}\n");
    }
    files.to_vec()
}

pub fn terms(title: &str) -> String {
    format!(
        "version = 1\ntitle = \"{title}\"\nparties = [\"bank\", \"insurer\", \"registry\"]\n\
         most = [500, 500, 500]\nleast = 20\n\n[[id]]\ncolumn = \"client\"\n"
    )
}

/// The records that all have.
pub fn common(persons: std::ops::Range<u32>) -> usize {
    persons.filter(|i| i % 10 != 0 && i % 9 != 0).count()
}

pub fn all(nodes: &Nodes, command: impl Fn(&str) -> std::process::Command) -> Vec<Ended> {
    let running: Vec<_> =
        PARTIES.iter().map(|name| nodes.spawn(name, &mut command(name))).collect();
    running.into_iter().map(Running::end).collect()
}

/// Aligns the files called `rows.csv` at the nodes, and gives the name of the alignment.
pub fn aligned(nodes: &Nodes, title: &str) -> String {
    for name in PARTIES {
        fs::write(nodes.dir(name).join("alignment.toml"), terms(title)).unwrap();
    }
    let out = |name: &str| nodes.dir(name).join(format!("{title}.csv"));
    for ended in all(nodes, |name| nodes.align(name, &["--out", out(name).to_str().unwrap()])) {
        ended.expect(0, &["records are common to all 3 parties"]);
    }
    AlignmentName::of(terms(title).as_bytes()).to_string()
}

/// The aligned rows of all parties by the whole study.
pub fn joint_table(nodes: &Nodes, title: &str, study: &Study, with_target: bool) -> Table {
    let files: Vec<Vec<Vec<String>>> = PARTIES
        .iter()
        .map(|name| {
            let mut reader =
                csv::Reader::from_path(nodes.dir(name).join(format!("{title}.csv"))).unwrap();
            let rows = reader.records().map(|row| row.unwrap().iter().map(String::from).collect());
            rows.collect()
        })
        .collect();
    // In the order of the parties: income, debt; risk; kind.
    let cell = |row: usize, party: usize, place: usize| files[party][row][place].clone();
    let schema = study.schema().clone();
    assert_eq!(schema.columns(), ["income", "debt", "risk", "kind=b"]);
    let mut table =
        if with_target { Table::builder(schema) } else { Table::builder_without_target(schema) };
    for row in 0..files[0].len() {
        let mut cells = vec![cell(row, 0, 1), cell(row, 0, 2), cell(row, 1, 0), cell(row, 2, 1)];
        cells.extend(with_target.then(|| cell(row, 1, 1)));
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        table.push_row(&cells).unwrap();
    }
    table.finish()
}

/// The same training in the clear: coefficients, the intercept last, and what the columns were scaled by.
pub fn in_the_clear(study: &Study, table: &Table) -> (Vec<f64>, Vec<Standardisation>) {
    let scales = joint_statistics(&[table]).unwrap();
    let encoded = encode(table, &scales, study.model().clip()).unwrap();
    let rows = Dataset::encoded(encoded).unwrap().rows().clone();
    let settings = study.settings_of::<Sgd>().unwrap();
    let plan = SgdPlan::new(settings, &study.facts(&[rows.len() as u64; 3])).unwrap();
    let ordered = rows.ordered(&plan.schedule().own_order(0));
    (plaintext::train(&plan, &[ordered]), scales)
}

#[track_caller]
pub fn near(own: f64, expected: f64, most: f64) {
    assert!((own - expected).abs() < most, "{own} {expected}");
}
