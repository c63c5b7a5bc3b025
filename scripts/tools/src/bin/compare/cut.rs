//! Cuts the rows of a data set by columns: files with ids at three parties, as they might have them, with
//! the alignments and studies that bring them together. Only a demonstration has all rows in one place.

use std::fs;
use std::path::Path;

use parties::alignment::AlignmentName;
use parties::name::PartyName;
use parties::study::{Study, StudyDigest};

use crate::Outcome;

/// Rows with their header.
struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    fn read(path: &Path) -> Outcome<Self> {
        let mut reader = csv::Reader::from_path(path)?;
        let header = reader.headers()?.iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect()));
        Ok(Self { header, rows: rows.collect::<Outcome<_>>()? })
    }

    fn place(&self, column: &str) -> Outcome<usize> {
        let found = self.header.iter().position(|name| name == column);
        found.ok_or_else(|| format!("there is no column {column:?}").into())
    }

    /// The file of a party: ids in its own spelling and order, its columns, and with `whole` all rows, else
    /// without every twentieth.
    fn of_party(
        &self,
        party: usize,
        columns: &[String],
        (kind, whole): (char, bool),
    ) -> Outcome<String> {
        let places =
            columns.iter().map(|column| self.place(column)).collect::<Outcome<Vec<_>>>()?;
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["client"].into_iter().chain(columns.iter().map(String::as_str)))?;
        let count = self.rows.len();
        for at in 0..count {
            // Another order at each party.
            let number = (at + party * 1013) % count;
            if !whole && number % 20 == party {
                continue;
            }
            let id = match party {
                0 => format!("{kind}-{number:05}"),
                1 => format!(" {}-{number:05} ", kind.to_ascii_lowercase()),
                _ => format!("{kind}\u{ff0d}{number:05}"),
            };
            let cells = places.iter().map(|&place| self.rows[number][place].as_str());
            writer.write_record([id.as_str()].into_iter().chain(cells))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }
}

/// An alignment of so many records at most.
fn alignment(title: &str, most: usize, parties: &[&str]) -> String {
    let most = vec![most; parties.len()];
    format!(
        "version = 1\ntitle = {title:?}\nparties = {parties:?}\nmost = {most:?}\nleast = 10\n\n\
         [[id]]\ncolumn = \"client\"\n"
    )
}

/// Cuts the rows of the data set whose (horizontal) study is at `study` for these parties, of whom the first one
/// gets the target; `model` says who receives it, and `whole` whether all have all records.
/// Leaves in `folder`: for each party PARTY.csv and PARTY-new.csv, alignment.toml and alignment-new.toml,
/// study.toml and scores.toml, and with the targets of the new records truth.csv.
pub fn cut(
    study: &str,
    folder: &str,
    (model, whole): (&str, bool),
    parties: &[&str],
) -> Outcome<()> {
    let (study, folder) = (Path::new(study), Path::new(folder));
    let data = study.parent().ok_or("a study without a folder")?;
    let text = fs::read_to_string(study)?;
    let read = Study::read(study)?;
    let mut rows = Rows::read(&data.join("party1.csv"))?;
    for party in 2..=read.parties().len() {
        let more = Rows::read(&data.join(format!("party{party}.csv")))?;
        if more.header != rows.header {
            return Err("the parties' files have different columns".into());
        }
        rows.rows.extend(more.rows);
    }
    let new = Rows::read(&data.join("test.csv"))?;

    let features: Vec<String> =
        read.schema().features().iter().map(|feature| feature.name.clone()).collect();
    let owner = |at: usize| at * parties.len() / features.len();
    fs::create_dir_all(folder)?;
    let write = |name: String, text: &str| fs::write(folder.join(name), text);
    for (place, party) in parties.iter().enumerate() {
        let own = features.iter().enumerate().filter(|(at, _)| owner(*at) == place);
        let mut own: Vec<String> = own.map(|(_, name)| name.clone()).collect();
        // Records to be scored may lack what only a fit needs.
        write(format!("{party}-new.csv"), &new.of_party(place, &own, ('N', whole))?)?;
        if place == 0 {
            let schema = read.schema();
            own.push(schema.target().column().to_owned());
            own.extend(schema.offset().map(|offset| offset.column.clone()));
            own.extend(schema.weights().map(|weights| weights.column.clone()));
        }
        write(format!("{party}.csv"), &rows.of_party(place, &own, ('P', whole))?)?;
    }
    let target = new.place(read.schema().target().column())?;
    let mut truth = csv::Writer::from_path(folder.join("truth.csv"))?;
    truth.write_record(["client", "target"])?;
    for (number, row) in new.rows.iter().enumerate() {
        truth.write_record([&format!("N-{number:05}"), &row[target]])?;
    }
    truth.flush()?;

    let records = alignment(&format!("Records of: {}", read.title()), rows.rows.len(), parties);
    let fresh = alignment(&format!("New records of: {}", read.title()), new.rows.len(), parties);
    let named = |text: &str| AlignmentName::of(text.as_bytes()).to_string();
    let by_columns = by_columns(&text, (model, &named(&records)), parties)?;
    let scores = format!(
        "{}\n[predict]\nstudy = \"{}\"\nscores = [{:?}]\n",
        by_columns.replace(&named(&records), &named(&fresh)).replacen(
            "title = \"",
            "title = \"Scores: ",
            1
        ),
        StudyDigest::of(by_columns.as_bytes()),
        parties[0]
    );
    write("alignment.toml".into(), &records)?;
    write("alignment-new.toml".into(), &fresh)?;
    write("study.toml".into(), &by_columns)?;
    write("scores.toml".into(), &scores)?;
    Ok(())
}

/// The same study for parties that hold columns.
fn by_columns(text: &str, (model, alignment): (&str, &str), parties: &[&str]) -> Outcome<String> {
    let (mut lines, mut feature) = (Vec::new(), 0);
    let features = text.lines().filter(|line| line.trim() == "[[features]]").count();
    for line in text.lines() {
        let key = line.split('=').next().unwrap_or_default().trim();
        match key {
            "parties" => lines.push(format!("parties = {parties:?}")),
            "partition" => {
                lines.push("partition = \"vertical\"".to_owned());
                lines.push(format!("alignment = {alignment:?}"));
            }
            "target" => {
                let (head, rest) = line.split_once('{').ok_or("the target is no table")?;
                lines.push(format!("{head}{{ party = {:?},{rest}", parties[0]));
            }
            "model" => lines.push(format!("model = {model:?}")),
            _ if line.trim() == "[[features]]" => {
                lines.push(line.to_owned());
                lines.push(format!("party = {:?}", parties[feature * parties.len() / features]));
                feature += 1;
            }
            _ => lines.push(line.to_owned()),
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Why the study at `path` cannot be run by columns: its solver takes whole rows alone.
pub fn refused(path: &Path) -> Outcome<Option<String>> {
    let text = fs::read_to_string(path)?;
    let study = Study::from_bytes(text.as_bytes())?;
    let parties: Vec<&str> = study.parties().iter().map(PartyName::as_str).collect();
    let alignment = AlignmentName::of(b"any").to_string();
    let cut = by_columns(&text, ("all", &alignment), &parties)?;
    Ok(Study::from_bytes(cut.as_bytes()).err().map(|error| error.to_string()))
}
