//! Changing a tree that was read: what another program is to be given in a user's file's place.

use super::tree::{Key, Kind, Node};

impl Node {
    /// Text that nobody wrote, in the place it stands for.
    #[must_use]
    pub fn text(&self, text: impl Into<String>) -> Self {
        Self { place: self.place, kind: Kind::Text(text.into()) }
    }

    /// The value under `key`, to be changed, where this is a map that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let entries = self.entries_mut()?;
        entries.iter_mut().find(|(k, _)| k.name == key).map(|(_, value)| value)
    }

    /// Puts `kind` under `key`, in the place of what was there or else last. Nothing but a map is changed.
    pub fn set(&mut self, key: &str, kind: Kind) {
        let place = self.place;
        if let Some(value) = self.get_mut(key) {
            value.kind = kind;
        } else if let Some(entries) = self.entries_mut() {
            entries.push((Key { name: key.to_owned(), place }, Node { place, kind }));
        }
    }

    /// Takes `key` and its value out of a map.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let entries = self.entries_mut()?;
        let at = entries.iter().position(|(k, _)| k.name == key)?;
        Some(entries.remove(at).1)
    }

    /// The elements of a list; of anything else, none.
    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => {
                &mut []
            }
        }
    }

    /// The entries of a map, to be changed.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<(Key, Node)>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => {
                None
            }
        }
    }

    /// The same tree without keys that nothing stands behind. To programs written in Go that is the same; to
    /// [`read`](super::read) it is a mistake.
    #[must_use]
    pub fn without_nothing(mut self) -> Self {
        match &mut self.kind {
            Kind::Map(entries) => {
                entries.retain(|(_, value)| value.kind != Kind::Null);
                let all = std::mem::take(entries).into_iter();
                entries.extend(all.map(|(key, value)| (key, value.without_nothing())));
            }
            Kind::List(items) => {
                let all = std::mem::take(items).into_iter();
                items.extend(all.map(Self::without_nothing));
            }
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) => {}
        }
        self
    }
}
