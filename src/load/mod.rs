//! Many attempts on a schedule: when each is due, who makes it, and what came of them all.

mod drive;
mod pace;
#[cfg(test)]
mod tests;
mod timer;
mod totals;

pub use drive::{Options, Shooter, Shot, drive};
pub use pace::{Crowd, Pace, Schedule};
pub use timer::Timer;
pub use totals::{Times, Totals, quantiles};
