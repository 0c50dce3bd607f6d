//! What is broken on purpose.

pub mod traffic;
