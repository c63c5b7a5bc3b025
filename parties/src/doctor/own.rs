//! What a node can look at without the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::input;
use crate::models::Account;
use crate::node;
use crate::settings::{Keep, Overrides, Settings};
use crate::study::Study;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The study.
    pub study: Option<PathBuf>,
    /// Rows of each party, where they are known.
    pub rows: Option<Vec<u64>>,
    /// How many megabytes have to be free on the disk of the state directory; by default what the
    /// study needs.
    pub least_free: Option<u64>,
    /// What flags put in place of the settings.
    pub overrides: Overrides,
}

/// What this node has, as far as it can be read.
#[derive(Debug, Default)]
pub struct Own {
    /// Its settings.
    pub settings: Option<Settings>,
    /// Its key.
    pub identity: Option<Identity>,
    /// The study.
    pub study: Option<Study>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Free on the disk at least, where nothing else is known, in bytes.
const FREE: u64 = 256 << 20;

/// The first second of 2025: no clock that is set is before it.
const BUILT: u64 = 1_735_689_600;

/// Looks at all that can be seen without the others, and stops at nothing.
#[must_use]
pub fn own(config: &Path, asked: &Asked) -> Own {
    let mut own = Own::default();
    match Settings::read(config, &asked.overrides) {
        Ok(settings) => {
            let name = &settings.identity.name;
            own.findings.push(Finding::well("settings", format!("{name}, {}", config.display())));
            own.settings = Some(settings);
        }
        Err(error) => {
            let mut failure = Failure::from(error).in_file(config);
            failure.advice.get_or_insert_with(|| {
                "correct the file, or name another one with --config".to_owned()
            });
            own.findings.push(Finding::of("settings", "settings", failure));
        }
    }
    own.clock();
    own.key();
    own.state();
    if let Some(path) = &asked.study {
        own.study(path);
    }
    let account = own.data(config, asked);
    own.disk(asked, account.as_ref());
    own.memory(account.as_ref());
    own
}

/// What a study needs here.
struct Needs {
    /// Received in its rounds; kept for audits.
    bytes: u64,
    memory: u64,
}

impl Own {
    fn clock(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if now < BUILT {
            let what = format!("the clock of this machine says {}", crate::output::when(now));
            let to_do = "set it, best by NTP: approvals expire by it, and receipts name it";
            self.findings.push(Finding::wrong("clock", "clock", what, to_do));
        }
    }

    fn key(&mut self) {
        let Some(settings) = &self.settings else { return };
        let path = &settings.identity.key;
        match Identity::read(path) {
            Ok(identity) => {
                let what = format!("{}, in {}", identity.fingerprint(), path.display());
                self.findings.push(Finding::well("key", what));
                self.identity = Some(identity);
            }
            Err(error) => {
                let mut failure = Failure::from(error);
                failure.advice.get_or_insert_with(|| {
                    "put the key back from its backup; `party init` in a new folder makes another \
                     node"
                        .to_owned()
                });
                self.findings.push(Finding::of("key", "key", failure));
            }
        }
    }

    /// Whether the state directory can be used, and by nobody else now.
    fn state(&mut self) {
        let (Some(settings), Some(identity)) = (&self.settings, &self.identity) else { return };
        let directory = &settings.state;
        let found = match node::State::lock(directory, identity) {
            Ok(_) => Finding::well("state", format!("{} can be written", directory.display())),
            Err(mut failure) => {
                failure.advice.get_or_insert_with(|| {
                    "let this user own the directory, or name another one below [state]".to_owned()
                });
                let locked = failure.what.contains("at work");
                Finding::of("state", if locked { "locked" } else { "state" }, failure)
            }
        };
        self.findings.push(found);
    }

    fn study(&mut self, path: &Path) {
        let study = match Study::read(path) {
            Ok(study) => study,
            Err(error) => {
                let failure = Failure::from(error).in_file(path);
                return self.findings.push(Finding::of("study", "study", failure));
            }
        };
        let before = self.findings.len();
        if let Some(settings) = &self.settings {
            let own = &settings.identity.name;
            if study.position(own).is_none() {
                let what = format!("this node is {own}, who is not among the parties of the study");
                let to_do = "use the same name in the study and in party.toml";
                self.findings.push(Finding::wrong("study", "study", what, to_do));
            }
            if let Err(failure) = settings.limits.check_study(&study, own) {
                let failure = failure.in_file(path);
                self.findings.push(Finding::of("study", "limits", failure));
            }
        }
        if self.findings.len() == before {
            let what = format!("{}, {}", study.title(), study.digest());
            self.findings.push(Finding::well("study", what));
        }
        self.study = Some(study);
    }

    /// Looks at the rows, and plans the study with them.
    fn data(&mut self, config: &Path, asked: &Asked) -> Option<Needs> {
        let settings = self.settings.as_ref()?;
        let Some(data) = &settings.data else {
            if self.study.is_some() {
                let to_do = "add [data] with a path to party.toml, or give --data FILE";
                self.findings.push(Finding::wrong(
                    "data",
                    "data",
                    "party.toml names no data",
                    to_do,
                ));
            }
            return None;
        };
        let path = &data.from.path;
        let Some(study) = &self.study else {
            if data.from.command.is_some() {
                let what = format!("the rows come from the command {}", path.display());
                self.findings.push(Finding::well("data", what));
                return None;
            }
            self.findings.push(match input::open(path) {
                Ok(_) => Finding::well("data", format!("{} can be read", path.display())),
                Err(error) => {
                    let what = format!("{} cannot be read: {error}", path.display());
                    let to_do = "correct `path` below [data] in party.toml";
                    Finding::wrong("data", "data", what, to_do).ending(Exit::LocalInput)
                }
            });
            return None;
        };
        let place = study.position(&settings.identity.name)?;
        let file = match node::OwnSide::rows((study, settings, place), config, false) {
            Ok((_, (file, ..))) => file,
            Err(mut failure) => {
                failure.advice.get_or_insert_with(|| {
                    "correct the file, or name another one below [data] in party.toml".to_owned()
                });
                self.findings.push(Finding::of("data", "data", failure));
                return None;
            }
        };
        let own = file.table.rows() as u64;
        let what = format!("{}: {own} rows fit the study", path.display());
        self.findings.push(Finding::well("data", what));
        let parties = study.parties().len();
        let all = asked.rows.clone().unwrap_or_else(|| vec![own; parties]);
        if all.len() != parties || all[place] != own {
            let what =
                format!("--rows does not name the rows of {parties} parties, {own} of them here");
            let to_do = "leave it out, or name as many as the data have, in the order of the study";
            self.findings.push(Finding::wrong("plan", "rows", what, to_do).ending(Exit::Usage));
            return None;
        }
        let planned = match study.plan(&all) {
            Ok(planned) => planned,
            Err(error) => {
                let mut failure = Failure::from(error);
                failure.advice.get_or_insert_with(|| {
                    "look at `party study check`, with --rows N,N,.. for all parties".to_owned()
                });
                self.findings.push(Finding::of("plan", "plan", failure));
                return None;
            }
        };
        let account = Account::of(&*planned, place, study.security().against);
        let columns = study.schema_of(place).columns().len() as u64;
        let memory = memory_of(own, study.rows_in_all(&all), columns);
        Some(Needs { bytes: account.bytes_sent, memory })
    }

    /// Whether there is room for what a run leaves.
    fn disk(&mut self, asked: &Asked, needs: Option<&Needs>) {
        let Some(settings) = &self.settings else { return };
        let kept =
            needs.map_or(0, |needs| if settings.keep == Keep::Messages { needs.bytes } else { 0 });
        let least = asked.least_free.map_or(FREE + 2 * kept, |megabytes| megabytes << 20);
        // Where the directory is not there yet, it will be where its parent is.
        let place = settings.state.ancestors().find(|place| place.exists());
        let place = place.filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.findings.push(match free(place) {
            None => Finding::note(
                "disk",
                "disk",
                format!("{} does not tell what is free", place.display()),
            ),
            Some(free) if free < least => Finding::wrong(
                "disk",
                "disk",
                format!(
                    "{} MB are free at {}, and {} MB should be",
                    free >> 20,
                    place.display(),
                    least >> 20
                ),
                "make room there, or name another directory below [state]: a run that cannot write \
                 its record ends without a result",
            ),
            Some(free) => {
                Finding::well("disk", format!("{} MB are free at {}", free >> 20, place.display()))
            }
        });
    }

    fn memory(&mut self, needs: Option<&Needs>) {
        let (Some(needs), Some(there)) = (needs, available()) else { return };
        let (need, have) = (needs.memory >> 20, there >> 20);
        self.findings.push(if have < need {
            let what =
                format!("{have} MB of memory are available, and the study needs some {need} MB");
            let to_do = "end other programs, or run the node on a larger machine";
            Finding::wrong("memory", "memory", what, to_do)
        } else {
            Finding::well(
                "memory",
                format!("{have} MB are available, of which the study needs some {need} MB"),
            )
        });
    }
}

/// Bytes of memory that a node takes at most: measured (docs/cost.md), 100 MB for the program and its
/// preparation, the own rows twice at 8 bytes a cell while they are encoded, and phasors of all rows.
#[must_use]
pub fn memory_of(own: u64, all: u64, columns: u64) -> u64 {
    (100 << 20) + 16 * own * (columns + 1) + 256 * all
}

/// Bytes that are free on the disk of a directory for this user.
#[cfg(unix)]
fn free(place: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(place).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

/// Bytes of memory that a new process can have, where the system tells it: Linux, also in a container.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let number = |file: &str| -> Option<u64> {
        fs::read_to_string(Path::new("/sys/fs/cgroup").join(file)).ok()?.trim().parse().ok()
    };
    let group =
        number("memory.max").map(|most| most.saturating_sub(number("memory.current").unwrap_or(0)));
    Some((kilobytes << 10).min(group.unwrap_or(u64::MAX)))
}
