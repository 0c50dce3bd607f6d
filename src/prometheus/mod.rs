//! Prometheus's HTTP API: what it answers.

pub mod answer;
