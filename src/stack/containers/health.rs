//! How an engine sees whether a container is well: by a program that it runs there again and again.

use std::time::Duration;

use testcontainers::Healthcheck;
use testcontainers::bollard::models::{Health, HealthStatusEnum};

/// A container's own check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The program and its arguments; one word alone is a line for the container's shell.
    pub test: Test,
    /// How long after one check the next begins.
    pub interval: Option<Duration>,
    /// How long one may take.
    pub timeout: Option<Duration>,
    /// How many in a row must fail.
    pub retries: Option<u32>,
    /// How long failures do not count at first.
    pub start_period: Option<Duration>,
}

/// What a check runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Nothing, not even what the image says.
    Disabled,
    /// A program and its arguments.
    Program(Vec<String>),
    /// A line for the container's shell.
    Line(String),
}

impl Check {
    pub(super) fn for_engine(&self) -> Healthcheck {
        let check = match &self.test {
            Test::Disabled => return Healthcheck::none(),
            Test::Program(words) => Healthcheck::cmd(words),
            Test::Line(line) => Healthcheck::cmd_shell(line),
        };
        check
            .with_interval(self.interval)
            .with_timeout(self.timeout)
            .with_retries(self.retries)
            .with_start_period(self.start_period)
    }
}

/// What the check says; nothing where there is none, and no while it has not passed yet.
pub(super) fn verdict(health: Option<&Health>) -> Option<bool> {
    match health?.status? {
        HealthStatusEnum::HEALTHY => Some(true),
        HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY => Some(false),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}
