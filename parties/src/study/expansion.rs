//! `model.survival`: hazards that are constant within intervals, as a model of counts of expanded rows.

use mpc_ml::Error;
use mpc_ml::data::{BinaryTarget, Cut, Schema};
use mpc_ml::survival::expand::{EVENTS, EXPOSURE, Expansion, INTERVAL};

use super::StudyError;
use super::place::Field;
use super::raw::{RawFeature, RawModel, RawOffset, RawRanged, RawSurvival, RawTarget};

/// Puts target, offset and the feature of the intervals in their places, where the study expands its rows.
pub(super) fn check(
    model: &mut RawModel,
    features: &mut Vec<RawFeature>,
    cut: Cut,
) -> Result<Option<Expansion>, StudyError> {
    let Some(raw) = model.survival.take() else { return Ok(None) };
    let refused = |field: &str, rule: &str| Err(StudyError::rule(field, rule));
    if model.kind.get_ref() != "poisson" {
        let rule = "belongs to kind = \"poisson\": hazards are rates of events";
        return refused("model.survival", rule);
    }
    if cut != Cut::Horizontal {
        let rule = "needs whole rows at each party, and this study divides columns";
        return refused("model.survival", rule);
    }
    if model.target.is_some() {
        return refused("model.target", "stands beside model.survival, which makes the target");
    }
    if model.offset.is_some() {
        return refused("model.offset", "stands beside model.survival, which makes the offset");
    }
    let RawSurvival { time, longest, event, happened, other, cuts } = raw;
    let event = BinaryTarget { column: event, positive: happened, negative: other };
    let expansion = Expansion::new(time, longest, event, cuts).map_err(|error| match error {
        Error::Field { field, rule } => {
            StudyError::rule(format!("model.survival.{field}").as_str(), rule)
        }
        error => StudyError::rule("model.survival", error.to_string()),
    })?;
    let range = Some(expansion.target().range);
    model.target = Some(RawTarget {
        column: EVENTS.to_owned(),
        party: None,
        positive: None,
        negative: None,
        levels: None,
        range,
    });
    let range = expansion.offset().range;
    model.offset = Some(RawOffset::Ranged(RawRanged { column: EXPOSURE.to_owned(), range }));
    features.push(RawFeature {
        field: Field::from("model.survival"),
        name: INTERVAL.to_owned(),
        kind: Some("categorical".to_owned()),
        levels: Some(expansion.intervals()),
        ..RawFeature::default()
    });
    Ok(Some(expansion))
}

/// With the schema of the rows in the files.
pub(super) fn reading(
    expansion: Expansion,
    expanded: &Schema,
) -> Result<(Expansion, Schema), StudyError> {
    match expansion.schema(expanded) {
        Ok(schema) => Ok((expansion, schema)),
        Err(error) => Err(StudyError::rule("model.survival", format!("does not fit: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::study::Study;

    const TEXT: &str = r#"
version = 1
title = "Hazards"
parties = ["north", "east"]
features = [{ name = "arm", levels = ["usual", "new"] }, { name = "age", range = [18, 100] }]

[model]
kind = "poisson"
survival = { time = "days", longest = 2000, event = "status", happened = "dead", other = "alive", cuts = [180, 360] }
"#;

    fn read(from: &str, to: &str) -> Result<Study, String> {
        assert!(TEXT.contains(from), "{from}");
        Study::from_bytes(TEXT.replacen(from, to, 1).as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_study_of_hazards_has_intervals_offset_and_counts() {
        let study = read("", "").expect("fits");
        let columns = ["arm=new", "age", "interval=180 to 360", "interval=360 on"];
        assert_eq!(study.schema().columns(), columns);
        assert_eq!(study.schema().offset().expect("one").column, "log_exposure");
        assert_eq!(study.schema().target().column(), "events");
        let (_, schema) = study.expanded().expect("expands");
        assert_eq!(schema.columns(), ["arm=new", "age", "days"]);
        assert_eq!((schema.target().column(), schema.offset()), ("status", None));
        let plan = study.plan(&[500, 600]).expect("fits");
        let told = study.disclosure(&*plan);
        assert!(told[0].what.contains("how many intervals its rows enter"), "{told:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_field() {
        for (from, to, says) in [
            ("\"poisson\"", "\"logistic\"", "hazards are rates"),
            ("cuts = [180, 360]", "cuts = [360, 180]", "model.survival.cuts must be 1 to 99 times"),
            ("longest = 2000", "longest = 0", "model.survival.longest must be a time above 0"),
            ("\"age\"", "\"interval\"", "interval"),
            ("\"age\"", "\"days\"", "days"),
            (
                "survival =",
                "target = { column = \"y\", range = [0, 1] }\nsurvival =",
                "which makes the target",
            ),
            (
                "survival =",
                "offset = { column = \"y\", range = [0, 1] }\nsurvival =",
                "which makes the offset",
            ),
            ("other = \"alive\"", "other = \"dead\"", "dead"),
            ("other = \"alive\", ", "", "missing field `other`"),
        ] {
            let said = read(from, to).expect_err(to);
            assert!(said.contains(says), "{to}: {said}");
        }
        let none = TEXT.lines().filter(|line| !line.starts_with("survival")).collect::<Vec<_>>();
        let said =
            Study::from_bytes(none.join("\n").as_bytes()).expect_err("no target").to_string();
        assert!(said.contains("model.target is missing"), "{said}");
    }
}
