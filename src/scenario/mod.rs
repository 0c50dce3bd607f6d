//! Scenarios, as written and as checked.

pub mod http;
pub mod predicate;
pub mod subject;
pub mod template;
