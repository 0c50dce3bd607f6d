//! YAML as a tree whose every node knows its place, and from the tree to the structs that mirror a file.

mod read;
mod tree;

pub use self::read::{Entries, Json, Partial, read, read_partly};
pub use self::tree::{Key, Kind, Node, parse};
