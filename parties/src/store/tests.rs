use std::fs;

use super::*;
use crate::identity::Identity;
use crate::output::hex;

fn identity(folder: &Path) -> Identity {
    Identity::create(&folder.join("identity.key")).unwrap()
}

fn study(text: &str) -> (StudyDigest, StudyEntry) {
    let entry = StudyEntry {
        title: text.to_owned(),
        kind: "linear".to_owned(),
        parties: vec!["a".to_owned(), "b".to_owned()],
        first_seen: 7,
        text: text.to_owned(),
    };
    (StudyDigest::of(text.as_bytes()), entry)
}

fn data() -> (DataId, DataEntry) {
    let (label, path) = ("admissions".to_owned(), "rows.csv".to_owned());
    (DataId([9; 32]), DataEntry { label, path, rows: 12, first_used: 8 })
}

#[test]
fn what_was_written_is_there_after_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let key = identity(folder.path()).fingerprint();
    let (first, entry) = study("first");
    let (id, known) = data();
    {
        let store = Store::open(folder.path(), &key).unwrap();
        store.see_study(&first, &entry).unwrap();
        store.see_study(&first, &StudyEntry { first_seen: 99, ..entry.clone() }).unwrap();
        let run = store.begin_run(&first, (id, &known), "session", 10).unwrap();
        assert_eq!((run.place, run.number), (1, 1));
        let run = store.begin_run(&study("second").0, (id, &known), "session", 11).unwrap();
        assert_eq!((run.place, run.number), (2, 1));
    }
    // As after a kill: one run has no end.
    let store = Store::open(folder.path(), &key).unwrap();
    let run = store.begin_run(&first, (id, &known), "session", 12).unwrap();
    assert_eq!((run.place, run.number), (3, 2));
    let outcome = Outcome { class: "ok".to_owned(), what: "well".to_owned() };
    store.end_run(3, 20, &outcome, "{}").unwrap();
    // Beside a node that is at work the store can be looked at.
    for store in [Store::look(folder.path(), &key).unwrap(), store] {
        let all = store.contents().unwrap();
        assert_eq!(all.studies, [(hex(first.as_bytes()), entry.clone())]);
        assert_eq!(all.data, [(id.to_string(), known.clone())]);
        let ends: Vec<_> = all.runs.iter().map(|(place, run)| (*place, run.ended)).collect();
        assert_eq!(ends, [(1, None), (2, None), (3, Some(20))]);
        assert_eq!(store.receipt(3).unwrap().as_deref(), Some("{}"));
        assert_eq!(store.receipt(1).unwrap(), None);
    }
}

#[test]
fn a_store_is_of_one_node_and_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let own = identity(folder.path());
    let store = Store::open(folder.path(), &own.fingerprint()).unwrap();
    let second = Store::open(folder.path(), &own.fingerprint()).unwrap_err();
    assert!(second.what.contains("another process"), "{second}");
    drop(store);
    let other = tempfile::tempdir().unwrap();
    let other = identity(other.path()).fingerprint();
    let refused = Store::open(folder.path(), &other).unwrap_err();
    assert!(refused.what.contains("another key"), "{refused}");
    let there = Store::look(&folder.path().join("nowhere"), &other).unwrap_err();
    assert_eq!(there.exit, Exit::Configuration);
}

/// A file that was cut or changed is named; never taken for an empty memory.
#[test]
fn a_damaged_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = identity(folder.path()).fingerprint();
    let path = folder.path().join(FILE);
    drop(Store::open(folder.path(), &key).unwrap());
    let whole = fs::read(&path).unwrap();
    for bytes in [&b""[..], b"something else", &whole[..whole.len() / 2]] {
        fs::write(&path, bytes).unwrap();
        let refused = Store::open(folder.path(), &key).unwrap_err();
        assert_eq!(refused.exit, Exit::Configuration, "{refused}");
    }
    fs::write(&path, &whole).unwrap();
    Store::open(folder.path(), &key).unwrap();
}

/// A write that refuses leaves nothing behind.
#[test]
fn changes_are_made_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &identity(folder.path()).fingerprint()).unwrap();
    let (digest, _) = study("one");
    let line = Ledgered {
        run: None,
        study: hex(digest.as_bytes()),
        data: None,
        label: "totals".to_owned(),
        kind: Kind::Interim,
        again: false,
        to: Vec::new(),
        at: 1,
    };
    store.record_sent(&digest, &line, b"sealed").unwrap();
    let refuse = |_: Option<&[u8]>, revealed: bool| {
        assert!(revealed);
        Err::<(Vec<u8>, ()), _>(Failure::new(Exit::Exists, "no"))
    };
    assert_eq!(store.bind_rows(&digest, refuse).unwrap_err().what, "no");
    let sent = store.sent(&digest, Kind::Interim).unwrap();
    assert_eq!(sent, [("totals".to_owned(), b"sealed".to_vec())]);
    assert!(store.sent(&digest, Kind::Result).unwrap().is_empty());
    assert!(store.sent(&study("two").0, Kind::Interim).unwrap().is_empty());
    let keep = |before: Option<&[u8]>, revealed| {
        assert!(before.is_none() && revealed);
        Ok((b"record".to_vec(), 5))
    };
    assert_eq!(store.bind_rows(&digest, keep).unwrap(), 5);
    assert!(store.sent(&digest, Kind::Interim).unwrap().is_empty());
    assert_eq!(store.contents().unwrap().ledger, std::slice::from_ref(&line));

    // A part of the result is replaced, counted where it is made anew, and its study over once.
    let line = Ledgered { kind: Kind::Result, ..line };
    store.record_sent(&digest, &line, b"sealed").unwrap();
    store.replace_sent(&digest, Kind::Result, "totals", b"with more").unwrap();
    let sent = store.sent(&digest, Kind::Result).unwrap();
    assert_eq!(sent, [("totals".to_owned(), b"with more".to_vec())]);
    store.record_again(&Ledgered { again: true, ..line.clone() }).unwrap();
    assert_eq!(store.cuts(&digest).unwrap(), 1);
    assert_eq!(store.cuts(&study("two").0).unwrap(), 0);
    assert!(!store.is_finished(&digest).unwrap());
    store.finish_study(&digest, 9).unwrap();
    assert!(store.is_finished(&digest).unwrap() && !store.is_finished(&study("two").0).unwrap());
    assert_eq!(store.contents().unwrap().ledger.len(), 3);
}

/// A study that takes so many units of rho of a data set.
fn charged(text: &str, units: u64) -> Charged<'_> {
    let study = StudyDigest::of(text.as_bytes());
    Charged { source: "admissions", study, rho: mpc_ml::privacy::Rho::units(units), at: 100 }
}

#[test]
fn a_privacy_budget_is_set_aside_spent_and_never_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path());
    let most = mpc_ml::privacy::Rho::units(10);
    let open = || Store::open(folder.path(), &identity.fingerprint()).unwrap();
    let taken = |store: &Store| store.spending("admissions").unwrap().rho.in_units();
    {
        let store = open();
        assert_eq!(taken(&store), 0);
        store.reserve(&identity, &charged("a", 6), most).unwrap().unwrap();
        // Set aside counts, and the same study again takes nothing more.
        store.reserve(&identity, &charged("a", 6), most).unwrap().unwrap();
        let spent = store.reserve(&identity, &charged("b", 5), most).unwrap().unwrap_err();
        assert_eq!((spent.studies, spent.rho.in_units()), (1, 6));
        // Another data set has a budget of its own.
        let other = Charged { source: "discharges", ..charged("b", 9) };
        store.reserve(&identity, &other, most).unwrap().unwrap();
        // It ended before anything was sent.
        store.free(&identity, &charged("a", 6)).unwrap();
        assert_eq!(taken(&store), 0);
        store.reserve(&identity, &charged("b", 5), most).unwrap().unwrap();
        store.spend(&identity, &charged("b", 5)).unwrap();
        // What is spent does not come back.
        store.free(&identity, &charged("b", 5)).unwrap();
    }
    // After the process has ended, or was killed.
    let store = open();
    assert_eq!(taken(&store), 5);
    store.reserve(&identity, &charged("b", 5), most).unwrap().unwrap();
    assert_eq!(taken(&store), 5);
    store.reserve(&identity, &charged("a", 6), most).unwrap().unwrap_err();
    let charges: Vec<Charge> = store.budget().unwrap().iter().map(|it| it.charge).collect();
    let (reserved, freed) = (Charge::Reserved, Charge::Freed);
    assert_eq!(charges, [reserved, reserved, freed, reserved, Charge::Spent]);
}

#[test]
fn a_chain_of_a_budget_shows_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity(folder.path());
    let most = mpc_ml::privacy::Rho::units(100);
    let store = Store::open(folder.path(), &identity.fingerprint()).unwrap();
    assert_eq!(store.heads(&identity).unwrap(), [Head::default()]);
    store.reserve(&identity, &charged("a", 6), most).unwrap().unwrap();
    // What its end will be is known before.
    let spent = store.head_when_spent(&identity, &charged("a", 6)).unwrap();
    store.spend(&identity, &charged("a", 6)).unwrap();
    let heads = store.heads(&identity).unwrap();
    assert_eq!(heads.last(), Some(&spent));
    assert_eq!(store.head_when_spent(&identity, &charged("a", 6)).unwrap(), spent);
    assert!((0..3).all(|at| heads[at].entries == at as u64));
    // An entry that somebody changed does not fit the chain any more.
    store
        .write(|it| {
            let mut table = it.open_table(TableDefinition::<u64, Bytes>::new("privacy"))?;
            let mut entry: BudgetEntry = decode(table.get(2)?.unwrap().value())?;
            entry.charge = Charge::Freed;
            table.insert(2, encode(&entry)?.as_slice())?;
            Ok(())
        })
        .unwrap();
    assert!(store.heads(&identity).is_err());
    // Of others it is remembered where they were.
    assert_eq!(store.head_of(&[7; 32]).unwrap(), Head::default());
    store.keep_heads(&[([7; 32], spent)]).unwrap();
    assert_eq!(store.head_of(&[7; 32]).unwrap(), spent);
}
