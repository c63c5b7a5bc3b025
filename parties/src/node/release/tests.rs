use mpc_core::Recipients;

use super::super::rows_digest::testing::table;
use super::super::seal::testing::identity;
use super::*;

const CHECK: &str = "convergence check";
const COEFFICIENTS: &str = "coefficients";

fn outputs() -> Vec<Output> {
    vec![
        Output::figure("totals", "sums", "all start from them"),
        Output::check(CHECK, "whether there is a result"),
        Output::coefficients(COEFFICIENTS, Recipients::All, 1, true, "rounded"),
    ]
}

/// A node with its state, and the folder of a study there.
struct Node {
    folder: StudyFolder,
    state: State,
    _directory: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = identity();
        let state = State::lock(directory.path(), &identity).unwrap();
        let folder = StudyFolder::of(&state, StudyDigest::of(b"study"), &identity);
        folder.open(true).unwrap();
        Self { folder, state, _directory: directory }
    }

    fn log(&self) -> FolderLog {
        self.folder.log(&outputs(), &["a".to_owned(), "b".to_owned()], None)
    }
}

/// The disk of the state directory shows no share, and nothing by which rows could be guessed.
#[test]
fn what_is_kept_is_sealed() {
    let node = Node::new();
    let folder = &node.folder;
    let rows = table(&[["31", "f", "y"]]);
    folder.bind_rows(&BoundRows::new(&rows)).unwrap();
    let share = [0x5a; 48];
    let mut log = node.log();
    for label in [CHECK, COEFFICIENTS] {
        log.record(label, &share).unwrap();
    }
    for (kind, label) in [(Kind::Interim, CHECK), (Kind::Result, COEFFICIENTS)] {
        let sent = node.state.store().sent(&folder.study, kind).unwrap();
        let [(of, sealed)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(of, label);
        let opened = folder.sealer.open(&folder.sealed_as(&record_of(label)), sealed).unwrap();
        assert_eq!(opened.as_slice(), share);
    }
    let path = node.state.directory().join(crate::store::FILE);
    let kept = fs::read(path).unwrap();
    assert!(!kept.windows(8).any(|window| window == &share[..8]));
    assert!((0..=kept.len() - 69).all(|at| {
        let record = Record::parse(&kept[at..at + 69]).unwrap();
        kept[at..at + 32] == [0; 32] || !BoundRows::new(&rows).fit(&record)
    }));
    // Nor does another identity take it for its own.
    let other = StudyFolder { sealer: Sealer::new(&identity(), SEALED), ..folder.clone() };
    assert!(other.bind_rows(&BoundRows::new(&rows)).is_err());
    assert_eq!(folder.bind_rows(&BoundRows::new(&rows)).unwrap(), 2);
}

#[test]
fn what_may_be_repeated_is_repeated_on_the_same_rows_only() {
    let node = Node::new();
    let folder = &node.folder;
    let mut log = node.log();
    let (rows, others) = (table(&[["31", "f", "y"]]), table(&[["32", "f", "y"]]));
    let bind = |rows| folder.bind_rows(&BoundRows::new(rows));

    // Nothing is known of the first rows when the run ends: they may be corrected.
    assert_eq!(bind(&others).unwrap(), 1);
    assert_eq!(bind(&rows).unwrap(), 1);
    log.record(CHECK, b"share").unwrap();
    let refused = bind(&others).unwrap_err();
    assert!(refused.exit == Exit::Exists && refused.what.contains("other rows"), "{refused}");

    // A check is no release, and is revealed again.
    folder.open(true).unwrap();
    assert_eq!(bind(&rows).unwrap(), 2);
    assert!(node.state.store().sent(&folder.study, Kind::Interim).unwrap().is_empty());
    // That it was revealed once is not forgotten, though this run ends before.
    assert!(bind(&others).is_err());
    for label in ["totals", CHECK] {
        log.record(label, b"another share").unwrap();
    }
    assert_eq!(bind(&rows).unwrap(), 3);
    // The ledger forgets nothing.
    let ledger = node.state.store().contents().unwrap().ledger;
    let labels: Vec<&str> = ledger.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(labels, [CHECK, "totals", CHECK]);
    assert_eq!(ledger[0].to, ["a", "b"]);
}

/// The result is released once, and so is what no list names; also at a node that was started anew. Until all
/// have it the study goes on, on the same rows.
#[test]
fn a_result_is_released_once() {
    for label in [COEFFICIENTS, "something else"] {
        let directory = tempfile::tempdir().unwrap();
        let identity = identity();
        let folder = |state: &State| StudyFolder::of(state, StudyDigest::of(b"study"), &identity);
        let (rows, others) = (table(&[["31", "f", "y"]]), table(&[["32", "f", "y"]]));
        let state = State::lock(directory.path(), &identity).unwrap();
        folder(&state).open(true).unwrap();
        folder(&state).bind_rows(&BoundRows::new(&rows)).unwrap();
        folder(&state).log(&outputs(), &[], None).record(label, b"share").unwrap();
        drop(state);
        let state = State::lock(directory.path(), &identity).unwrap();
        let folder = folder(&state);
        folder.open(true).unwrap();
        let refused = folder.bind_rows(&BoundRows::new(&others)).unwrap_err();
        assert!(refused.what.contains("other rows"), "{refused}");
        // What cannot be read is not taken for nothing.
        let refused = folder.holding().unwrap_err();
        assert!(
            refused.exit == Exit::Exists && refused.what.contains("cannot be read"),
            "{refused}"
        );

        // The result is here, and others may lack it: who does not stay for them is told.
        fs::write(folder.model(), b"model").unwrap();
        folder.open(true).unwrap();
        let refused = folder.open(false).unwrap_err();
        assert!(refused.what.contains("released before"), "{refused}");
        state.store().finish_study(&folder.study, 7).unwrap();
        let refused = folder.open(true).unwrap_err();
        assert!(refused.what.contains("released before"), "{refused}");
        fs::remove_file(folder.model()).unwrap();
        let refused = folder.open(true).unwrap_err();
        assert!(refused.what.contains("gone") && refused.advice.unwrap().contains("recover"));
        // Another study is none of its business.
        StudyFolder::of(&state, StudyDigest::of(b"another"), &identity).open(true).unwrap();
    }
}

/// A part that not all had recorded is made anew, and not without end.
#[test]
fn a_result_is_begun_so_many_times() {
    let node = Node::new();
    let mut log = node.log();
    for _ in 1..MOST_CUTS {
        log.record(COEFFICIENTS, b"share").unwrap();
        log.committed(COEFFICIENTS, b"share").unwrap();
        log.resent(COEFFICIENTS).unwrap();
    }
    node.folder.open(true).unwrap();
    log.record(COEFFICIENTS, b"share").unwrap();
    let refused = node.folder.open(true).unwrap_err();
    assert!(refused.exit == Exit::Exists && refused.what.contains("many times"), "{refused}");
    let ledger = node.state.store().contents().unwrap().ledger;
    assert_eq!(ledger.iter().filter(|line| line.again).count(), MOST_CUTS - 1);
}

#[test]
fn what_an_earlier_version_recorded_is_no_permission() {
    for name in ["released-coefficients.bin", "interim-totals.bin", "rows.bin"] {
        let node = Node::new();
        fs::write(node.folder.path.join(name), b"x").unwrap();
        let refused = node.folder.open(true).unwrap_err();
        assert!(refused.exit == Exit::Exists && refused.what.contains("earlier version"));
    }
}

#[test]
fn a_damaged_record_is_no_permission() {
    let node = Node::new();
    let rows = table(&[["31", "f", "y"]]);
    node.folder.bind_rows(&BoundRows::new(&rows)).unwrap();
    let damage = |before: Option<&[u8]>, _| Ok((before.unwrap()[1..].to_vec(), ()));
    node.state.store().bind_rows(&node.folder.study, damage).unwrap();
    assert!(node.folder.bind_rows(&BoundRows::new(&rows)).is_err());
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() {
    let node = Node::new();
    let at = |name: &str| node.folder.path.join(name);
    for name in [".party-x1y2z3.tmp", ".tmp", "notes.tmp", ".party-notes"] {
        fs::write(at(name), b"x").unwrap();
    }
    node.folder.open(true).unwrap();
    let left = [".party-x1y2z3.tmp", ".tmp", "notes.tmp", ".party-notes"].map(|n| at(n).exists());
    assert_eq!(left, [false, true, true, true]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = node.folder.path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
