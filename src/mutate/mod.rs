//! Mistakes in rules that drills would not have caught: each rule changed in one thing, and put through what drills
//! have recorded.

mod assess;
mod changed;
mod mutant;

pub use self::assess::{Fate, Judged, Trial, Tried, assess};
pub use self::mutant::{Kind, Mutant, mutants};
