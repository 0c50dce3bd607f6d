//! Bytes arrive later.

use std::time::Duration;

use super::Bite;
use crate::fault::relay::chance::Chance;
use crate::scenario::fault::traffic::Lag;

#[derive(Debug)]
struct Latency {
    lag: Lag,
    chance: Chance,
}

/// Holds back what arrives by lags drawn from `chance`. Order is kept: a short lag after a long one waits.
pub(super) fn new(lag: Lag, chance: Chance) -> Box<dyn Bite> {
    Box::new(Latency { lag, chance })
}

impl Bite for Latency {
    fn delay(&mut self) -> Duration {
        self.lag.quantile(self.chance.draw())
    }
}
