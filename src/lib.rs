//! firedrill rehearses outages: it probes a system as its users would, loads it, judges it against its
//! SLOs, and proves, by breaking things, that every alert fires, reaches the right people and clears.
//!
//! Modules stand in dependency order; each uses only those above it (`tests/layers.rs`).

pub mod units;

pub mod exposition;

pub mod sample;

pub mod source;

pub mod finding;

pub mod yaml;

pub mod secret;

pub mod promql;

pub mod rule;

pub mod prometheus;

pub mod route;

pub mod slo;

pub mod scenario;

pub mod plan;

pub mod sli;

pub mod budget;

pub mod statistics;

pub mod gate;

pub mod ladder;

pub mod event;

pub mod report;

pub mod probe;

pub mod load;

pub mod simulate;

pub mod fault;

pub mod sink;

pub mod stack;

pub mod dilation;

pub mod drill;

pub mod audit;

pub mod run;

pub mod store;

pub mod history;

pub mod coverage;

pub mod mutate;

pub mod incident;

pub mod serve;

pub mod exit;

pub mod cli;
