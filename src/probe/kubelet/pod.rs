//! What a kubelet makes of a pod's probes: results in, decisions out. It knows no clock but the one it is told.
//!
//! The rules are those of `pkg/kubelet/prober` in Kubernetes 1.31: a state flips only after so many equal results
//! in a row, liveness counts as well and readiness as unwell until then, the others wait for startup, and what
//! is no result changes nothing. The container starts at zero, and so does every probe's ticking; a kubelet's
//! ticks fall anywhere within one period of that.

use std::time::Duration;

use crate::scenario::kubelet::{Role, Rule};

/// What one probe gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// It could not be made: no result at all.
    Void,
}

/// What changes for a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its startup probe has succeeded.
    Started,
    /// It is given traffic.
    Ready,
    /// It is given no traffic any more.
    Left,
    /// Its container is restarted, for this probe.
    Restarted(Role),
}

/// A pod with one container, watched until that would be restarted.
#[derive(Debug)]
pub struct Pod {
    workers: Vec<Worker>,
    started: bool,
    ready: bool,
    /// From then on nothing is known of it.
    restarted: bool,
}

/// One probe, and how it has gone so far.
#[derive(Debug)]
struct Worker {
    role: Role,
    rule: Rule,
    /// Whence it ticks.
    origin: Duration,
    /// The tick that was not taken yet.
    due: Duration,
    last: Option<Verdict>,
    /// How often in a row the last result came.
    run: u32,
}

impl Pod {
    /// A pod whose container has just started, and what that changes already.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (Role, Rule)>) -> (Self, Option<Change>) {
        let workers = rules.into_iter().map(|(role, rule)| Worker {
            role,
            rule,
            origin: Duration::ZERO,
            due: Duration::ZERO,
            last: None,
            run: 0,
        });
        let mut pod = Self { workers: workers.collect(), started: false, ready: false, restarted: false };
        pod.started = pod.worker(Role::Startup).is_none();
        pod.ready = pod.started && pod.worker(Role::Readiness).is_none();
        let change = pod.ready.then_some(Change::Ready);
        (pod, change)
    }

    /// Whether its startup probe, if it has one, has succeeded.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Whether it is given traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// When the next tick of this probe is; one that passed while it was under way is still taken.
    #[must_use]
    pub fn due(&self, role: Role) -> Option<Duration> {
        self.worker(role).map(|worker| worker.due)
    }

    /// Takes the tick that is due at `now`, and says whether the probe is made.
    pub fn tick(&mut self, role: Role, now: Duration) -> bool {
        let (started, over) = (self.started, self.restarted);
        let Some(worker) = self.worker_mut(role).filter(|worker| worker.due <= now) else { return false };
        worker.due = worker.first_tick_after(now);
        let running = Duration::from_secs(now.as_secs());
        let turn = match role {
            Role::Startup => !started,
            Role::Liveness | Role::Readiness => started,
        };
        !over && turn && running >= worker.rule.initial_delay
    }

    /// Takes in what a probe gave at `now`, and says what that changes.
    pub fn take(&mut self, role: Role, now: Duration, verdict: Verdict) -> Vec<Change> {
        let over = self.restarted;
        let Some(worker) = self.worker_mut(role).filter(|_| !over) else { return Vec::new() };
        if !worker.counts(verdict) {
            return Vec::new();
        }
        match (role, verdict) {
            (Role::Startup, Verdict::Success) if !self.started => {
                self.started = true;
                match self.worker_mut(Role::Readiness) {
                    // It is asked at once, and ticks from there.
                    Some(readiness) => (readiness.origin, readiness.due) = (now, now),
                    None => self.ready = true,
                }
                std::iter::once(Change::Started).chain(self.ready.then_some(Change::Ready)).collect()
            }
            (Role::Readiness, Verdict::Success) if !self.ready => {
                self.ready = true;
                vec![Change::Ready]
            }
            (Role::Readiness, Verdict::Failure) if self.ready => {
                self.ready = false;
                vec![Change::Left]
            }
            (Role::Startup | Role::Liveness, Verdict::Failure) => {
                (self.restarted, self.ready) = (true, false);
                vec![Change::Restarted(role)]
            }
            (Role::Startup | Role::Liveness | Role::Readiness, _) => Vec::new(),
        }
    }

    fn worker(&self, role: Role) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.role == role)
    }

    fn worker_mut(&mut self, role: Role) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.role == role)
    }
}

impl Worker {
    /// Counts a result; says whether it has come often enough in a row to decide.
    fn counts(&mut self, verdict: Verdict) -> bool {
        let wanted = match verdict {
            Verdict::Void => return false,
            Verdict::Success => self.rule.successes,
            Verdict::Failure => self.rule.failures,
        };
        self.run = if self.last == Some(verdict) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(verdict);
        self.run >= wanted
    }

    /// Ticks that passed unheeded are not made up for.
    fn first_tick_after(&self, now: Duration) -> Duration {
        let period = self.rule.period.as_nanos().max(1);
        let passed = now.saturating_sub(self.origin).as_nanos() / period;
        let ticks = u32::try_from(passed + 1).unwrap_or(u32::MAX);
        self.origin.saturating_add(self.rule.period.saturating_mul(ticks))
    }
}
