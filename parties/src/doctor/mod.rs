//! What can keep a node from a study: everything that can be found out, each with what to do.

mod clocks;
mod own;
mod peers;
mod relay;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::wrapped;

pub use own::{Asked, Own, own};
pub use peers::{Known, look};
pub use relay::relay;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Well,
    /// Nothing that keeps a study from running; somebody should know it.
    Note,
    /// A study would fail.
    Wrong,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a word, or the name of a node.
    pub check: String,
    /// How it is.
    pub state: State,
    /// The kind of what is wrong, a word for programs.
    pub kind: &'static str,
    /// In a sentence.
    pub what: String,
    /// What to do about it.
    pub what_to_do: Option<String>,
    /// The class with which a command would end.
    #[serde(skip)]
    pub exit: Exit,
}

impl Finding {
    /// Something is as it should be.
    #[must_use]
    pub fn well(check: impl Into<String>, what: impl Into<String>) -> Self {
        let (check, what) = (check.into(), what.into());
        Self { check, state: State::Well, kind: "well", what, what_to_do: None, exit: Exit::Ok }
    }

    /// Something is wrong, of a kind.
    #[must_use]
    pub fn wrong(
        check: impl Into<String>,
        kind: &'static str,
        what: impl Into<String>,
        to_do: impl Into<String>,
    ) -> Self {
        let (what_to_do, exit) = (Some(to_do.into()), Exit::Configuration);
        Self { state: State::Wrong, kind, what_to_do, exit, ..Self::well(check, what) }
    }

    /// Something to know.
    #[must_use]
    pub fn note(check: impl Into<String>, kind: &'static str, what: impl Into<String>) -> Self {
        Self { state: State::Note, kind, ..Self::well(check, what) }
    }

    /// The failure with which a command would end.
    #[must_use]
    pub fn of(check: impl Into<String>, kind: &'static str, failure: Failure) -> Self {
        let place = failure.place.map(|place| format!("{place}: ")).unwrap_or_default();
        let what = place + &failure.what;
        let (what_to_do, exit) = (failure.advice, failure.exit);
        Self { state: State::Wrong, kind, what_to_do, exit, ..Self::well(check, what) }
    }

    /// The same of another class.
    #[must_use]
    pub fn ending(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    fn in_words(&self, width: usize) -> String {
        let word = match self.state {
            State::Well => "ok",
            State::Note => "note",
            State::Wrong => "WRONG",
        };
        let mut text = wrapped(&format!("{word:5}  {:width$}  ", self.check), &self.what);
        if let Some(to_do) = &self.what_to_do {
            text += &wrapped(&" ".repeat(width + 9), &format!("-> {to_do}"));
        }
        text
    }
}

/// All findings on 80 columns.
#[must_use]
pub fn in_words(findings: &[Finding]) -> String {
    let width = findings.iter().map(|it| it.check.len()).max().unwrap_or_default().min(24);
    let wrong = findings.iter().filter(|it| it.state == State::Wrong).count();
    let end = match wrong {
        0 => "Nothing was found that keeps this node from a study.\n".to_owned(),
        1 => "One thing is wrong.\n".to_owned(),
        many => format!("{many} things are wrong.\n"),
    };
    findings.iter().map(|it| it.in_words(width)).collect::<String>() + "\n" + &end
}

/// The class of the first thing that is wrong.
#[must_use]
pub fn exit(findings: &[Finding]) -> Exit {
    let wrong = findings.iter().find(|it| it.state == State::Wrong);
    wrong.map_or(Exit::Ok, |it| it.exit)
}
