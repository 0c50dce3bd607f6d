//! Alerts, while something is broken and once it is mended; and spells in which none may stir.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::walk::Walker;
use crate::dilation::Rules;
use crate::drill::{
    Circumstances, Drill, Ended, Extent, FEWEST, Instruments, Known, Means, Message, Spell, quiet,
};
use crate::event::{Drilled, Event, Evidence, Failure, Nanos, Outcome, Spent, StepId};
use crate::finding::{Drawing, Severity, excerpts};
use crate::ladder::Rung;
use crate::plan::PlannedStack;
use crate::prometheus::{Access, Client, Target};
use crate::route::{Absent, Config};
use crate::rule::window::{Group, Grouping, Pace, Waits, window};
use crate::rule::{self, Alert, Recorded, Rule, RuleFile};
use crate::sample::Reason;
use crate::scenario::alert::{Alerts, Clock, Expected, Quiet};
use crate::scenario::fault::Fault;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS};
use crate::sink::{Delivery, Status};
use crate::stack::Running;
use crate::units::Span;

/// What is held of a quiet spell that was held in full by another scenario, in rule time.
const BRIEF: Duration = Duration::from_secs(5 * 60);

/// How following alerts ended; or why nothing can be said.
pub(super) type Followed = Result<Held, String>;

/// How a step with a fault ended.
pub(super) enum Held {
    /// So, and what to know about that.
    Done(Outcome, Option<String>),
    /// Not as expected, though what a fast clock kept from Prometheus may be all there is to that: in a sentence.
    Hurried(String),
}

/// A future on the heap: steps hold steps, and what follows alerts is large.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the drills of a scenario know: its rules and routing, and how often Prometheus looks.
#[derive(Debug)]
pub(super) struct Ground {
    clock: Clock,
    pub(super) rules: Vec<RuleFile>,
    /// The files they are in.
    pub(super) files: Vec<PathBuf>,
    routing: Option<Arc<Config>>,
    /// What Alertmanager needs and is not here.
    absent: Vec<Absent>,
    pub(super) pace: Pace,
    instruments: Instruments,
    /// The run, and the program that stands over what it starts.
    pub(super) run: String,
    pub(super) supervisor: PathBuf,
    /// Where what drills see is kept.
    pub(super) recordings: Vec<PathBuf>,
    budgets: Vec<(String, Allowance)>,
    /// When everything was ready.
    began: (Timestamp, Instant),
    /// Since when nothing is broken.
    calm: Mutex<Timestamp>,
}

/// What there was before a fault was put in.
#[derive(Debug)]
pub(super) struct Before {
    /// Until when nothing was broken.
    pub(super) until: Timestamp,
    /// The targets that were down.
    pub(super) down: Vec<Target>,
}

/// What drills need of the run they are in.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// Its name.
    pub(super) run: String,
    /// The firedrill program.
    pub(super) supervisor: PathBuf,
    /// The time at which its stack was ready.
    pub(super) now: Timestamp,
    /// Where what drills see is kept.
    pub(super) recordings: Vec<PathBuf>,
    /// The error budgets that an outage spends.
    pub(super) budgets: Vec<(String, Allowance)>,
}

impl Ground {
    /// What a stack gives drills to stand on; `None` where it has no Prometheus.
    pub(super) fn of(
        planned: &PlannedStack,
        running: &Running,
        clock: Clock,
        surroundings: Surroundings,
    ) -> Result<Option<Self>, String> {
        let (Some(own), Some(address)) = (&planned.prometheus, running.address(PROMETHEUS, HTTP)) else {
            return Ok(None);
        };
        let client =
            Client::new(&Access::to(format!("http://{address}"))).map_err(|error| error.to_string())?;
        let pace = Pace::of(&own.tree);
        let alertmanager = running.address(ALERTMANAGER, HTTP).map(|address| format!("http://{address}"));
        let instruments = Instruments {
            prometheus: client,
            alertmanager,
            evaluated_every: clock.wall_time(pace.evaluation_interval),
            scraped_every: clock.wall_time(pace.scrape_interval),
        };
        let files = own.others.clone();
        let (rules, routing) = (planned.rules.clone(), planned.routing.clone().map(Arc::new));
        let Surroundings { run, supervisor, now, recordings, budgets } = surroundings;
        let (began, calm) = ((now, Instant::now()), Mutex::new(now));
        Ok(Some(Self {
            clock,
            rules,
            files,
            routing,
            absent: planned.absent.clone(),
            pace,
            instruments,
            run,
            supervisor,
            recordings,
            budgets,
            began,
            calm,
        }))
    }

    /// The stack's Prometheus.
    pub(super) fn prometheus(&self) -> &Client {
        &self.instruments.prometheus
    }

    /// How fast it goes.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// What is measured with.
    pub(super) fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// Who is told of which alert.
    pub(super) fn routing(&self) -> Option<&Config> {
        self.routing.as_deref()
    }

    /// Now, by the clock that the run began with.
    pub(super) fn now(&self) -> Timestamp {
        let (then, since) = self.began;
        then.saturating_add(since.elapsed()).unwrap_or(then)
    }

    /// Since when nothing is broken.
    pub(super) fn calm(&self) -> Timestamp {
        *self.calm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that nothing is broken any more.
    pub(super) fn calm_down(&self) {
        *self.calm.lock().unwrap_or_else(PoisonError::into_inner) = self.now();
    }

    /// The rule that raises an alert, of several the one whose labels fit best.
    pub(super) fn named(&self, expected: &Expected) -> Option<(&rule::Group, &Rule, &Alert)> {
        let alerts = self.rules.iter().flat_map(RuleFile::alerts);
        let named = alerts.filter(|(_, rule, _)| rule.name.value == expected.name.value);
        // Two rules of one name are told apart by what they add.
        named.min_by_key(|(group, rule, _)| {
            let differs = |(name, value): &(crate::source::At<String>, crate::source::At<String>)| {
                expected.labels.get(&name.value).is_some_and(|wanted| *wanted != value.value)
            };
            rule.all_labels(group).filter(|one| differs(one)).count()
        })
    }

    /// By what an alert is to be proven, and what is worth knowing of that.
    fn means(&self, rules: &Rules<'_>, reach: Duration) -> (Means, Vec<String>) {
        let since = |then: Timestamp| Duration::try_from(self.now().duration_since(then)).unwrap_or_default();
        Means::of(
            rules,
            Circumstances {
                wanted: self.clock.proof,
                reach,
                watched: self.clock.rule_time(since(self.began.0)),
                repeatable: since(self.calm()) >= self.instruments.scraped_every * FEWEST,
            },
        )
    }

    /// What the files say of an alert.
    fn known(&self, expected: &Expected) -> Known {
        let recorded = Recorded::of(&self.rules, self.pace.evaluation_interval);
        let Some((group, rule, alert)) = self.named(expected) else {
            let window = window(Waits::default(), self.pace, None);
            return Known {
                window,
                query: None,
                holds_for: Duration::ZERO,
                evaluated_every: self.pace.evaluation_interval,
                sends_resolved: false,
                routing: self.routing.clone(),
                means: Means::Scaled,
                notes: Vec::new(),
                extent: Extent::default(),
            };
        };
        let mut labels: BTreeMap<String, String> =
            rule.all_labels(group).map(|(name, value)| (name.value.clone(), value.value.clone())).collect();
        labels.insert("alertname".to_owned(), expected.name.value.clone());
        labels.extend(expected.labels.clone());
        let evaluated_every = group.interval.as_ref().map_or(self.pace.evaluation_interval, |at| at.value);
        let holds_for = alert.holds.as_ref().map_or(Duration::ZERO, |at| at.value);
        let reach = recorded.reach(rule);
        let rules = Rules::of(&self.rules, (group, rule, alert), self.pace.evaluation_interval);
        let (means, mut notes) = self.means(&rules, reach.oldest);
        let told = self.told(&labels, expected);
        notes.extend(told.iter().flat_map(|name| self.absent.iter().filter_map(move |one| one.note(name))));
        let waits = Waits {
            reach,
            holds: holds_for,
            keeps: alert.keeps.as_ref().map_or(Duration::ZERO, |at| at.value),
            query_offset: group.query_offset,
        };
        let pace = Pace { evaluation_interval: evaluated_every, ..self.pace };
        let window = window(waits, pace, self.grouping(&labels, expected));
        let clears = expected.clears.as_ref().map_or(window.clears.latest, |at| at.value);
        Known {
            window,
            query: Some(rule.query.clone()),
            holds_for,
            evaluated_every,
            sends_resolved: self.sends_resolved(&labels, expected),
            routing: self.routing.clone(),
            means,
            notes,
            extent: Extent { reach: reach.oldest, clears },
        }
    }

    /// Asks what the formula says of alerts on burn rates.
    async fn predict(&self, drill: &mut Drill) -> Result<(), String> {
        let expected: Vec<_> = drill.expected().cloned().collect();
        for (number, expected) in expected.iter().enumerate() {
            if let Some(rules) = self.rules_of(expected) {
                drill.predict(number, &rules).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// What the slowest of the routes waits for that lead to those it has to reach.
    fn grouping(&self, labels: &BTreeMap<String, String>, expected: &Expected) -> Option<Grouping> {
        let routes = self.routing.as_ref()?.routes_of(labels);
        let meant = |name: &str| {
            expected.reaches.is_empty() || expected.reaches.iter().any(|wanted| wanted.value == name)
        };
        let timings = routes.iter().filter(|route| meant(&route.receiver.value)).map(|route| route.timing);
        // Where none of them leads there, it is Alertmanager's own times that are waited for.
        let slowest =
            timings.max_by_key(|timing| timing.group_wait.max(timing.group_interval)).unwrap_or_default();
        Some(Grouping { wait: slowest.group_wait, interval: slowest.group_interval, group: Group::Living })
    }

    /// Everyone it has to reach; where that is not said, whom the routes lead to.
    fn told<'a>(&'a self, labels: &BTreeMap<String, String>, expected: &'a Expected) -> BTreeSet<&'a str> {
        if expected.reaches.is_empty() {
            let routes = self.routing.iter().flat_map(|routing| routing.routes_of(labels));
            routes.map(|route| route.receiver.value.as_str()).collect()
        } else {
            expected.reaches.iter().map(|at| at.value.as_str()).collect()
        }
    }

    /// Whether everyone it has to reach is told when it is over.
    fn sends_resolved(&self, labels: &BTreeMap<String, String>, expected: &Expected) -> bool {
        let Some(routing) = &self.routing else { return false };
        let names = self.told(labels, expected);
        let tells = |name: &&str| {
            routing
                .receiver(name)
                .is_some_and(|receiver| receiver.integrations.iter().any(|one| one.sends_resolved))
        };
        !names.is_empty() && names.iter().all(tells)
    }
}

impl Walker {
    /// Watches that nothing stirs.
    pub(super) fn watch_quiet<'a>(
        &'a mut self,
        id: &'a StepId,
        wanted: &'a Quiet,
    ) -> Boxed<'a, (Outcome, Option<String>)> {
        Box::pin(self.be_quiet(id, wanted))
    }

    async fn be_quiet(&mut self, id: &StepId, wanted: &Quiet) -> (Outcome, Option<String>) {
        let Some(ground) = self.ground.clone() else {
            return self.unmeasured(
                id,
                "the stack has no Prometheus, so nobody can say that no alert fires".to_owned(),
            );
        };
        let held = self.spells.held(wanted).filter(|_| wanted.once);
        let (wanted, about) = match &held {
            None => (wanted.clone(), None),
            Some(held) if held.failures.is_empty() => {
                let mut brief = wanted.clone();
                let least = 2 * (ground.pace.scrape_interval + ground.pace.evaluation_interval);
                brief.lasts.value = wanted.lasts.value.min(BRIEF.max(least));
                let (all, here) = (Span(wanted.lasts.value), Span(brief.lasts.value));
                (
                    brief,
                    Some(format!(
                        "{all} of it were held by {} for all who share the stack, {here} here",
                        held.by
                    )),
                )
            }
            Some(held) => {
                self.told(id, held.failures.clone());
                return (
                    Outcome::Failed,
                    Some(format!("it was held by {} for all who share the stack", held.by)),
                );
            }
        };
        let wanted = &wanted;
        let by = || format!("`{}` of `{}`", id.name, id.scenario);
        match quiet(&ground.instruments, wanted, ground.clock, &self.stop).await {
            Err(error) => self.unmeasured(id, error.to_string()),
            Ok(Spell::Unseen(why)) => self.unmeasured(id, why),
            Ok(Spell::Stopped) => (Outcome::Skipped, Some("the run was stopped".to_owned())),
            Ok(Spell::Quiet { anew }) => {
                self.spells.note(wanted, by(), Vec::new());
                (
                    Outcome::Passed,
                    about.into_iter().chain(begun_anew(anew)).reduce(|all, one| all + "; " + &one),
                )
            }
            Ok(Spell::Disturbed(what)) => {
                let failures = what.into_iter().map(|title| self.disturbance(title, wanted));
                let failures: Vec<_> = failures.collect();
                self.spells.note(wanted, by(), failures.clone());
                self.told(id, failures);
                (Outcome::Failed, None)
            }
        }
    }

    fn disturbance(&self, title: String, wanted: &Quiet) -> Failure {
        let label = std::iter::once((wanted.lasts.place, "was to be quiet", true));
        let excerpts = excerpts(label, &self.sources);
        let drawing = Drawing { severity: Severity::Error, code: None, title, excerpts, help: None };
        Failure { reason: Reason::Alert, drawing }
    }

    /// Follows the alerts of a fault up; what it returns follows them down.
    pub(super) async fn rise(
        &self,
        id: &StepId,
        (ground, alerts): (&Ground, &Alerts),
        before: Before,
    ) -> Result<Drill, String> {
        let known = alerts.expected.iter().map(|expected| ground.known(expected)).collect();
        let begun = Drill::begin(
            ground.instruments.clone(),
            ground.clock,
            alerts.clone(),
            known,
            (ground.calm(), before.until),
            before.down,
        );
        let begun = begun.await;
        let mut drill = match begun {
            Ok(drill) => drill,
            Err(error) => return Err(self.gone(error.to_string()).await),
        };
        let stack = self.stack.clone();
        let told = move |zero: Timestamp| messages(stack.as_deref(), zero);
        if self.estranged > 0 {
            drill.be_patient();
        }
        match drill.rise(&told, &self.stop).await {
            Ok(_) => Ok(drill),
            Err(error) => Err(self.break_off(id, &drill, error.to_string()).await),
        }
    }

    /// Follows them down, and says what it all came to, unless it can be taken `anew`.
    pub(super) fn fall<'a>(&'a mut self, id: &'a StepId, drill: Drill, anew: bool) -> Boxed<'a, Followed> {
        Box::pin(self.follow_down(id, drill, anew))
    }

    async fn follow_down(&mut self, id: &StepId, mut drill: Drill, anew: bool) -> Followed {
        match self.come_down(id, &mut drill).await {
            Ok(Ended::Stopped) => {
                return Ok(Held::Done(Outcome::Skipped, Some("the run was stopped".to_owned())));
            }
            Ok(Ended::Complete | Ended::Late) => {}
            Err(why) => return Err(self.break_off(id, &drill, why).await),
        }
        let report = drill.report(&self.sources);
        let hurried = if report.failures.is_empty() { None } else { self.hurried(id, &drill).await? };
        if let (true, Some(why)) = (anew, &hurried) {
            return Ok(Held::Hurried(why.clone()));
        }
        self.drilled(id, report.drilled);
        let outcome = match (report.failures.is_empty(), report.unproven.is_empty()) {
            (false, _) => Outcome::Failed,
            (true, false) => Outcome::Unreliable,
            (true, true) => Outcome::Passed,
        };
        self.told(id, report.failures);
        let about = report.unproven.into_iter().chain(hurried);
        Ok(Held::Done(outcome, about.reduce(|all, one| format!("{all}; {one}"))))
    }

    /// The scrapes that the clock's speed left too little time, in a sentence.
    async fn hurried(&self, id: &StepId, drill: &Drill) -> Result<Option<String>, String> {
        match drill.hurried().await {
            Ok(late) => Ok(late.into_iter().reduce(|all, one| format!("{all}, {one}"))),
            Err(error) => Err(self.break_off(id, drill, error.to_string()).await),
        }
    }

    /// Watches alerts clear, and asks what they came to.
    async fn come_down(&self, id: &StepId, drill: &mut Drill) -> Result<Ended, String> {
        let stack = self.stack.clone();
        let told = move |zero: Timestamp| messages(stack.as_deref(), zero);
        drill.lift().await.map_err(|error| error.to_string())?;
        let ended = drill.fall(&told, &self.stop).await.map_err(|error| error.to_string())?;
        if self.stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        drill.explain_down().await.map_err(|error| error.to_string())?;
        if let Some(ground) = &self.ground {
            self.look_back(ground, id, drill).await?;
            ground.predict(drill).await?;
            ground.calm_down();
        }
        Ok(ended)
    }

    /// Tells what was seen of alerts, and what a total outage had spent by then.
    pub(super) fn drilled(&self, id: &StepId, alerts: Vec<Drilled>) {
        for mut alert in alerts {
            let budgets = self.ground.iter().flat_map(|ground| &ground.budgets);
            alert.spent = budgets.filter_map(|(slo, allowed)| allowed.spent(slo, &alert)).collect();
            self.sender.send(Event::Drilled { step: id.clone(), alert: Box::new(alert) });
        }
    }

    /// Says what was wrong, as one attempt of the step.
    pub(super) fn told(&self, id: &StepId, failures: Vec<Failure>) {
        if failures.is_empty() {
            return;
        }
        let (attempt, took) = (1, Nanos(0));
        let evidence = Box::new(Evidence::default());
        self.sender.send(Event::Attempted { step: id.clone(), attempt, took, failures, evidence });
    }
}

impl Fault {
    /// Whether it says anything of alerts.
    pub(super) fn drills(&self) -> Option<&Alerts> {
        (!self.alerts.is_empty()).then_some(&self.alerts)
    }
}

/// What an objective allows to be lost: so much time of a total outage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance(pub(super) Duration);

impl Allowance {
    /// What a total outage would have spent of it before anyone was told.
    fn spent(self, slo: &str, alert: &Drilled) -> Option<Spent> {
        let told = alert.rungs.iter().find(|seen| seen.rung == Rung::Delivered)?.at?;
        let share = Duration::from(told).as_secs_f64() / self.0.as_secs_f64();
        (!alert.stranger && share.is_finite()).then(|| Spent { slo: slo.to_owned(), share })
    }
}

/// What receivers were told since a moment.
fn messages(stack: Option<&Running>, zero: Timestamp) -> Vec<Message> {
    let deliveries = stack.and_then(Running::sink).map(crate::sink::Sink::deliveries).unwrap_or_default();
    deliveries.iter().filter_map(|delivery| message(delivery, zero)).collect()
}

fn message(delivery: &Arc<Delivery>, zero: Timestamp) -> Option<Message> {
    let at = Duration::try_from(delivery.at.duration_since(zero)).ok()?;
    Some(Message {
        receiver: delivery.receiver.clone()?,
        kind: delivery.kind.to_string(),
        at,
        resolved: delivery.status == Status::Resolved,
        alerts: delivery.alerts.iter().map(|alert| alert.labels.clone()).collect(),
        title: delivery.title.clone(),
        text: delivery.text.clone(),
        problems: delivery.problems.iter().map(ToString::to_string).collect(),
    })
}

/// How often a quiet spell began anew, if it did.
fn begun_anew(times: u32) -> Option<String> {
    let so_often = match times {
        0 => return None,
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    Some(format!("begun anew {so_often}: a scrape took longer than the clock's speed leaves it"))
}
