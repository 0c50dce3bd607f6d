//! What a load came to, and has come to so far.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Nanos;
use crate::sli::Counts;

/// What load has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Attempts wanted by now.
    pub due: u64,
    /// Attempts that have ended.
    pub ended: u64,
    /// Of those, how many were as expected.
    pub good: u64,
    /// Attempts under way.
    pub in_flight: u64,
    /// Failed attempts by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Latency, from due to last byte.
    pub latency: Quantiles,
    /// Service time, from send to last byte.
    pub service: Quantiles,
    /// How late attempts began, against when they were due; absent in the closed model.
    pub lateness: Quantiles,
    /// Attempts that were sent.
    #[serde(default)]
    pub begun: u64,
    /// Attempts that were late because they were due while every connection was busy and no more was allowed.
    #[serde(default)]
    pub waited: u64,
    /// The most attempts that were in flight at once.
    #[serde(default)]
    pub in_flight_peak: u64,
    /// How long the load was to be.
    #[serde(default)]
    pub length: Nanos,
    /// From its start to its end, or to when the last attempt was sent where that was later.
    #[serde(default)]
    pub lasted: Nanos,
}

impl Tally {
    /// Whether attempts were due by a schedule, whatever the answers did.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lateness.max.is_some()
    }
}

/// One of the things that a load asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// What came of it.
    pub tally: Tally,
}

/// A part of a load that is made by several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Sharded {
    /// Which part, from 1.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

/// What a load measured between two moments, whole: intervals add up, also those of several who made one load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Attempts that came due.
    pub due: u64,
    /// Attempts that were sent.
    pub begun: u64,
    /// Attempts that ended, well or badly.
    pub counts: Counts,
    /// Failed attempts by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Latencies, in nanoseconds: an HDR histogram, V2 with DEFLATE, in base64.
    pub latency: String,
    /// Service times, likewise.
    pub service: String,
    /// How late attempts began, likewise.
    pub lateness: String,
}

/// Some quantiles of measured times; absent without samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Half are faster.
    pub p50: Option<Nanos>,
    /// Nine in ten are faster.
    pub p90: Option<Nanos>,
    /// 99 in a hundred are faster.
    pub p99: Option<Nanos>,
    /// 999 in a thousand are faster.
    pub p999: Option<Nanos>,
    /// The slowest.
    pub max: Option<Nanos>,
}
