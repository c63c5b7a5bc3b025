//! The schema says what the reader of a study knows.

use super::super::raw::{
    RawConsent, RawConstants, RawController, RawEvaluate, RawFeature, RawModel, RawPredict,
    RawRanged, RawStudy, RawSurvival, RawTarget, RawTypical,
};
use crate::schema::testing::{of_toml, same_fields};

#[test]
fn fields_of_a_study_are_those_of_its_schema() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../schema/study.json")).unwrap();
    same_fields::<RawStudy>(&schema, "");
    same_fields::<RawTarget>(&schema, "/properties/model/properties/target");
    same_fields::<RawSurvival>(&schema, "/properties/model/properties/survival");
    same_fields::<RawRanged>(&schema, "/$defs/ranged");
    same_fields::<RawFeature>(&schema, "/properties/features/items");
    same_fields::<RawConstants>(&schema, "/properties/features/items/properties/scale/anyOf/1");
    let typical = "/properties/features/items/properties/scale/anyOf/2";
    same_fields::<RawTypical>(&schema, typical);
    same_fields::<RawModel>(&schema, "/properties/model");
    same_fields::<RawPredict>(&schema, "/properties/predict");
    same_fields::<RawEvaluate>(&schema, "/properties/evaluate");
    same_fields::<RawConsent>(&schema, "/properties/consent");
    same_fields::<RawController>(&schema, "/properties/consent/properties/controllers/items");
}

#[test]
fn the_examples_fit_the_schema() {
    let schema = crate::schema::study();
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data");
    let mut count = 0;
    for folder in std::fs::read_dir(data).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let is_study = !path.ends_with("alignment.toml");
            if is_study && path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(of_toml(&schema, &text), Vec::<String>::new(), "{}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 10);
    let (example, wrong) = (super::EXAMPLE, |from: &str, to: &str| {
        assert!(super::EXAMPLE.contains(from), "{from}");
        of_toml(&schema, &super::EXAMPLE.replacen(from, to, 1))
    });
    assert!(of_toml(&schema, example).is_empty());
    assert_eq!(wrong("epochs = 20", "epoch = 20"), [".training.epoch: unknown"]);
    assert_eq!(
        wrong("type = \"numeric\"", "type = \"number\""),
        [".features[0].type: none of the words"]
    );
    assert_eq!(
        wrong("range = [0, 100]", "range = [0]"),
        [".features[0].range: too few or too many"]
    );
    assert_eq!(wrong("l2 = 0.01", "l2 = -0.01"), [".model.l2: out of range"]);
}
