//! The names that texts can be filled from.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::{Hole, Unset};
use crate::secret::{Mask, Secret};
use crate::units::Size;

/// The most that a scope holds together with what is filled from it: variables that double one another end here.
pub const MOST_FILLED: Size = Size(32 << 20);

/// What names stand for while a scenario runs; every secret in it is known to the mask.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    values: BTreeMap<String, Value>,
    mask: Mask,
    /// What all values together weigh.
    held: usize,
}

/// What an empty text, a number or a place in a list takes in memory.
pub(super) const NODE: usize = size_of::<Value>();

/// What a value takes in memory.
fn weight(value: &Value) -> usize {
    NODE + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum(),
    }
}

/// How much more may be filled.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Unset> {
        self.0 = self.0.checked_sub(bytes).ok_or(Unset::TooLong)?;
        Ok(())
    }
}

impl Scope {
    /// An empty scope that tells `mask` its secrets.
    #[must_use]
    pub fn new(mask: Mask) -> Self {
        Self { mask, ..Self::default() }
    }

    /// Gives `name` a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let value = value.into();
        self.held += weight(&value);
        if let Some(before) = self.values.insert(name.into(), value) {
            self.held -= weight(&before);
        }
    }

    /// Takes the value of `name` away.
    pub fn unset(&mut self, name: &str) {
        if let Some(before) = self.values.remove(name) {
            self.held -= weight(&before);
        }
    }

    /// Gives `name` a value that must not be seen, nor any text within it.
    pub fn set_secret(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let value = value.into();
        self.hide(&value);
        self.set(name, value);
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The mask that knows this scope's secrets.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Masks every text and number within `value` from now on.
    pub fn hide(&self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.mask.add(&Secret::new(number.to_string())),
            Value::String(text) => self.mask.add(&Secret::new(text)),
            Value::Array(items) => items.iter().for_each(|item| self.hide(item)),
            Value::Object(entries) => entries.values().for_each(|item| self.hide(item)),
        }
    }

    /// What may still be filled from it.
    pub(super) fn room(&self) -> Room {
        Room(MOST_FILLED.bytes().saturating_sub(self.held))
    }

    pub(super) fn look_up(&self, hole: &Hole, room: &mut Room) -> Result<Value, Unset> {
        match (self.values.get(&hole.name), &hole.default) {
            (Some(value), _) => room.take(weight(value)).map(|()| value.clone()),
            (None, Some(default)) => room.take(NODE + default.len()).map(|()| Value::from(default.as_str())),
            (None, None) => Err(Unset::Name(hole.name.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_replaces_is_no_longer_held() {
        let mut scope = Scope::default();
        scope.set("name", "a long value");
        scope.set("name", 1);
        assert_eq!(scope.held, NODE);
    }
}
