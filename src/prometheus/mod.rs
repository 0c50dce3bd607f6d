//! Prometheus's HTTP API: how it is asked, and what it answers.

mod access;
pub mod answer;
mod client;
mod failure;
mod state;
mod write;

pub use self::access::{Access, Auth, Identity, Limits};
pub use self::client::Client;
pub use self::failure::{Error, Setup, Tries};
pub(crate) use self::state::HASTE;
pub use self::state::{
    Alert, AlertState, Alertmanager, Alertmanagers, Alerts, Group, Groups, Health, Metadata, Rule, Runtime,
    Target, Targets,
};
pub use self::write::{Batch, Receiver, STALE, Track};
