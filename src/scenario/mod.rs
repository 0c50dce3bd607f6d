//! Scenarios, as written and as checked.

pub mod predicate;
pub mod profile;
pub mod subject;
pub mod template;
