//! `party.toml` as commands change it: its comments stay.

use std::path::{Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::exit::{Exit, Failure};
use crate::input;
use crate::name::Address;
use crate::output::replace;
use crate::settings::{Peer, Settings, SettingsError};

/// The file, to be changed.
pub(super) struct PartyFile {
    path: PathBuf,
    document: DocumentMut,
    /// What the file says, without environment and flags.
    pub(super) settings: Settings,
}

impl PartyFile {
    /// Reads the file.
    pub(super) fn read(config: &Path) -> Result<Self, Failure> {
        let in_file = |error: SettingsError| Failure::from(error).in_file(config);
        let text = input::text(config)
            .map_err(|source| in_file(SettingsError::Read { path: config.to_owned(), source }))?;
        let settings = Settings::from_text(&text, folder(config)).map_err(in_file)?;
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            Failure::new(Exit::Configuration, error.to_string()).in_file(config)
        })?;
        Ok(Self { path: config.to_owned(), document, settings })
    }

    /// A failure in this file.
    pub(super) fn refused(&self, what: impl Into<String>) -> Failure {
        Failure::new(Exit::Configuration, what).in_file(&self.path)
    }

    /// Writes a node into it, in the place of one of the same name.
    pub(super) fn put(&mut self, peer: &Peer, dealer: bool) -> Result<(), Failure> {
        if dealer {
            if self.document.get("dealer").is_none() {
                self.document.insert("dealer", Item::Table(Table::new()));
            }
            fill(&mut self.document["dealer"], peer);
            return Ok(());
        }
        let peers = self.peers()?;
        let at = peers.iter().position(|table| is_called(table, &peer.name));
        let at = at.unwrap_or_else(|| {
            peers.push(Table::new());
            peers.len() - 1
        });
        if let Some(table) = peers.get_mut(at) {
            fill(table, peer);
        }
        Ok(())
    }

    /// Takes a node out of it.
    pub(super) fn remove(&mut self, peer: &Peer) -> Result<(), Failure> {
        if self.settings.dealer.as_ref() == Some(peer) {
            self.document.remove("dealer");
            return Ok(());
        }
        let peers = self.peers()?;
        let at = peers.iter().position(|table| is_called(table, &peer.name));
        if let Some(at) = at {
            peers.remove(at);
        }
        Ok(())
    }

    fn peers(&mut self) -> Result<&mut ArrayOfTables, Failure> {
        let path = &self.path;
        let tables =
            self.document.entry("peers").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        tables.as_array_of_tables_mut().ok_or_else(|| {
            Failure::new(Exit::Configuration, "`peers` is not a list of tables")
                .in_file(path)
                .advise("write each peer as a table of its own, [[peers]]")
        })
    }

    /// Writes the file. It is read back before it takes its place: the last rules (names and keys are
    /// distinct) are those of every later start.
    pub(super) fn write(self) -> Result<Settings, Failure> {
        let text = self.document.to_string();
        let settings = Settings::from_text(&text, folder(&self.path))
            .map_err(|error| Failure::from(error).in_file(&self.path))?;
        replace(&self.path, text.as_bytes())?;
        Ok(settings)
    }
}

fn folder(config: &Path) -> &Path {
    config.parent().unwrap_or(Path::new(""))
}

fn is_called(table: &Table, name: &crate::name::PartyName) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name.as_str())
}

/// Writes the fields, and leaves alone what else there is.
fn fill(table: &mut (impl std::ops::IndexMut<&'static str, Output = Item> + ?Sized), peer: &Peer) {
    table["name"] = value(peer.name.as_str());
    // A node that nobody can dial has none.
    table["address"] = match (&peer.address, &peer.also[..]) {
        (None, _) => Item::None,
        (Some(one), []) => value(one.as_str()),
        (Some(_), _) => value(peer.addresses().map(Address::as_str).collect::<Array>()),
    };
    table["fingerprint"] = value(peer.fingerprint.to_string());
}
