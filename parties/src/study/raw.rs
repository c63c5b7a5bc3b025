//! The fields of `study.toml` as TOML has them, before any rule is checked.

use serde::Deserialize;

use super::{StudyError, VERSION, place::Field};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStudy {
    /// Checked by [`version`]; here so that it is a known field.
    #[serde(rename = "version")]
    _version: i64,
    pub title: String,
    pub parties: Vec<String>,
    pub partition: String,
    pub model: RawModel,
    pub features: Vec<RawFeature>,
    pub training: RawTraining,
    pub security: RawSecurity,
    pub output: RawOutput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub kind: String,
    pub target: RawTarget,
    pub offset: Option<RawOffset>,
    pub intercept: bool,
    pub l2: f64,
    pub clip: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub column: String,
    pub positive: Option<String>,
    pub negative: Option<String>,
    pub range: Option<(f64, f64)>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected { column = .., range = [.., ..] } for `offset`")]
pub(super) enum RawOffset {
    Column(String),
    Ranged(RawRanged),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRanged {
    pub column: String,
    pub range: (f64, f64),
}

/// Both types of feature in one, so that a field of the wrong type is named with its feature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFeature {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub missing: RawMissing,
    pub indicator: Option<bool>,
    pub scale: Option<RawScale>,
    pub range: Option<(f64, f64)>,
    pub levels: Option<Vec<String>>,
    pub base: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a word in quotes or a number for `missing`")]
pub(super) enum RawMissing {
    Value(f64),
    Word(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"joint\", \"none\" or { mean = .., std = .. } for `scale`"
)]
pub(super) enum RawScale {
    Word(String),
    Constants(RawConstants),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConstants {
    pub mean: f64,
    pub std: f64,
}

/// The fields of all solvers in one, so that a field of another solver is named as such.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraining {
    pub solver: String,
    pub epochs: Option<i64>,
    pub batch: Option<i64>,
    pub learning_rate: Option<f64>,
    pub decay: Option<f64>,
    pub momentum: Option<f64>,
    pub seed: Option<i64>,
    pub sigmoid: Option<RawSigmoid>,
    pub condition: Option<f64>,
    pub tolerance: Option<f64>,
    pub prevalence: Option<f64>,
    pub rate: Option<RawRate>,
    pub largest_eigenvalue: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSigmoid {
    pub window: i64,
    pub terms: i64,
    pub fit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub mean: f64,
    pub centre: Option<f64>,
    pub halfwidth: f64,
    pub terms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecurity {
    pub correlations: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    pub model: RawRecipients,
    pub release_bits: i64,
    #[serde(default)]
    pub inference: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"all\" or a list of parties for `model` in [output]")]
pub(super) enum RawRecipients {
    Word(String),
    Parties(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    version: i64,
}

/// Checks the version alone.
pub(super) fn version(text: &str) -> Result<(), StudyError> {
    let header: Header = toml::from_str(text).map_err(|error| StudyError::toml(text, &error))?;
    if header.version == VERSION {
        return Ok(());
    }
    Err(StudyError::Version { line: Field::from("version").line(text), got: header.version })
}
