//! Dilation: what was scraped while a drill ran, re-stamped to production time, and put through rules as they are
//! written, in virtual time.

mod alert;
mod bench;
mod course;
mod history;
pub mod promtool;
mod recording;
mod rules;
mod saved;
mod stamp;

pub use self::alert::{Active, Holding, Presence, follow};
pub use self::bench::Bench;
pub use self::course::{Course, Error};
pub use self::recording::{Recorded, Recording, record};
pub use self::rules::{Rules, plain};
pub use self::saved::{ENDING, House, Kept, keep, read, read_one};
pub use self::stamp::{Manner, Reading, Stamped, stamp};
