//! Three nodes on this machine that know each other.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::studies::NAMES;

/// Folders, keys and addresses of three nodes, for one run at a time.
pub struct Slot {
    party: PathBuf,
    pub folder: PathBuf,
}

impl Slot {
    /// Makes three nodes that know each other.
    #[allow(dead_code, reason = "some put lines between the nodes")]
    pub fn make(party: &Path, folder: &Path) -> Outcome<Self> {
        Self::between(party, folder, |_, _, address| Ok(address.to_owned()))
    }

    /// The same; `reach` says by which address a node dials another one, by their numbers and the other one's own.
    pub fn between(
        party: &Path,
        folder: &Path,
        mut reach: impl FnMut(usize, usize, &str) -> Outcome<String>,
    ) -> Outcome<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let slot = Self { party: party.to_owned(), folder: folder.to_owned() };
        // All are held until all are known, so that none is given twice.
        let sockets = NAMES.map(|_| UdpSocket::bind("127.0.0.1:0"));
        let mut addresses = Vec::new();
        for socket in &sockets {
            let socket = socket.as_ref().map_err(ToString::to_string)?;
            addresses.push(socket.local_addr()?.to_string());
        }
        let mut keys = Vec::new();
        for (name, address) in NAMES.iter().zip(&addresses) {
            let dir = slot.dir(name);
            let dir = dir.to_str().ok_or("the folder is not text")?;
            slot.command(&["init", "--dir", dir, "--name", name, "--listen", address])?;
            let config = slot.config(name);
            keys.push(slot.command(&["--config", &config, "fingerprint"])?.trim().to_owned());
        }
        for (at, own) in NAMES.iter().enumerate() {
            for (other, (name, key)) in NAMES.iter().zip(&keys).enumerate() {
                if at != other {
                    let (config, address) =
                        (slot.config(own), reach(at, other, &addresses[other])?);
                    slot.command(&["--config", &config, "peer", "add", name, &address, key])?;
                }
            }
        }
        Ok(slot)
    }

    /// The folder of a node.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its settings.
    pub fn config(&self, name: &str) -> String {
        self.dir(name).join("party.toml").display().to_string()
    }

    /// Runs a command to its end; gives what it prints.
    pub fn command(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.party).args(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("party {arguments:?}: {said}").into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The program of the nodes.
    pub fn party(&self) -> &Path {
        &self.party
    }
}
