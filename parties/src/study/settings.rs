//! The settings of a model: whatever stands in `[model]`, `[training]` and `[output]` and is not the
//! study's own, taken together and read as the model's settings, with the places they come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use mpc_ml::artifact::ModelKind;
use mpc_ml::federated::Federated;
use mpc_ml::models::private::Private;
use mpc_ml::{Error, Model};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::place::{Field, line_at};
use super::{Lines, StudyError};
use crate::models::{Chosen, MODELS, find};

/// The tables that hold settings of the model, with what is the study's own in them.
const TABLES: [(&str, &[&str]); 4] = [
    ("model", &["kind", "target", "survival", "offset", "weights", "groups", "interactions"]),
    ("training", &["solver", "mode"]),
    (OUTPUT, &["model"]),
    (PRIVACY, &[]),
];
/// The table that asks for a model with differential privacy.
const PRIVACY: &str = "privacy";
/// The table that says what is told, and its setting that asks for standard errors: of any model.
pub(crate) const OUTPUT: &str = "output";
/// See [`OUTPUT`].
pub(crate) const INFERENCE: &str = "inference";
/// Where a setting belongs that is not there.
const MISSING: &str = "training";

/// Settings that were taken out of a study.
pub(super) struct Gathered<'i> {
    settings: DeTable<'i>,
    /// In which table each stands.
    pub(super) tables: BTreeMap<String, &'static str>,
    /// Where `[training]` begins.
    span: std::ops::Range<usize>,
}

/// Takes the settings of the model out of a study.
pub(super) fn gather<'i>(study: &mut DeTable<'i>) -> Result<Gathered<'i>, StudyError> {
    let mut settings = DeTable::new();
    let mut tables = BTreeMap::new();
    let mut span = 0..0;
    for (name, own) in TABLES {
        let Some(table) = table_mut(study, name) else { continue };
        if name == MISSING {
            span = table.span();
        }
        let DeValue::Table(table) = table.get_mut() else { continue };
        let keys: Vec<Spanned<_>> = table.keys().cloned().collect();
        for key in keys.into_iter().filter(|key| !own.contains(&key.get_ref().as_ref())) {
            let Some(value) = table.remove(&key) else { continue };
            let word = key.get_ref().to_string();
            if let Some(before) = tables.insert(word.clone(), name) {
                let rule = format!("stands in [{before}] as well");
                return Err(StudyError::rule(Field::from(name).key(&word), rule));
            }
            settings.insert(key, value);
        }
    }
    Ok(Gathered { settings, tables, span })
}

fn table_mut<'t, 'i>(
    study: &'t mut DeTable<'i>,
    name: &str,
) -> Option<&'t mut Spanned<DeValue<'i>>> {
    study.iter_mut().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
}

/// Reads the settings as those of the model that the study names.
pub(super) fn read(
    gathered: Gathered<'_>,
    kind: (ModelKind, Spanned<String>),
    solver: &str,
    lines: &Lines,
) -> Result<Arc<dyn Chosen>, StudyError> {
    let (kind, word) = kind;
    let model = find(kind, solver).ok_or_else(|| no_model(kind, solver))?;
    let Gathered { mut settings, tables, span } = gathered;
    for (setting, table) in &tables {
        let private = model.name() == Private::NAME && model.settings().contains(&setting.as_str());
        let place = if setting == INFERENCE { OUTPUT } else { PRIVACY };
        if private && *table != place {
            let rule = format!("belongs into [{place}]: move it there");
            return Err(StudyError::rule(Field::from(*table).key(setting), rule));
        }
        if !model.settings().contains(&setting.as_str()) {
            let others: Vec<&str> = MODELS
                .iter()
                .filter(|other| other.settings().contains(&setting.as_str()))
                .map(|other| other.name())
                .collect();
            let rule = if model.retired().contains(&setting.as_str()) {
                format!(
                    "is not needed any more: the solver {solver:?} finds out by itself what it was \
                     given for; remove it"
                )
            } else if others.is_empty() {
                let own = model.settings().iter().filter(|own| **own != "kind");
                format!(
                    "is unknown: unknown field `{setting}`; the solver {solver:?} has {}",
                    own.copied().collect::<Vec<_>>().join(", ")
                )
            } else if others == [Federated::NAME] {
                format!(
                    "belongs to mode = {:?}, which this study does not have: remove it",
                    others[0]
                )
            } else if solver == Federated::NAME {
                format!("has no place in a study with mode = {solver:?}: remove it")
            } else {
                let others: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
                format!(
                    "belongs to the solver {}, and this study uses {solver:?}: remove it",
                    others.join(" or ")
                )
            };
            return Err(StudyError::rule(Field::from(*table).key(setting), rule));
        }
    }
    if model.settings().contains(&"kind") {
        let span = word.span();
        let value = DeValue::String(word.into_inner().into());
        settings.insert(Spanned::new(span.clone(), "kind".into()), Spanned::new(span, value));
    }
    let table = Spanned::new(span, DeValue::Table(settings));
    let text = lines.text();
    match model.read(ValueDeserializer::from(table)) {
        Ok(Ok(chosen)) => Ok(chosen.into()),
        Ok(Err(error)) => Err(lines.refusal(error)),
        Err(error) => Err(StudyError::Toml {
            line: error.span().map(|span| line_at(text, span.start)),
            message: error.message().to_owned(),
        }),
    }
}

/// The solver of a study that names none: the one that gives what a statistics program gives, or the one with
/// differential privacy where it is asked for.
pub(super) fn solver(kind: ModelKind, private: bool) -> &'static str {
    if private {
        Private::NAME
    } else if kind == ModelKind::Linear {
        "exact"
    } else {
        "optimum"
    }
}

/// There is no such pair of words.
fn no_model(kind: ModelKind, solver: &str) -> StudyError {
    let names = |fits: &dyn Fn(&[ModelKind]) -> bool| {
        // One is chosen by the table with its settings, the other by the mode.
        let elsewhere = [Private::NAME, Federated::NAME];
        let named = MODELS.iter().filter(|model| !elsewhere.contains(&model.name()));
        let fitting = named.filter(|model| fits(model.kinds()));
        fitting.map(|model| format!("{:?}", model.name())).collect::<Vec<_>>().join(" or ")
    };
    let known = MODELS.iter().any(|model| model.name() == solver);
    let fitting = names(&|kinds| kinds.contains(&kind));
    let kind = format!("{kind:?}").to_lowercase();
    let rule = if known {
        format!("is {solver:?}, which does not fit a {kind} model: it must be {fitting}")
    } else {
        format!("must be {fitting} for a {kind} model")
    };
    StudyError::rule("training.solver", rule)
}

impl Lines {
    /// What a model has against a study, at the field that it names.
    pub(super) fn refusal(&self, error: Error) -> StudyError {
        match error {
            Error::Field { field, rule } => match self.field(&field) {
                Some(field) => StudyError::rule(field, rule),
                None => StudyError::Plan(format!("{field} {rule}")),
            },
            other => StudyError::Plan(other.to_string()),
        }
    }

    /// Where the study has a field of a model or of its facts; none where it has no such field.
    fn field(&self, field: &str) -> Option<Field> {
        let (first, rest) = field.split_once('.').unwrap_or((field, ""));
        let table = match first {
            "partition" | "parties" => return Some(Field::from(field)),
            "features" => return Some(with_steps(Field::from(first), rest)),
            "recipients" => return Some(Field::from("output.model")),
            "rows" | "mean_squares" => return None,
            "kind" | "target" | "offset" | "weights" | "groups" => "model",
            _ => self.tables.get(first).copied().unwrap_or(MISSING),
        };
        Some(with_steps(Field::from(table).key(first), rest))
    }
}

/// What is below a field, by names and numbers with dots between them.
fn with_steps(field: Field, steps: &str) -> Field {
    let steps = steps.split('.').filter(|step| !step.is_empty());
    steps.fold(field, |field, step| match step.parse() {
        Ok(place) => field.item(place),
        Err(_) => field.key(step),
    })
}
