//! `party study new`: a draft of a study from this party's own rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::joint_columns::{self, JointColumn};
use crate::cli::{Drafted, StudyNew};
use crate::data_file::{Profile, Shape, Source, profile};
use crate::exit::{Exit, Failure};
use crate::output::{Report, check_writable, create, wrapped};
use crate::settings::{Overrides, Settings};
use crate::study::Study;

/// Words in fewer rows stay here: one of them may be somebody's name.
const LEAST: u64 = 5;
/// More words than these are no levels.
const MOST_LEVELS: usize = 30;

pub(super) fn new(config: &Path, options: &StudyNew) -> Result<Report, Failure> {
    check_writable(&options.out)?;
    let settings = if config.exists() {
        let read = Settings::read(config, &Overrides::default());
        Some(read.map_err(|error| Failure::from(error).in_file(config))?)
    } else {
        None
    };
    let own = settings.as_ref().and_then(|settings| settings.data.as_ref());
    let reading = settings.as_ref().map(|settings| settings.reading.clone()).unwrap_or_default();
    let source = match (&options.data, own) {
        (Some(data), _) => Source::file(data).with(reading),
        (None, Some(own)) => own.from.clone(),
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "--data is missing: the rows to draft from"));
        }
    };
    let columns = profile(&source)?;
    let target = columns.iter().find(|column| column.name == options.target).ok_or_else(|| {
        let what = format!("there is no column {:?} to be predicted", options.target);
        Failure::new(Exit::LocalInput, what)
            .in_file(&source.path)
            .advise("give --target as the header has it, or as data.rename in party.toml calls it")
    })?;
    let id = own.and_then(|own| own.id_column.as_deref());
    let never = settings.as_ref().map(|settings| settings.limits.never_columns.as_slice());
    let joint = options.joint.as_deref().map(joint_columns::read).transpose()?.unwrap_or_default();
    let known = !joint.is_empty();
    let mut draft =
        Draft { text: head(options, settings.as_ref()), notes: Vec::new(), features: 0, joint };
    draft.target(target, options.kind).map_err(|failure| failure.in_file(&source.path))?;
    draft.text += "features = [\n";
    for column in columns.iter().filter(|column| column.name != options.target) {
        let is_never = never
            .into_iter()
            .flatten()
            .any(|name| name.to_lowercase() == column.name.to_lowercase());
        if id == Some(&column.name) || is_never {
            draft.note(column, "is left out: party.toml says that it is no feature");
        } else {
            draft.feature(column);
        }
    }
    draft.text += "]\n";
    if draft.features == 0 {
        let what = "no column of the data can be a feature";
        return Err(Failure::new(Exit::LocalInput, what).in_file(&source.path));
    }
    Study::from_bytes(draft.text.as_bytes()).map_err(|error| {
        Failure::new(Exit::LocalInput, format!("a study of these columns is refused: {error}"))
            .in_file(&source.path)
            .advise("rename or recode the column: data.rename and data.recode in party.toml")
    })?;
    create(&options.out, draft.text.as_bytes())?;
    let mut text =
        format!("Wrote {}: a draft of {} features.\n", options.out.display(), draft.features);
    for note in &draft.notes {
        text += &wrapped("  ", note);
    }
    text += &wrapped(
        "",
        if known {
            "It says what the rows of all parties hold, as far as they have described them together, and what this \
             party's rows hold else. Read it before you send it to the others. Then, at all parties:"
        } else {
            "It says what this party's rows hold: levels, and ranges that are rounded outwards. Read it before you \
             send it to the others, who add what their rows hold. Then, at all parties:"
        },
    );
    let _ = writeln!(text, "  party study check {}", options.out.display());
    Ok(Report {
        text,
        json: json!({
            "study": options.out,
            "features": draft.features,
            "notes": draft.notes,
        }),
    })
}

fn head(options: &StudyNew, settings: Option<&Settings>) -> String {
    let known = settings.map(|settings| {
        let peers = settings.peers.iter().map(|peer| peer.name.to_string());
        std::iter::once(settings.identity.name.to_string()).chain(peers).collect::<Vec<_>>()
    });
    let parties = match (&options.parties, known) {
        (Some(parties), _) => parties.clone(),
        (None, Some(known)) if known.len() > 1 => known,
        (None, known) => {
            let own = known.and_then(|known| known.into_iter().next());
            vec![own.unwrap_or_else(|| "party-a".to_owned()), "party-b".to_owned()]
        }
    };
    let parties: Vec<String> = parties.iter().map(|name| quoted(name)).collect();
    format!(
        "# A draft: the same file at every party, once all have agreed on it.\n\
         version = 1\n\
         title = {}\n\
         parties = [{}]\n",
        quoted(&format!("A model of {}", options.target)),
        parties.join(", ")
    )
}

struct Draft {
    text: String,
    notes: Vec<String>,
    features: usize,
    /// What is known of the columns of all parties.
    joint: BTreeMap<String, JointColumn>,
}

impl Draft {
    fn note(&mut self, column: &Profile, what: &str) {
        self.notes.push(format!("{}: {what}", column.name));
    }

    fn target(&mut self, column: &Profile, asked: Option<Drafted>) -> Result<(), Failure> {
        let refused = |what: String| {
            Err(Failure::new(Exit::LocalInput, what).advise("choose another --target or --kind"))
        };
        if column.missing > 0 {
            let what = format!(
                "is missing in {} rows, which no study takes: leave them out",
                column.missing
            );
            self.note(column, &what);
        }
        let name = &column.name;
        let two = column.words.len() == 2 && !column.more_words;
        let kind = asked.unwrap_or(if two { Drafted::Logistic } else { Drafted::Linear });
        let target = match (kind, &column.shape) {
            (Drafted::Logistic, _) if two => {
                // The rarer one is what is asked for.
                let mut classes: Vec<_> = column.words.iter().collect();
                classes.sort_by_key(|(word, count)| (**count, std::cmp::Reverse((*word).clone())));
                let [positive, negative] = [classes[0].0, classes[1].0];
                format!("positive = {}, negative = {}", quoted(positive), quoted(negative))
            }
            (Drafted::Logistic, _) => {
                return refused(format!("the target {name:?} does not have two classes"));
            }
            (Drafted::Linear | Drafted::Poisson, Shape::Words) => {
                return refused(format!("the target {name:?} holds words, and is no number"));
            }
            (kind, Shape::Numbers { low, high, whole }) => {
                if kind == Drafted::Poisson && !(*whole && *low >= 0.0) {
                    return refused(format!("the target {name:?} is no count"));
                }
                let (low, high) = outwards(*low, *high);
                let low = if kind == Drafted::Poisson { 0.0 } else { low };
                format!("range = [{low}, {high}]")
            }
        };
        let kind = match kind {
            Drafted::Linear => "linear",
            Drafted::Logistic => "logistic",
            Drafted::Poisson => "poisson",
        };
        let column = quoted(name);
        let _ = writeln!(
            self.text,
            "model = {{ kind = \"{kind}\", target = {{ column = {column}, {target} }} }}\n\
             output = {{ inference = true }}   # standard errors, tests and intervals too"
        );
        Ok(())
    }

    fn feature(&mut self, column: &Profile) {
        let name = quoted(&column.name);
        if let Some(joint) = self.joint.remove(&column.name) {
            return match joint.line(&name) {
                Ok((line, notes)) => {
                    notes.iter().for_each(|note| self.note(column, note));
                    self.features += 1;
                    let _ = writeln!(self.text, "{line}");
                }
                Err(why) => self.note(column, &why),
            };
        }
        if column.rows == column.missing {
            return self.note(column, "is left out: it is empty");
        }
        if column.words.len() == 1 && !column.more_words {
            return self.note(column, "is left out: it is the same in all rows");
        }
        let line = match column.shape {
            Shape::Numbers { low, high, .. } => {
                let (low, high) = outwards(low, high);
                let missing = if column.missing > 0 { ", missing = \"mean\"" } else { "" };
                format!("  {{ name = {name}, range = [{low}, {high}]{missing} }},")
            }
            Shape::Words => {
                let frequent = column.words.iter().filter(|(_, count)| **count >= LEAST);
                let levels: Vec<&String> = frequent.map(|(word, _)| word).collect();
                if column.more_words || column.words.len() > MOST_LEVELS || levels.len() < 2 {
                    return self.note(
                        column,
                        "is left out: its words are too many or too rare to be levels",
                    );
                }
                let rare = column.words.len() - levels.len();
                if rare > 0 {
                    let what = format!(
                        "{rare} words that stand in fewer than {LEAST} rows each are left out; add them to the \
                         levels, or let data.recode in party.toml say which level they are"
                    );
                    self.note(column, &what);
                }
                let base = levels.iter().max_by_key(|level| column.words[level.as_str()]);
                let mut levels: Vec<String> = levels.iter().map(|level| quoted(level)).collect();
                // The first is the base.
                if let Some(base) = base.map(|base| quoted(base)) {
                    levels.sort_by_key(|level| *level != base);
                }
                let missing = if column.missing > 0 { ", missing = \"level\"" } else { "" };
                format!("  {{ name = {name}, levels = [{}]{missing} }},", levels.join(", "))
            }
        };
        if matches!(column.shape, Shape::Numbers { whole: true, .. })
            && !column.more_words
            && (3..=6).contains(&column.words.len())
        {
            self.note(
                column,
                "has a few whole numbers only; if they are codes, give them as levels",
            );
        }
        self.features += 1;
        let _ = writeln!(self.text, "{line}");
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml_edit::value(text).to_string()
}

/// A range around both that says little of them: to the order of their distance.
fn outwards(low: f64, high: f64) -> (f64, f64) {
    let span = (high - low).max(f64::MIN_POSITIVE).max((high.abs().max(low.abs())) * 1e-12);
    let power = span.log10().floor() as i32;
    let unit = |value: f64| {
        if power >= 0 { value / 10_f64.powi(power) } else { value * 10_f64.powi(-power) }
    };
    let back = |value: f64| {
        if power >= 0 { value * 10_f64.powi(power) } else { value / 10_f64.powi(-power) }
    };
    let (mut from, mut to) = (back(unit(low).floor()), back(unit(high).ceil()));
    // Rounding must not leave one outside.
    if from > low {
        from = back(unit(low).floor() - 1.0);
    }
    if to < high {
        to = back(unit(high).ceil() + 1.0);
    }
    if from == to {
        to = back(unit(high).ceil() + 1.0);
    }
    (from + 0.0, to + 0.0)
}

#[cfg(test)]
mod tests {
    use super::outwards;

    #[test]
    fn ranges_are_rounded_outwards() {
        assert_eq!(outwards(18.0, 97.0), (10.0, 100.0));
        assert_eq!(outwards(0.0, 1.0), (0.0, 1.0));
        assert_eq!(outwards(-3.2, 4.1), (-4.0, 5.0));
        assert_eq!(outwards(1_680_000_000.0, 1_703_980_800.0), (1_680_000_000.0, 1_710_000_000.0));
        for (low, high) in
            [(0.1, 0.3), (1e-9, 1e9), (-7.3e5, -7.1e5), (1e10, 1e10 + 3.0), (5.0, 5.0)]
        {
            let (from, to) = outwards(low, high);
            assert!(from <= low && high <= to && from < to, "{low} {high}: {from} {to}");
        }
    }
}
