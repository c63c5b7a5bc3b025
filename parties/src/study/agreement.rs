//! What parties agree on who run a protocol of their own: the file that stands in the place of `study.toml`.

use std::path::Path;

use mpc_core::Recipients;
use mpc_ml::model::{Output, OutputKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::place::Field;
use super::raw::{RawConsent, RawRecipients, RawSecurity};
use super::{
    Disclosure, StudyDigest, StudyError, Terms, consent, disclosure, named, output, raw,
    read_bytes, security,
};
use crate::output::is_plain;

/// The most characters of the words of an output.
const WORDS: usize = 2000;
/// The most steps of an output.
const MOST_STEPS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgreement {
    /// Checked before; here so that it is a known field.
    #[serde(rename = "version")]
    _version: i64,
    title: String,
    parties: Vec<String>,
    protocol: RawProtocol,
    reveals: Vec<RawOutput>,
    #[serde(default)]
    settings: toml::Table,
    security: RawSecurity,
    #[serde(default)]
    consent: RawConsent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProtocol {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    label: String,
    #[serde(default)]
    kind: RawKind,
    /// Of an output that is revealed step by step, under `label/1`, `label/2`, ..: how many steps there are.
    steps: Option<usize>,
    to: RawRecipients,
    what: String,
    why: String,
}

/// What an output is to the result.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    #[default]
    Result,
    Figure,
    Check,
}

/// The agreement on a protocol of one's own, checked: the same bytes at every party.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub(super) terms: Terms,
    outputs: Vec<Output>,
    settings: toml::Table,
}

impl Agreement {
    /// Reads an agreement from a file.
    ///
    /// # Errors
    /// When the file cannot be read or breaks a rule.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        Self::from_bytes(&read_bytes(path)?)
    }

    /// Reads an agreement from the bytes of its file.
    ///
    /// # Errors
    /// When they break a rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StudyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StudyError::NotText)?;
        raw::version(text)?;
        let raw: RawAgreement =
            toml::from_str(text).map_err(|error| StudyError::toml(text, &error))?;
        Self::check(StudyDigest::of(bytes), text, raw).map_err(|error| error.located(text))
    }

    fn check(digest: StudyDigest, text: &str, raw: RawAgreement) -> Result<Self, StudyError> {
        let title = named::title(raw.title)?;
        let parties = named::parties(&raw.parties)?;
        let security = security::check(&raw.security)?;
        let consent = consent::check(raw.consent, &parties)?;
        let protocol = raw.protocol.name;
        if !is_name(&protocol) {
            let rule = "must be 1 to 60 letters, digits, '-', '.' and '/', such as \"joint-sum/1\"";
            return Err(StudyError::rule("protocol.name", rule));
        }
        let mut outputs: Vec<Output> = Vec::new();
        for (index, raw) in raw.reveals.into_iter().enumerate() {
            let field = |key: &str| Field::from("reveals").item(index).key(key);
            if !is_plain(&raw.label, 60) {
                let rule = "must be one line of 1 to 60 characters";
                return Err(StudyError::rule(field("label"), rule));
            }
            if raw.steps.is_some_and(|steps| !(1..=MOST_STEPS).contains(&steps)) {
                let rule = format!("must be from 1 to {MOST_STEPS}");
                return Err(StudyError::rule(field("steps"), rule));
            }
            let labels: Vec<String> = match raw.steps {
                None => vec![raw.label],
                Some(steps) => (1..=steps).map(|step| format!("{}/{step}", raw.label)).collect(),
            };
            if outputs.iter().any(|before| labels.contains(&before.label)) {
                return Err(StudyError::rule(field("label"), "is that of an output before it"));
            }
            for (key, words) in [("what", &raw.what), ("why", &raw.why)] {
                if !is_plain(words, WORDS) {
                    let rule = format!("must be one line of 1 to {WORDS} characters");
                    return Err(StudyError::rule(field(key), rule));
                }
            }
            let names = output::recipients(raw.to, &parties, field("to"))?;
            let all = names.len() == parties.len();
            let places = parties.iter().enumerate().filter(|(_, name)| names.contains(name));
            let recipients = match all {
                true => Recipients::All,
                false => Recipients::Among(places.fold(0, |bits, (place, _)| bits | 1 << place)),
            };
            let kind = match raw.kind {
                RawKind::Result => OutputKind::Result,
                RawKind::Figure => OutputKind::Figure,
                RawKind::Check => OutputKind::Check,
            };
            if kind.is_repeatable() && !all {
                let rule = "must be \"all\": what steers a run is seen by all parties";
                return Err(StudyError::rule(field("to"), rule));
            }
            outputs.extend(labels.into_iter().map(|label| Output {
                label,
                recipients,
                kind,
                what: raw.what.clone(),
                why: raw.why.clone(),
            }));
        }
        if outputs.iter().all(|output| output.kind.is_repeatable()) {
            return Err(StudyError::rule(
                "reveals",
                "has no result, and so there is nothing to run for",
            ));
        }
        let terms = Terms {
            digest,
            title,
            text: text.into(),
            parties,
            security,
            consent,
            kind: format!("protocol {protocol}"),
            protocol: Some(protocol),
            alignment: None,
        };
        Ok(Self { terms, outputs, settings: raw.settings })
    }

    /// What it has in common with a study.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The name of the protocol, with its version.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.terms.protocol().unwrap_or_default()
    }

    /// Everything that may be revealed, in order.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The digest of [`outputs`](Self::outputs): what an approval is about.
    #[must_use]
    pub fn disclosure_digest(&self) -> [u8; 32] {
        disclosure::digest_of(&self.terms.parties, &self.outputs)
    }

    /// Everything that anyone learns, in plain words.
    #[must_use]
    pub fn disclosure(&self) -> Vec<Disclosure> {
        disclosure::of_agreement(&self.terms, &self.outputs)
    }

    /// The table `[settings]`: what the parties agree on for this protocol.
    ///
    /// # Errors
    /// When it does not have this form.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, StudyError> {
        self.settings.clone().try_into().map_err(|error: toml::de::Error| {
            let rule = format!("do not suit the protocol: {}", error.message());
            StudyError::rule("settings", rule).located(&self.terms.text)
        })
    }
}

/// Whether a protocol can be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-./".contains(&byte);
    (1..=60).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether this file is meant to be an agreement on a protocol; whoever reads it says what else is wrong.
#[must_use]
pub fn is_agreement(path: &Path) -> bool {
    read_bytes(path).is_ok_and(|bytes| are_agreement(&bytes))
}

/// Whether these bytes are meant to be an agreement on a protocol, and not a study.
pub(super) fn are_agreement(bytes: &[u8]) -> bool {
    let table: Option<toml::Table> =
        std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    table.is_some_and(|table| table.contains_key("protocol") && !table.contains_key("model"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../examples/custom_protocol.toml");

    fn refused(from: &str, to: &str) -> String {
        assert!(TEXT.contains(from), "{from}");
        let text = TEXT.replacen(from, to, 1);
        Agreement::from_bytes(text.as_bytes()).expect_err(to).to_string()
    }

    #[test]
    fn an_agreement_says_all_that_a_node_has_to_know() {
        let agreement = Agreement::from_bytes(TEXT.as_bytes()).expect("it is one");
        assert!(are_agreement(TEXT.as_bytes()) && agreement.protocol() == "spread/1");
        assert_eq!(agreement.terms().kind(), "protocol spread/1");
        assert_eq!((agreement.outputs().len(), agreement.terms().parties().len()), (1, 3));
        assert!(agreement.disclosure().iter().any(|each| each.what.contains("variance")));
        // Whoever approves of one list has not approved of another one.
        let narrower = TEXT.replacen("to = \"all\"", "to = [\"shop-b\"]", 1);
        let narrower = Agreement::from_bytes(narrower.as_bytes()).expect("it is one");
        assert_eq!(narrower.outputs()[0].recipients, Recipients::Among(2));
        assert_ne!(narrower.disclosure_digest(), agreement.disclosure_digest());
        // Its own settings, in the form that the protocol wants.
        #[derive(Debug, Deserialize)]
        struct Own {
            most: u64,
        }
        let with = format!("{TEXT}\n[settings]\nmost = 7\n");
        let with = Agreement::from_bytes(with.as_bytes()).expect("it is one");
        assert_eq!(with.settings::<Own>().expect("fits").most, 7);
        let wrong = agreement.settings::<Own>().expect_err("nothing is there").to_string();
        assert!(wrong.contains("settings do not suit the protocol"), "{wrong}");
        // A study is none.
        let study = include_str!("../../../scripts/data/credit_status/study.toml");
        assert!(!are_agreement(study.as_bytes()));
    }

    #[test]
    fn what_breaks_a_rule_is_named_with_its_line() {
        for (from, to, words) in [
            ("\"spread/1\"", "\"spread 1\"", "line 6: protocol.name must be 1 to 60 letters"),
            ("label = \"spread\"", "label = \"\"", "reveals[1].label must be one line"),
            ("to = \"all\"", "to = [\"shop-d\"]", "reveals[1].to[1] names \"shop-d\""),
            ("to = \"all\"", "to = []", "reveals[1].to names nobody"),
            ("to = \"all\"", "to = \"all\"\nkind = \"check\"", "reveals has no result"),
            (
                "to = \"all\"",
                "to = [\"shop-a\"]\nkind = \"figure\"",
                "reveals[1].to must be \"all\": what steers",
            ),
            ("\"shop-c\"]", "\"shop-a\"]", "names shop-a a second time"),
            ("version = 1", "version = 2", "version 2"),
            ("against = \"covert\"", "against = \"all\"", "security.against must be"),
            ("[security]", "[model]\nkind = \"linear\"\n\n[security]", "unknown field `model`"),
        ] {
            let said = refused(from, to);
            assert!(said.contains(words), "{to}: {said}");
        }
        let steps = |label: &str, steps: usize| {
            let more = format!(
                "[[reveals]]\nlabel = {label:?}\nkind = \"figure\"\nsteps = {steps}\nto = \"all\"\nwhat = \
                 \"a\"\nwhy = \"b\"\n\n[security]"
            );
            TEXT.replacen("\"spread\"", "\"a/2\"", 1).replacen("[security]", &more, 1)
        };
        let agreement = Agreement::from_bytes(steps("step", 3).as_bytes()).expect("it is one");
        let labels: Vec<&str> = agreement.outputs().iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["a/2", "step/1", "step/2", "step/3"]);
        for (label, count, says) in [("a", 2, "before it"), ("step", 65, "steps must be from 1")] {
            let said = Agreement::from_bytes(steps(label, count).as_bytes()).expect_err(label);
            assert!(said.to_string().contains(says), "{said}");
        }
        let twice = "[[reveals]]\nlabel = \"spread\"\nto = \"all\"\nwhat = \"a\"\nwhy = \"b\"\n\n[security]";
        assert!(
            refused("[security]", twice).contains("reveals[2].label is that of an output before")
        );
    }
}
