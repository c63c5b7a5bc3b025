use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A record of a session; its commitments are those of all parties, or there are none.
fn recorded(session: u8, by_all: bool) -> Recorded {
    let commitments: Vec<[u8; 32]> = if by_all { vec![[1; 32]; 3] } else { Vec::new() };
    let form = (64u32, 0u32, 1u64);
    let all = (1u8, [session; 32], form, 0u64, Some([2u8; 32]), commitments, vec![0u8; 8]);
    Recorded::parse(&postcard::to_stdvec(&all).unwrap()).unwrap()
}

fn holding(records: &[(&str, u8, bool)]) -> Holding {
    let records = records
        .iter()
        .map(|(label, session, by_all)| ((*label).to_owned(), recorded(*session, *by_all)));
    Holding { records: records.collect(), ..Holding::default() }
}

fn course(own: Holding, others: &[Holding; 2]) -> Result<Course, Failure> {
    let all = [own.standing(), others[0].standing(), others[1].standing()];
    own.course(&all, &[0, 1, 2], &NAMES.map(str::to_owned))
}

fn sent_again(course: Result<Course, Failure>) -> Vec<String> {
    match course.unwrap() {
        Course::Fit(again) => again.into_keys().collect(),
        Course::Give { .. } => panic!("a model is given"),
    }
}

#[test]
fn what_all_have_recorded_in_one_session_is_sent_again() {
    let all = || holding(&[("one", 1, true), ("two", 1, false)]);
    assert_eq!(sent_again(course(all(), &[all(), all()])), ["one", "two"]);
    // One was killed before it recorded the second: nobody sent it.
    let killed = || holding(&[("one", 1, true)]);
    assert_eq!(sent_again(course(all(), &[killed(), all()])), ["one"]);
    assert_eq!(sent_again(course(killed(), &[all(), all()])), ["one"]);
    // A part of another session is no part of the same sum.
    let other = || holding(&[("one", 1, true), ("two", 2, false)]);
    assert_eq!(sent_again(course(all(), &[all(), other()])), ["one"]);
    assert!(sent_again(course(holding(&[]), &[holding(&[]), holding(&[])])).is_empty());
}

#[test]
fn who_has_lost_its_record_of_what_it_committed_to_is_named() {
    let all = || holding(&[("one", 1, true)]);
    let refused = course(all(), &[all(), holding(&[])]).unwrap_err();
    assert_eq!(refused.exit, Exit::Configuration);
    assert!(refused.accuses && refused.what.contains("c says that it has no record"), "{refused}");
    assert!(refused.advice.unwrap().contains("another title"));
}

#[test]
fn a_model_that_is_there_is_given() {
    let with =
        |bytes: &[u8]| Holding { model: Some(bytes.to_vec()), ..holding(&[("one", 1, true)]) };
    let without = || holding(&[("one", 1, true)]);
    let Course::Give { by, lacking } = course(without(), &[with(b"m"), without()]).unwrap() else {
        panic!("it is not given");
    };
    assert_eq!((by, lacking), (1, vec![0, 2]));
    let different = course(without(), &[with(b"m"), with(b"n")]).unwrap_err();
    assert!(different.what.contains("b and c have different models"), "{different}");
    // A memory that was lost does not matter where there is a model.
    assert!(matches!(course(holding(&[]), &[with(b"m"), with(b"m")]), Ok(Course::Give { .. })));
}

#[test]
fn a_part_is_done_again_with_what_there_was_then() {
    let then = holding(&[("one", 1, true)]).standing();
    let now = holding(&[("one", 1, true), ("two", 2, true)]).at_that_time(&then);
    assert_eq!(now.standing(), then);
    assert!(!now.is_empty() && holding(&[]).is_empty());
}
