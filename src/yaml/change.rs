//! Trees made of other trees: what another program is to be given in a user's file's place.

use super::tree::{Kind, Node};

impl Node {
    /// Text that nobody wrote, in the place it stands for.
    #[must_use]
    pub fn says(&self, text: impl Into<String>) -> Self {
        Self { place: self.place, kind: Kind::Text(text.into()) }
    }

    /// The same map with each value given to `change`, with its key. Anything but a map stays as it is.
    #[must_use]
    pub fn map_values(&self, mut change: impl FnMut(&str, &Self) -> Self) -> Self {
        match &self.kind {
            Kind::Map(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| (key.clone(), change(&key.name, value))).collect();
                Self { place: self.place, kind: Kind::Map(entries) }
            }
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => {
                self.clone()
            }
        }
    }

    /// The same list with each element given to `change`. Anything but a list stays as it is.
    #[must_use]
    pub fn map_items(&self, change: impl FnMut(&Self) -> Self) -> Self {
        match &self.kind {
            Kind::List(items) => {
                Self { place: self.place, kind: Kind::List(items.iter().map(change).collect()) }
            }
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => {
                self.clone()
            }
        }
    }

    /// The same tree without keys that nothing stands behind. To the programs written in Go that is the same; to
    /// those who wrote [`super::read`] it is a mistake.
    #[must_use]
    pub fn without_nothing(&self) -> Self {
        let kind = match &self.kind {
            Kind::Map(entries) => {
                let there = entries.iter().filter(|(_, value)| value.kind != Kind::Null);
                Kind::Map(there.map(|(key, value)| (key.clone(), value.without_nothing())).collect())
            }
            Kind::List(items) => Kind::List(items.iter().map(Self::without_nothing).collect()),
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) => {
                self.kind.clone()
            }
        };
        Self { place: self.place, kind }
    }
}
