//! The study's own fields of `study.toml` as TOML has them, before any rule is checked. The settings
//! of the model are taken out before.

use std::io::Read;
use std::path::Path;

use mpc_ml::data::Cut;
use serde::Deserialize;
use toml::Spanned;

use super::{StudyError, VERSION, place::Field};
use crate::input;

/// The largest study file; far above any real one.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStudy {
    /// Checked by [`version`]; here so that it is a known field.
    #[serde(rename = "version")]
    _version: i64,
    pub title: String,
    pub parties: Vec<String>,
    #[serde(default = "rows")]
    pub partition: Cut,
    pub alignment: Option<String>,
    pub model: RawModel,
    #[serde(default)]
    pub features: Vec<RawFeature>,
    #[serde(default)]
    pub training: RawTraining,
    #[serde(default)]
    pub security: RawSecurity,
    #[serde(default)]
    pub output: RawOutput,
    pub predict: Option<RawPredict>,
    pub evaluate: Option<RawEvaluate>,
    #[serde(default)]
    pub consent: RawConsent,
    pub privacy: Option<RawPrivacy>,
}

/// `[privacy]`, whose settings are those of the model and were taken out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrivacy {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsent {
    pub purpose: Option<String>,
    pub kind: Option<String>,
    pub legal_basis: Option<String>,
    pub retention: Option<String>,
    #[serde(default)]
    pub controllers: Vec<RawController>,
    pub approvals: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawController {
    pub party: String,
    pub controller: String,
    pub contact: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub kind: Spanned<String>,
    /// Made from `survival`, where that is there.
    pub target: Option<RawTarget>,
    pub survival: Option<RawSurvival>,
    pub offset: Option<RawOffset>,
    pub weights: Option<RawWeights>,
    pub groups: Option<String>,
    /// Products of features, each with all levels of a factor.
    #[serde(default)]
    pub interactions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub column: String,
    pub party: Option<String>,
    pub positive: Option<String>,
    pub negative: Option<String>,
    pub levels: Option<Vec<String>>,
    pub range: Option<(f64, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSurvival {
    pub time: String,
    pub longest: f64,
    pub event: String,
    pub happened: String,
    pub other: String,
    pub cuts: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected { column = .., range = [.., ..] } for `offset`")]
pub(super) enum RawOffset {
    Column(String),
    Ranged(RawRanged),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected { column = .., range = [.., ..] } for `weights`")]
pub(super) enum RawWeights {
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
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFeature {
    /// What in the file asks for it.
    #[serde(skip)]
    pub field: Field,
    pub name: String,
    pub party: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub missing: RawMissing,
    pub indicator: Option<bool>,
    pub scale: Option<RawScale>,
    pub range: Option<(f64, f64)>,
    pub levels: Option<Vec<String>>,
    pub base: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected a word in quotes or a number for `missing`")]
pub(super) enum RawMissing {
    Value(f64),
    Word(String),
}

impl Default for RawMissing {
    fn default() -> Self {
        Self::Word("refuse".to_owned())
    }
}

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"joint\", \"none\", { mean = .., std = .. } or { typical = [.., ..] } for `scale`"
)]
pub(super) enum RawScale {
    Word(String),
    Constants(RawConstants),
    Typical(RawTypical),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConstants {
    pub mean: f64,
    pub std: f64,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTypical {
    pub typical: (f64, f64),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraining {
    pub mode: Option<String>,
    pub solver: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecurity {
    pub correlations: Option<String>,
    pub against: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    #[serde(default)]
    pub model: RawRecipients,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPredict {
    pub study: String,
    pub scores: RawRecipients,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvaluate {
    pub study: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a word in quotes or a list of parties")]
pub(super) enum RawRecipients {
    Word(String),
    Parties(Vec<String>),
}

impl Default for RawRecipients {
    fn default() -> Self {
        Self::Word("all".to_owned())
    }
}

/// Each party holds rows of its own, where a study says nothing else.
fn rows() -> Cut {
    Cut::Horizontal
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

/// The bytes of a study or an agreement.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, StudyError> {
    let failed = |source| StudyError::Read { path: path.to_owned(), source };
    let mut file = input::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_BYTES {
        return Err(StudyError::TooLarge { path: path.to_owned(), length });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
