//! Record alignment by three processes: from raw files with ids to rows in one order.

#![allow(clippy::unwrap_used)]

use std::fs;

mod support;

use support::{Ended, Nodes};

const PARTIES: [&str; 3] = ["bank", "insurer", "registry"];

fn alignment(title: &str, least: u64) -> String {
    format!(
        "version = 1\ntitle = \"{title}\"\nparties = [\"bank\", \"insurer\", \"registry\"]\n\
         most = [400, 300, 500]\nleast = {least}\nduplicates = \"first\"\n\n[[id]]\ncolumn = \"person\"\n"
    )
}

/// Persons by number: the bank has the even ones, the insurer every third, the registry all from 100,
/// each writes them in its own way.
fn rows() -> [Vec<(u32, String)>; 3] {
    let bank = (0..300).filter(|i| i % 2 == 0).map(|i| (i, format!("P-{i:04},{},b\n", i * 7)));
    let insurer =
        (0..300).rev().filter(|i| i % 3 == 0).map(|i| (i, format!(" p-{i:04} ,\"{i},0\"\n")));
    let registry = (100..400).map(|i| (i, format!("{i},p\u{2010}x,P\u{ff0d}{i:04}\n")));
    [bank.collect(), insurer.collect(), registry.collect()]
}

fn nodes(terms: &str) -> Nodes {
    let headers = ["person,income,branch\n", "person,claims\n", "code,kind,person\n"];
    let files: Vec<String> = headers
        .iter()
        .zip(rows())
        .map(|(header, rows)| {
            let rows: String = rows.into_iter().map(|(_, row)| row).collect();
            format!("{header}{rows}")
        })
        .collect();
    let nodes = Nodes::new(&PARTIES, "", &files);
    for name in PARTIES {
        fs::write(nodes.dir(name).join("alignment.toml"), terms).unwrap();
    }
    nodes
}

fn run(nodes: &Nodes, out: bool) -> Vec<Ended> {
    let running: Vec<_> = PARTIES
        .iter()
        .map(|name| {
            let path = nodes.dir(name).join("aligned.csv");
            let arguments = ["--out", path.to_str().unwrap()];
            nodes.spawn(name, &mut nodes.align(name, if out { &arguments } else { &[] }))
        })
        .collect();
    running.into_iter().map(support::Running::end).collect()
}

/// The persons of a party's aligned rows.
fn persons(nodes: &Nodes, place: usize) -> Vec<u32> {
    let name = PARTIES[place];
    let text = fs::read_to_string(nodes.dir(name).join("aligned.csv")).unwrap();
    let column = if place == 2 { 2 } else { 0 };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let digits = |cell: &str| cell.chars().filter(char::is_ascii_digit).collect::<String>();
    reader.records().map(|row| digits(&row.unwrap()[column]).parse().unwrap()).collect()
}

#[test]
fn three_parties_find_their_common_records_in_one_order() {
    let nodes = nodes(&alignment("persons of all", 20));
    // First each looks at its own side.
    let check = nodes.spawn("bank", &mut nodes.align("bank", &["--check"])).end();
    check.expect(0, &["150 rows, 150 ids", "150 look like a-9999", "at most 300 ids"]);
    assert!(check.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains(':')));

    for ended in run(&nodes, true) {
        ended.expect(0, &["33 records are common to all 3 parties"]);
    }
    let due: Vec<u32> = (100..300).filter(|i| i % 6 == 0).collect();
    let all = [0, 1, 2].map(|place| persons(&nodes, place));
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    assert_ne!(all[0], due, "the order is that of no file");
    let mut sorted = all[0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, due);
    let text = fs::read_to_string(nodes.dir("insurer").join("aligned.csv")).unwrap();
    assert!(text.starts_with("person,claims\n p-") && text.contains("\"102,0\""), "{text}");

    // The order is kept: of an export with other rows and in another order the same records come out.
    let path = nodes.dir("bank").join("rows.csv");
    let more = fs::read_to_string(&path).unwrap().replacen('\n', "\nQ-1,1,q\n", 1);
    fs::write(&path, more).unwrap();
    let again = nodes.dir("bank").join("again.csv");
    let command = &mut nodes.align("bank", &["--out", again.to_str().unwrap()]);
    nodes.spawn("bank", command).end().expect(0, &["33 records"]);
    let first = fs::read(nodes.dir("bank").join("aligned.csv")).unwrap();
    assert_eq!(fs::read(&again).unwrap(), first);
    // And it is not made twice, nor of a file that lacks some of them.
    nodes
        .spawn("bank", &mut nodes.align("bank", &[]))
        .end()
        .expect(8, &["aligned before", "--out"]);
    fs::write(&path, "person\np-1\n").unwrap();
    let missing = nodes.dir("bank").join("missing.csv");
    let command = &mut nodes.align("bank", &["--out", missing.to_str().unwrap()]);
    nodes.spawn("bank", command).end().expect(3, &["33 of the 33 aligned records are not in this"]);
    let sealed = nodes.study_folder("bank").unwrap().join("order.sealed");
    assert!(!String::from_utf8_lossy(&fs::read(sealed).unwrap()).contains("p-"));
}

#[test]
fn too_few_records_end_alike_and_tell_nobody_how_few() {
    let nodes = nodes(&alignment("persons of all", 34));
    for ended in run(&nodes, false) {
        ended.expect(4, &["fewer than 34 records are common to all parties", "--check"]);
        // Ports, digests and seconds may have any digits.
        let told = [ended.stdout, ended.stderr].concat();
        let told: Vec<&str> = told.lines().filter(|line| line.contains("record")).collect();
        assert!(!told.is_empty() && told.iter().all(|line| !line.contains("33")), "{told:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anybody_is_met() {
    let nodes = nodes(&alignment("persons of all", 20));
    let check = |due: &[&str], code| {
        nodes.spawn("bank", &mut nodes.align("bank", &[])).end().expect(code, due);
    };
    let path = nodes.dir("bank").join("alignment.toml");
    fs::write(&path, alignment("persons of all", 20).replace("400", "149")).unwrap();
    check(&["there are 150 ids, and the alignment allows 149 here"], 3);
    fs::write(&path, alignment("persons of all", 20).replace("bank", "bang")).unwrap();
    check(&["this node is bank, who is not among the parties"], 4);
    fs::write(&path, alignment("persons of all", 20).replace("\"person\"", "\"id\"")).unwrap();
    check(&["rows.csv", "id"], 3);
    fs::write(&path, alignment("persons of all", 20).replace("duplicates", "duplicate")).unwrap();
    check(&["alignment.toml", "line 6: unknown field `duplicate`"], 4);
}
