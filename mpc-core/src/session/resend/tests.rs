use std::sync::{Arc, Mutex};

use super::super::{Against, Outputs, ReleaseLog};
use super::*;
use crate::share::Shared;
use crate::testing::World;

const LABEL: &str = "result";
const VALUES: [i128; 3] = [-700, 12, 90_000];
const BITS: u32 = 80;
const DROP: u32 = 5;

type Kept = Arc<Mutex<Option<Vec<u8>>>>;

/// Keeps the last record, and refuses where it is told to: the party ends there.
#[derive(Clone, Default)]
struct Log {
    kept: Kept,
    /// Ends when the part is recorded, or when all are known to have recorded theirs.
    ends: Option<&'static str>,
    resent: Arc<Mutex<usize>>,
}

impl Log {
    fn keep(&self, at: &str, part: &[u8]) -> Result<(), String> {
        *self.kept.lock().unwrap() = Some(part.to_vec());
        if self.ends == Some(at) { Err("killed".to_owned()) } else { Ok(()) }
    }
}

impl ReleaseLog for Log {
    fn record(&mut self, _: &str, part: &[u8]) -> Result<(), String> {
        self.keep("recorded", part)
    }

    fn committed(&mut self, _: &str, part: &[u8]) -> Result<(), String> {
        self.keep("committed", part)
    }

    fn resent(&mut self, _: &str) -> Result<(), String> {
        *self.resent.lock().unwrap() += 1;
        Ok(())
    }
}

type Ends = Vec<Result<Option<Vec<i128>>, Error>>;

/// Values whose lowest bits are zero, so that what is dropped of them is no matter of chance.
fn share(me: usize) -> Shared<Z128> {
    let of = |value: &i128| if me == 0 { Z128::from_i128(value << DROP) } else { Z128::ZERO };
    Shared::column(VALUES.iter().map(of).collect())
}

/// Three parties reveal the values, each with its log.
fn reveal(against: Against, to: Recipients, logs: &[Log]) -> Ends {
    let world = World::new(3).against(against).outputs(Outputs::none().allow(LABEL, to));
    world.run(async |mut session| {
        let me = session.me();
        session.record_releases(Box::new(logs[me].clone()));
        session.reveal(LABEL, &share(me), BITS, DROP).await
    })
}

/// The same once more in another session, from shares that are of no use.
fn again(against: Against, to: Recipients, logs: &[Log], records: &[Recorded]) -> Ends {
    let world = World::new(3).against(against).outputs(Outputs::none().allow(LABEL, to));
    world.run(async |mut session| {
        let me = session.me();
        session.record_releases(Box::new(logs[me].clone()));
        session.resend([(LABEL.to_owned(), records[me].clone())].into());
        let nonsense = Shared::column(vec![Z128(77 << (40 + me)); VALUES.len()]);
        session.reveal(LABEL, &nonsense, BITS, DROP).await
    })
}

fn records(logs: &[Log]) -> Vec<Recorded> {
    let each = logs.iter().map(|log| {
        let kept = log.kept.lock().unwrap();
        Recorded::parse(kept.as_deref().unwrap()).unwrap()
    });
    each.collect()
}

fn logs() -> Vec<Log> {
    vec![Log::default(); 3].into_iter().map(|_| Log::default()).collect()
}

/// A zero share and three truncations leave each value as it is, or a unit off.
fn is_result(values: &[i128]) -> bool {
    values.len() == 3 && values.iter().zip(VALUES).all(|(got, due)| (got - due).abs() <= 2)
}

#[test]
fn what_was_recorded_is_sent_again_as_it_was() {
    for against in [Against::SemiHonest, Against::Covert] {
        for to in [Recipients::All, Recipients::Among(0b101), Recipients::One(1)] {
            let logs = logs();
            let first = reveal(against, to, &logs);
            let recorded = records(&logs);
            assert!(recorded.iter().all(|one| one.session() == recorded[0].session()));
            let second = again(against, to, &logs, &recorded);
            for (party, (first, second)) in first.iter().zip(&second).enumerate() {
                let (first, second) = (first.as_ref().unwrap(), second.as_ref().unwrap());
                // To the last digit, whose rounding is a coin: the same shares, and no second cut.
                assert_eq!(first, second);
                assert_eq!(first.is_some(), to.include(party));
                assert!(first.as_ref().is_none_or(|values| is_result(values)));
                assert_eq!(*logs[party].resent.lock().unwrap(), 1);
            }
        }
    }
}

/// Wherever a party is killed between its record and the others' shares, the result is revealed from what was
/// recorded; and in a covert session all have recorded before anybody sends a share.
#[test]
fn a_party_that_was_killed_sends_what_it_had_recorded() {
    for against in [Against::SemiHonest, Against::Covert] {
        for place in ["recorded", "committed"] {
            if against == Against::SemiHonest && place == "committed" {
                continue;
            }
            let mut logs = logs();
            logs[2].ends = Some(place);
            let ends = reveal(against, Recipients::All, &logs);
            assert!(ends.iter().all(Result::is_err), "{ends:?}");
            let recorded = records(&logs);
            let shown: Vec<bool> = recorded.iter().map(Recorded::was_recorded_by_all).collect();
            let due = against == Against::Covert && place == "committed";
            assert_eq!(shown, [due; 3], "{place}");
            for end in again(against, Recipients::All, &logs, &recorded) {
                assert!(is_result(&end.unwrap().unwrap()));
            }
        }
    }
}

/// Whoever had seen the others' shares could bend its own: it is held to what it had committed to before, and
/// to what it commits to now.
#[test]
fn another_share_than_the_recorded_one_is_named() {
    let logs = logs();
    reveal(Against::Covert, Recipients::All, &logs);
    let mut bent = records(&logs);
    bent[1].share[0] ^= 1;
    let ends = again(Against::Covert, Recipients::All, &logs, &bent);
    for honest in [0, 2] {
        let Err(Error::Misbehaved { detail, .. }) = &ends[honest] else {
            panic!("{:?}", ends[honest]);
        };
        assert!(detail.contains("committed to before"), "{detail}");
    }
    // The nonce is no way out.
    bent[1].nonce = Some([7; NONCE]);
    assert!(again(Against::Covert, Recipients::All, &logs, &bent)[0].is_err());
}

#[test]
fn a_record_is_for_one_form_and_any_bytes_are_one_or_none() {
    let logs = logs();
    reveal(Against::Covert, Recipients::All, &logs);
    let recorded = records(&logs);
    let world = World::new(3).outputs(Outputs::none().allow(LABEL, Recipients::All));
    let ends = world.run(async |mut session| {
        let me = session.me();
        session.resend([(LABEL.to_owned(), recorded[me].clone())].into());
        session.reveal(LABEL, &share(me), BITS, DROP + 1).await
    });
    assert!(ends.iter().all(|end| matches!(end, Err(Error::Reveal { .. }))), "{ends:?}");

    let bytes = recorded[0].to_bytes().unwrap();
    assert_eq!(Recorded::parse(&bytes).as_ref(), Some(&recorded[0]));
    for at in 0..bytes.len() {
        let _ = Recorded::parse(&bytes[..at]);
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x80;
        let _ = Recorded::parse(&changed);
    }
    assert!(Recorded::parse(&bytes[..bytes.len() - 1]).is_none());
    assert!(!format!("{recorded:?}").contains("share"));
}
