//! This party's part of a model, for scores of records whose columns are at different parties.

use std::path::Path;

use mpc_ml::artifact::{Model, ModelError, ModelPart};

use super::StudyFolder;
use super::folder_of;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::study::{Scoring, Study};

/// The own part of the model of the study that `scoring` names: as it was received, or taken out of the
/// whole model.
///
/// # Errors
/// When the model is not here, or its columns are not those of the study.
pub(super) fn read_part(
    (study, scoring, place): (&Study, &Scoring, usize),
    state: &Path,
) -> Result<ModelPart, Failure> {
    let path = folder_of(state, &scoring.study()).join(StudyFolder::MODEL);
    let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(&path);
    if !path.exists() {
        return Err(refused(format!("the model of {} is not here", scoring.study())).advise(
            "the study that predict.study names must have been trained with this state directory, and each \
             party must have received the model (model = \"all\") or its own part of it (model = \"own\")",
        ));
    }
    let bytes = input::read(&path)
        .map_err(|error| refused(format!("the model cannot be read: {error}")))?;
    let own = study.parties()[place].as_str();
    let schema = study.schema_of(place);
    let part = match Model::from_json(&bytes) {
        Err(ModelError::Part) => ModelPart::from_json(&bytes),
        Ok(whole) => whole.part(schema, own, study.is_holder(place)),
        Err(error) => Err(error),
    };
    let part = part.map_err(|error| refused(error.to_string()))?;
    let other = "agree on a study whose columns and kind are those of the one that fitted the model: copy its \
                 file, and change title and alignment";
    let wrong = if part.study() != scoring.study().to_string() {
        Some("the file is of another study")
    } else if part.party() != own {
        Some("the file is another party's part of the model")
    } else if part.kind() != study.kind() {
        Some("the model is of another kind than the study")
    } else if part.schema() != schema {
        Some("the columns of this party in the model are not those that the study gives it")
    } else {
        None
    };
    wrong.map_or(Ok(part), |what| Err(refused(what.to_owned()).advise(other)))
}
