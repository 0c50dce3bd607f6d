//! Faults at work: what breaks a service on purpose, and mends it again.

pub mod relay;
