//! Where in a TOML file a field stands.

use std::fmt;

use toml::de::{DeTable, DeValue};

/// The path to a field: keys, and positions in lists counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

impl Field {
    /// The item at `index` of this list.
    pub(crate) fn item(mut self, index: usize) -> Self {
        self.0.push(Step::Item(index));
        self
    }

    /// The field `key` of this table.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// The line of the field in `text`, counted from 1, or of the nearest table around it when
    /// the field is not there.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let table = DeTable::parse(text).ok()?;
        let mut found = None;
        let mut value: Option<&DeValue<'_>> = None;
        for step in &self.0 {
            let next = match (step, value) {
                (Step::Key(key), None) => lookup(table.get_ref(), key),
                (Step::Key(key), Some(DeValue::Table(table))) => lookup(table, key),
                (Step::Item(index), Some(DeValue::Array(items))) => {
                    items.get(*index).map(|item| (item.span().start, item.get_ref()))
                }
                _ => None,
            };
            let Some((start, inner)) = next else { break };
            found = Some(start);
            value = Some(inner);
        }
        found.map(|start| line_at(text, start))
    }
}

fn lookup<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<(usize, &'t DeValue<'i>)> {
    let (key, value) = table.iter().find(|(each, _)| each.get_ref().as_ref() == key)?;
    Some((key.span().start, value.get_ref()))
}

/// The line that holds the byte at `offset`, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// A path of plain keys, such as `training.batch`.
impl From<&str> for Field {
    fn from(path: &str) -> Self {
        Self(path.split('.').map(|key| Step::Key(key.to_owned())).collect())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                // People count from 1.
                Step::Item(index) => write!(f, "[{}]", index + 1)?,
            }
        }
        Ok(())
    }
}
