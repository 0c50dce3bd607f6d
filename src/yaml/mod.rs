//! YAML as a tree whose every node knows its place, and from the tree to the structs that mirror a file.

mod edit;
mod elder;
mod print;
mod read;
mod tree;
mod within;

pub use self::elder::as_elder;
pub use self::print::print;
pub use self::read::{Entries, Json, Partial, read, read_partly};
pub use self::tree::{Key, Kind, Node, parse};
pub use self::within::within;
