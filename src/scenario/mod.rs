//! Scenarios, as written and as checked.

pub mod predicate;
pub mod subject;
pub mod template;
