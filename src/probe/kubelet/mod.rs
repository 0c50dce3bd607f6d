//! Watches a pod as a kubelet does, and tells what Kubernetes would have done with it.

mod get;
pub mod pod;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::pod::{Change, Pod, Verdict};
use self::target::{Target, fill, make};
use super::answer::any_of;
use super::attempt::{Breach, Seen, Session};
use super::connect::Deadline;
use crate::event::Line;
use crate::sample::{Cause, Reason};
use crate::scenario::expect::Expect;
use crate::scenario::kubelet::{Kubelet, Probe, Role};
use crate::scenario::subject::Subject;
use crate::scenario::template::{Scope, Unset};
use crate::units::Span;

/// How many lines of a timeline are kept.
const LINES_KEPT: usize = 64;

/// What one probe gave, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    verdict: Verdict,
    said: String,
    /// It succeeded in a way that Kubernetes warns of.
    warning: bool,
}

impl Made {
    fn new(verdict: Verdict, said: impl Into<String>) -> Self {
        Self { verdict, said: said.into(), warning: false }
    }

    /// Nothing came of it. What we may not connect to ourselves says nothing of the pod.
    fn lost(cause: Cause) -> Self {
        let verdict = if cause.reason == Reason::Policy { Verdict::Void } else { Verdict::Failure };
        Self::new(verdict, cause.message)
    }
}

/// Watches a pod for as long as its step says, or until it would be restarted, and judges what came of it.
pub(super) async fn attempt(
    wanted: &Kubelet,
    expect: &Expect,
    scope: &Scope,
    session: &Session,
) -> Result<Seen, Unset> {
    let targets =
        wanted.probes.iter().map(|(role, probe)| Ok((*role, probe, fill(wanted, probe, scope, session)?)));
    let targets = targets.collect::<Result<Vec<_>, Unset>>()?;
    let watch = Watch::new(wanted);
    let [first, second, third] = [0, 1, 2].map(|number| targets.get(number));
    let probing = async { tokio::join!(watch.work(first), watch.work(second), watch.work(third)) };
    let _ = Deadline::after(wanted.lasts).race(watch.over.run_until_cancelled(probing)).await;
    let log = watch.log.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut seen = Seen::default();
    judge(wanted, expect, scope, &log, &mut seen);
    let (state, exchange) = (log.state(), log.lines());
    seen.evidence.state = Some(state);
    seen.evidence.exchange = exchange;
    Ok(seen)
}

/// A pod under watch.
struct Watch {
    began: Instant,
    log: Mutex<Log>,
    /// Readiness is asked at once when the pod has started.
    started: Notify,
    /// It would have been restarted.
    over: CancellationToken,
}

/// What has happened so far.
struct Log {
    pod: Pod,
    changes: Vec<(Duration, Change)>,
    remarks: Vec<(Duration, Duration, String)>,
    unkept: usize,
    /// Which probes gave any result.
    answered: BTreeSet<Role>,
    /// What the last failure of each probe was.
    failures: Vec<(Role, String)>,
}

impl Watch {
    fn new(wanted: &Kubelet) -> Self {
        let (pod, change) = Pod::new(wanted.probes.iter().map(|(role, probe)| (*role, probe.rule)));
        let changes = change.map(|change| (Duration::ZERO, change)).into_iter().collect();
        let log = Log {
            pod,
            changes,
            remarks: Vec::new(),
            unkept: 0,
            answered: BTreeSet::new(),
            failures: Vec::new(),
        };
        Self {
            began: Instant::now(),
            log: Mutex::new(log),
            started: Notify::new(),
            over: CancellationToken::new(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one probe at every tick, until the watch is over.
    async fn work(&self, target: Option<&(Role, &Probe, Target)>) {
        let Some((role, probe, target)) = target else { return };
        loop {
            let Some(due) = self.log().pod.due(*role) else { return };
            tokio::select! {
                () = sleep_until(self.began + due) => {}
                () = self.started.notified(), if *role == Role::Readiness => continue,
            }
            let began = self.began.elapsed().max(due);
            if !self.log().pod.tick(*role, began) {
                continue;
            }
            let made = Box::pin(make(target, probe.rule.timeout)).await;
            self.take(*role, began, made);
        }
    }

    fn take(&self, role: Role, began: Duration, made: Made) {
        let now = self.began.elapsed();
        let mut log = self.log();
        let changes = log.pod.take(role, now, made.verdict);
        log.note(role, began, now, made);
        for change in changes {
            match change {
                Change::Started => self.started.notify_one(),
                Change::Restarted(_) => self.over.cancel(),
                Change::Ready | Change::Left => {}
            }
            log.changes.push((now, change));
        }
    }
}

impl Log {
    fn note(&mut self, role: Role, began: Duration, ended: Duration, made: Made) {
        if made.verdict != Verdict::Void {
            self.answered.insert(role);
        }
        let what = match (made.verdict, made.warning) {
            (Verdict::Success, false) => return,
            (Verdict::Success, true) => "succeeds with a warning",
            (Verdict::Failure, _) => "fails",
            (Verdict::Void, _) => "could not be made, and does not count",
        };
        let remark = format!("{} {what}: {}", role.name(), made.said);
        if self.remarks.len() < LINES_KEPT {
            self.remarks.push((began, ended.saturating_sub(began), remark));
        } else {
            self.unkept += 1;
        }
        if made.verdict != Verdict::Success {
            self.failures.retain(|(of, _)| *of != role);
            self.failures.push((role, made.said));
        }
    }

    /// `started at 2.0 s; ready at 3.0 s; would be restarted at 31.0 s, for liveness`.
    fn state(&self) -> String {
        let mut told = String::new();
        for (at, change) in self.changes.iter().take(LINES_KEPT) {
            let sentence = match change {
                Change::Started => "started at",
                Change::Ready => "ready at",
                Change::Left => "would leave the load balancer at",
                Change::Restarted(_) => "would be restarted at",
            };
            let between = if told.is_empty() { "" } else { "; " };
            let _ = write!(told, "{between}{sentence} {}", seconds(*at));
        }
        match (told.is_empty(), self.pod.is_started()) {
            (false, _) => told,
            (true, true) => "never ready".to_owned(),
            (true, false) => "never started".to_owned(),
        }
    }

    fn lines(&self) -> Vec<Line> {
        let line = |(at, took, what): &(Duration, Duration, String)| {
            let what = format!("at {} {what}", seconds(*at));
            Line { what, took: (*took).into(), heard: Vec::new() }
        };
        let more = (self.unkept > 0).then(|| {
            let what = format!("and {} more of these", self.unkept);
            Line { what, took: Duration::ZERO.into(), heard: Vec::new() }
        });
        self.remarks.iter().map(line).chain(more).collect()
    }

    fn failure(&self, role: Role) -> Option<&str> {
        self.failures.iter().find(|(of, _)| *of == role).map(|(_, said)| said.as_str())
    }
}

/// `31.0 s`.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// What should have gone otherwise: unless said, it is never restarted, and ready in the end.
fn judge(wanted: &Kubelet, expect: &Expect, scope: &Scope, log: &Log, seen: &mut Seen) {
    let restart = log.changes.iter().find_map(|(at, change)| match change {
        Change::Restarted(role) => Some((*at, *role)),
        Change::Started | Change::Ready | Change::Left => None,
    });
    let count = Subject::Number(if restart.is_some() { 1.0 } else { 0.0 });
    match (&expect.restarts, restart) {
        (Some(restarts), _) => {
            let what = "the number of restarts";
            seen.breaches.extend(any_of(restarts, &[count], scope, Reason::Status, what));
        }
        (None, Some((at, role))) => {
            let probe = wanted.probes.iter().find(|(of, _)| *of == role);
            let (place, failures) =
                probe.map_or((wanted.place, 0), |(_, probe)| (probe.place, probe.rule.failures));
            let title = format!("Kubernetes would restart the container at {}", seconds(at));
            let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
            let breach = Breach::new(Reason::Status, place, title, format!("{} failed {times}", role.name()));
            seen.breaches.push(explained(breach, log, role));
        }
        (None, None) => {}
    }
    seen.breaches.extend(unheard(wanted, log, restart.is_some()));
    let ready = serde_json::Value::from(log.pod.is_ready());
    let place = wanted.probes.iter().find(|(role, _)| *role == Role::Readiness);
    let place = place.map_or(wanted.place, |(_, probe)| probe.place);
    if let Some(at) = &expect.ready {
        let breach = any_of(at, &[Subject::Json(&ready)], scope, Reason::Status, "ready, at the end,");
        seen.breaches.extend(breach.map(|breach| explained(breach, log, Role::Readiness)));
    } else if !log.pod.is_ready() && restart.is_none() {
        let never = !log.changes.iter().any(|(_, change)| *change == Change::Ready);
        let title = if never { "the pod was never ready" } else { "the pod is not ready at the end" };
        let role = if log.pod.is_started() { Role::Readiness } else { Role::Startup };
        let breach = Breach::new(Reason::Status, place, title, "Kubernetes gives it no traffic");
        seen.breaches.push(explained(breach, log, role));
    }
}

/// A liveness probe that gave no result has restarted nothing, and shown nothing either.
fn unheard(wanted: &Kubelet, log: &Log, restarted: bool) -> Option<Breach> {
    let (role, probe) = wanted.probes.iter().find(|(role, _)| *role == Role::Liveness)?;
    if restarted || !log.pod.is_started() || log.answered.contains(role) {
        return None;
    }
    let title = format!("the liveness probe gave no result in {}", Span(wanted.lasts));
    let breach = Breach::new(Reason::Status, probe.place, title, "nothing is known of it");
    Some(match log.failure(*role) {
        Some(_) => explained(breach, log, *role),
        None => breach.help("its first probe comes later: watch for longer"),
    })
}

/// The breach with what the probe failed of last.
fn explained(breach: Breach, log: &Log, role: Role) -> Breach {
    match log.failure(role) {
        Some(said) => breach.help(format!("{}, last: {said}", role.name())),
        None => breach,
    }
}
