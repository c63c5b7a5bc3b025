//! The studies in which nodes are killed: of rows, on shares or federated, and of columns, where each party receives something of its own.

use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;
use std::{fs, thread};

use parties::alignment::AlignmentName;
use parties::study::Study;

use crate::Outcome;
use crate::slot::Slot;
use crate::studies::{ALL, LONG, NAMES};

/// A study, and what a run of it begins with.
pub struct Played {
    pub name: &'static str,
    pub text: String,
    /// Of each party.
    pub rows: [String; 3],
    /// What its nodes have in their state directories before, by the name of a folder.
    kit: Option<&'static str>,
    /// What `party` is told, before the study.
    pub command: &'static [&'static str],
    /// The file of the result in the folder of the study.
    pub file: &'static str,
    /// Whether all parties receive the same.
    pub alike: bool,
}

/// The rounds of a federated study.
const ROUNDS: u32 = 12;
const OWN_KIT: &str = "aligned";
const SCORES_KIT: &str = "trained";

/// All of them.
pub static PLAYED: LazyLock<Vec<Played>> = LazyLock::new(|| {
    let rows = ALL.iter().map(|study| Played {
        name: study.name,
        text: study.text(),
        rows: [0, 1, 2].map(|party| study.rows(party)),
        kit: None,
        command: &["train"],
        file: "model.json",
        alike: true,
    });
    rows.chain([own(), scores(), federated("quorum"), federated("federated")]).collect()
});

/// The alignment of records of which some are fitted and others scored.
fn alignment(title: &str) -> String {
    format!(
        "version = 1\ntitle = {title:?}\nparties = {NAMES:?}\nmost = [200, 200, 200]\nleast = 10\n\
         [[id]]\ncolumn = \"person\"\n"
    )
}

fn text(title: &str, records: &str) -> String {
    let mut text = format!(
        "version = 1\ntitle = {title:?}\nparties = {NAMES:?}\npartition = \"vertical\"\nalignment = \"{}\"\n\
         [model]\nkind = \"logistic\"\n\
         target = {{ column = \"ill\", party = \"south\", positive = \"yes\", negative = \"no\" }}\n\
         intercept = true\nl2 = 0.01\nclip = 8.0\n",
        AlignmentName::of(alignment(records).as_bytes())
    );
    for (party, name) in [("north", "age"), ("south", "weight"), ("east", "dose")] {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[[features]]\nname = {name:?}\nparty = {party:?}\ntype = \"numeric\"\nmissing = \"refuse\"\n\
             indicator = false\nscale = \"joint\"\n"
        );
    }
    text + "[training]\nsolver = \"sgd\"\nepochs = 60\nbatch = 20\nlearning_rate = 0.5\ndecay = 0.0\nmomentum = 0.0\n\
            seed = 3\nsigmoid = { window = 64, terms = 8, fit = \"plain\" }\n[security]\n\
            correlations = \"pairwise\"\n[output]\nmodel = \"own\"\nrelease_bits = 14\n"
}

fn rows(from: usize, count: usize) -> [String; 3] {
    let mut files = ["person,age\n", "person,weight,ill\n", "person,dose\n"].map(String::from);
    for person in from..from + count {
        let seed = (person * 7919 + 13) % 1000;
        let (age, weight, dose) = (20 + seed % 60, 50 + seed * 31 % 50, seed * 37 % 100);
        let ill = if age + seed * 613 % 97 / 2 > 72 { "yes" } else { "no" };
        files[0] += &format!("{person},{age}\n");
        files[1] += &format!("{person},{weight},{ill}\n");
        files[2] += &format!("{person},{dose}\n");
    }
    files
}

/// Each party receives the coefficients of its own columns.
fn own() -> Played {
    Played {
        name: "own",
        text: text("Faults in a fit on columns", "to be fitted"),
        rows: rows(0, 120),
        kit: Some(OWN_KIT),
        command: &["train"],
        file: "model.json",
        alike: false,
    }
}

/// All receive the scores of new records.
fn scores() -> Played {
    let fitted = Study::from_bytes(own().text.as_bytes()).map(|study| study.digest().to_string());
    let fitted = fitted.unwrap_or_default();
    Played {
        name: "scores",
        text: text("Faults in scores", "to be scored")
            + &format!("[predict]\nstudy = \"{fitted}\"\nscores = {NAMES:?}\n"),
        rows: rows(1000, 40),
        kit: Some(SCORES_KIT),
        command: &["predict", "--joint"],
        file: "predictions.csv",
        alike: false,
    }
}

impl Played {
    /// Its digest, in hexadecimal digits.
    pub fn digest(&self) -> String {
        // All of them are read before the first run.
        Study::from_bytes(self.text.as_bytes()).map_or_else(
            |_| String::new(),
            |study| study.digest().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
        )
    }

    /// Whether its result is one of these nodes alone: the order of aligned records is by chance, and with it the
    /// batches of a fit and the rows of a table.
    pub fn is_of_its_nodes(&self) -> bool {
        self.kit.is_some()
    }

    /// Puts study, rows and what is there before into the folders of the nodes.
    pub fn set_up(&self, slot: &Slot) -> Outcome<()> {
        for (name, rows) in NAMES.iter().zip(&self.rows) {
            let dir = slot.dir(name);
            let state = dir.join("state");
            if state.exists() {
                fs::remove_dir_all(&state)?;
            }
            if let Some(kit) = self.kit {
                copy(&dir.join(kit), &state)?;
            }
            fs::write(dir.join("study.toml"), &self.text)?;
            fs::write(dir.join("rows.csv"), rows)?;
        }
        Ok(())
    }

    /// What a node received, where it did.
    pub fn result(&self, slot: &Slot, name: &str, file: &str) -> Option<Vec<u8>> {
        let digest = self.digest();
        let folder = digest.get(..16)?;
        fs::read(slot.dir(name).join("state").join(folder).join(file)).ok()
    }
}

/// Rounds of a federated study, which all three have to be in: a run that breaks off goes on after the last one that was kept. In a
/// "quorum" two of them can end a round that the third falls out of.
fn federated(name: &'static str) -> Played {
    let begin = LONG.text();
    let (model, _) = begin.split_once("[training]").unwrap_or_default();
    let model = ["intercept = true\n", "l2 = 0.01\n", "clip = 8.0\n"]
        .iter()
        .fold(model.replace(LONG.name, name), |text, line| text.replace(line, ""));
    let quorum = if name == "quorum" { "threshold = 2\n" } else { "" };
    let text = format!(
        "{model}[training]\nmode = \"federated\"\nl2 = 0.01\nrounds = {ROUNDS}\n{quorum}\
         [security]\nagainst = \"semi-honest\"\n"
    );
    let rows = [0, 1, 2].map(|party| LONG.rows(party));
    Played { name, text, rows, kit: None, command: &["train"], file: "model.json", alike: true }
}

/// Makes what studies of columns begin with: records in one order, and for scores a model too.
pub fn prepare(slot: &Slot) -> Outcome<()> {
    let (own, scores) = (own(), scores());
    align(slot, "to be fitted", &own.rows)?;
    keep(slot, OWN_KIT)?;
    for name in NAMES {
        fs::write(slot.dir(name).join("study.toml"), &own.text)?;
    }
    together(slot, &["train", "study.toml", "--data", "rows.csv"])?;
    align(slot, "to be scored", &scores.rows)?;
    keep(slot, SCORES_KIT)
}

fn align(slot: &Slot, title: &str, rows: &[String; 3]) -> Outcome<()> {
    for (name, rows) in NAMES.iter().zip(rows) {
        fs::write(slot.dir(name).join("alignment.toml"), alignment(title))?;
        fs::write(slot.dir(name).join("rows.csv"), rows)?;
    }
    together(slot, &["align", "alignment.toml", "--data", "rows.csv"])
}

/// Runs a command at all nodes, to its end.
fn together(slot: &Slot, arguments: &[&str]) -> Outcome<()> {
    thread::scope(|scope| {
        let node = |name: &'static str| {
            let mut command = std::process::Command::new(slot.party());
            command.args(["--config", &slot.config(name)]);
            for argument in arguments {
                // Files are those of the node.
                match argument.contains('.') {
                    true => command.arg(slot.dir(name).join(argument)),
                    false => command.arg(argument),
                };
            }
            command.env("PARTY__NETWORK__LINK", "loopback");
            scope.spawn(move || command.output())
        };
        let nodes: Vec<_> = NAMES.into_iter().map(node).collect();
        for node in nodes {
            let output = node.join().map_err(|_| "a node broke off")??;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("party {arguments:?}: {said}").into());
            }
        }
        Ok(())
    })
}

fn keep(slot: &Slot, kit: &str) -> Outcome<()> {
    let folders = NAMES.map(|name| slot.dir(name));
    folders.iter().try_for_each(|dir| copy(&dir.join("state"), &dir.join(kit)))
}

/// Copies a folder with all in it; what it holds stays private.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
