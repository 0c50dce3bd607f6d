//! What a relay may do to the traffic of a service.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::scenario::profile::PathPattern;
use crate::units::{Ratio, Size, Throughput};

/// One thing that is done to traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum Interference {
    /// Bytes arrive later.
    Latency(Lag, Flow),
    /// Bytes arrive at most at a rate, all connections together.
    Bandwidth(Throughput, Flow),
    /// Connections are reset.
    Reset(Flow),
    /// Bytes do not arrive, until it is lifted.
    Blackhole(Flow),
    /// No connection is accepted, and those that are open are reset.
    Refuse,
    /// Bytes arrive in small pieces.
    Slice(Slice, Flow),
    /// A connection ends after so many bytes.
    Limit(Size, Flow),
    /// Requests are answered by another than the service.
    Status(Answer, Requests),
    /// Requests arrive later.
    Delay(Lag, Requests),
    /// A request resets its connection.
    Abort(Abort, Requests),
    /// Answers arrive with wrong bytes in them.
    Corrupt(Requests),
}

impl Interference {
    /// The kind, as files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency(..) => "latency",
            Self::Bandwidth(..) => "bandwidth",
            Self::Reset(_) => "reset",
            Self::Blackhole(_) => "blackhole",
            Self::Refuse => "refuse",
            Self::Slice(..) => "slice",
            Self::Limit(..) => "limit",
            Self::Status(..) => "status",
            Self::Delay(..) => "delay",
            Self::Abort(..) => "abort",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From clients to the service.
    Up,
    /// From the service to clients.
    Down,
    /// Either.
    Both,
}

/// Which bytes are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// Which way they flow.
    pub direction: Direction,
    /// Over how many of all connections.
    pub share: Ratio,
}

/// Which requests are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Requests {
    /// How many of those that match.
    pub share: Ratio,
    /// Their path; any unless said.
    pub path: Option<PathPattern>,
    /// Their method; any unless said.
    pub method: Option<String>,
}

impl Requests {
    /// Whether a request is among them, before chance has spoken.
    #[must_use]
    pub fn mean(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|wanted| wanted.matches(path))
    }
}

/// How much later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Around so much.
    pub add: Duration,
    /// Spread so wide.
    pub jitter: Duration,
    /// Spread how.
    pub distribution: Distribution,
}

/// How jitter spreads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Evenly, from `add - jitter` to `add + jitter`.
    #[default]
    Uniform,
    /// Normally around `add`, with `jitter` as the standard deviation.
    Normal,
    /// Never below `add`, and above it exponentially with `jitter` as the mean.
    Exponential,
}

impl Lag {
    /// The lag that `share` of all lags are below.
    #[must_use]
    pub fn quantile(&self, share: Ratio) -> Duration {
        if self.jitter.is_zero() {
            return self.add;
        }
        let share = share.share().clamp(1e-9, 1.0 - 1e-9);
        let jitter = self.jitter.as_secs_f64();
        let off = match self.distribution {
            Distribution::Uniform => jitter * (2.0 * share - 1.0),
            Distribution::Normal => jitter * Normal::standard().inverse_cdf(share),
            Distribution::Exponential => -jitter * (1.0 - share).ln(),
        };
        Duration::try_from_secs_f64((self.add.as_secs_f64() + off).max(0.0)).unwrap_or(self.add)
    }
}

/// Pieces instead of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The size of one.
    pub size: Size,
    /// The pause after it.
    pub every: Duration,
}

/// What is answered in a service's stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Where a request's connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// After so many bytes of the answer; at none, before the service hears of the request.
    pub after: Size,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::uniform_low(Distribution::Uniform, 0.0, 80)]
    #[case::uniform_middle(Distribution::Uniform, 0.5, 100)]
    #[case::uniform_high(Distribution::Uniform, 1.0, 120)]
    #[case::normal_middle(Distribution::Normal, 0.5, 100)]
    #[case::normal_one_deviation(Distribution::Normal, 0.841_344_746, 120)]
    #[case::normal_is_never_below_zero(Distribution::Normal, 0.0, 0)]
    #[case::exponential_low(Distribution::Exponential, 0.0, 100)]
    #[case::exponential_mean(Distribution::Exponential, 0.632_120_559, 120)]
    fn jitter_spreads_as_said(#[case] distribution: Distribution, #[case] share: f64, #[case] millis: u64) {
        let lag = Lag { add: Duration::from_millis(100), jitter: Duration::from_millis(20), distribution };
        let got = lag.quantile(Ratio::new(share).unwrap());
        assert!(got.abs_diff(Duration::from_millis(millis)) < Duration::from_micros(1), "{got:?}");
    }

    #[rstest]
    #[case::any(None, None, true)]
    #[case::method(Some("post"), None, true)]
    #[case::other_method(Some("GET"), None, false)]
    #[case::path(None, Some("/items/{id}"), true)]
    #[case::other_path(None, Some("/items"), false)]
    fn requests_match_or_not(#[case] method: Option<&str>, #[case] path: Option<&str>, #[case] is: bool) {
        let path = path.map(|path| PathPattern::parse(path).unwrap());
        let requests = Requests { share: Ratio::ONE, path, method: method.map(str::to_owned) };
        assert_eq!(requests.mean("POST", "/items/7"), is);
    }
}
