//! The fast path for HTTP/1.1: a request that is the same bytes each time, and answers parsed where they lie.
//!
//! It takes of answers what the probes' engine takes, refuses what that refuses, for the same reason, and never
//! more of them; tests hold the two against one table of answers.

mod answer;
mod chunks;
mod line;
mod socket;

pub use self::answer::Answer;
pub use self::line::{Done, Line};
pub use self::socket::{End, Heard, Socket};
