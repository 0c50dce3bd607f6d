//! Many attempts on a schedule: when each is due, who makes it, and what came of them all.

pub mod pace;
