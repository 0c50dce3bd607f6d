//! Many attempts on a schedule: when each is due, who makes it, and what came of them all.

mod crew;
mod curve;
mod desk;
mod drive;
pub mod files;
mod pace;
#[cfg(test)]
mod tests;
mod timer;
mod totals;
pub mod wire;

pub use crew::{Crew, run};
pub use curve::Curve;
pub use drive::{Ledger, Leg, Options, Shooter, Shot, drive};
pub use pace::{Crowd, Pace, Schedule, Shard, Spacing, Think};
pub use timer::Timer;
pub use totals::{Times, Totals, quantiles};
