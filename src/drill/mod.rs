//! Drills: what alerts do while a fault holds and after it was lifted, rung by rung, timed and explained.

mod alertmanager;
mod dissect;
mod join;
mod watch;
