//! What is seen of alerts, look by look, from the moment a fault took effect until they have cleared. Pure: time
//! and what was seen come in as arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::alertmanager::Held;
use crate::exposition::Labels;
use crate::ladder::{Climb, Rung};
use crate::prometheus::{Alert, AlertState, Groups, Rule};
use crate::scenario::alert::Expected;

/// One look at everything that knows of alerts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// Wall time since the phase began: since the fault took effect, or since it was lifted.
    pub(super) since: Duration,
    /// The moment the phase began, by Prometheus's clock.
    pub(super) zero: Timestamp,
    /// What was active before this moment, nothing broken can have moved.
    pub(super) calm: Timestamp,
    /// What Prometheus's rules say.
    pub(super) groups: &'a Groups,
    /// What Alertmanager has.
    pub(super) held: &'a [Held],
    /// What receivers were told in this phase.
    pub(super) messages: &'a [Message],
}

/// A message that a receiver was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who was told.
    pub receiver: String,
    /// Whose protocol it was: `slack`.
    pub kind: String,
    /// When, in wall time since the phase began.
    pub at: Duration,
    /// Whether it says that it is over.
    pub resolved: bool,
    /// The labels of each alert it tells of, as far as the vendor's message has them.
    pub alerts: Vec<Labels>,
    /// Its heading.
    pub title: String,
    /// Its text.
    pub text: String,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

impl Message {
    /// Whether it tells of an alert of this name that carries these labels. A message without labels tells of it
    /// if it has the name somewhere.
    pub(super) fn is_of(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        if self.alerts.is_empty() {
            return self.says(name);
        }
        self.alerts.iter().any(|alert| carries(alert, name, labels))
    }

    /// Whether it has this name somewhere.
    fn says(&self, name: &str) -> bool {
        self.title.contains(name) || self.text.contains(name)
    }
}

/// Whether an alert has this name and these labels.
pub(super) fn carries(alert: &Labels, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let has = |key: &str, value: &str| alert.get(key).is_some_and(|found| found == value);
    // Some vendors are told a few labels only, and the name is not always among them.
    alert.get("alertname").is_none_or(|found| found == name)
        && labels.iter().all(|(key, value)| has(key, value))
}

/// Everything that was seen of one expected alert.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// What is expected of it.
    pub(super) expected: Expected,
    /// How far it came.
    pub(super) climb: Climb,
    /// How long it had been pending when its condition stopped holding, the longest time.
    pub(super) interrupted: Option<Duration>,
    /// Whether Prometheus has a rule of that name.
    pub(super) loaded: bool,
    /// What its rule last failed with.
    pub(super) rule_error: Option<String>,
    /// When its rule was evaluated last, since the phase began; negative before it.
    pub(super) evaluated: bool,
    /// The labels it fired with.
    pub(super) labels: Option<Labels>,
    /// What Alertmanager last had of it.
    pub(super) held: Option<Held>,
    /// What receivers were told of it.
    pub(super) messages: Vec<Message>,
    /// The rule's expression as Prometheus has it, its durations divided.
    pub(super) loaded_query: String,
    /// Whether all it reaches are told when it is over.
    pub(super) sends_resolved: bool,
    /// The alert that was active before the fault, where one was: nothing that comes of it is counted.
    pub(super) early: Option<Early>,
}

/// An alert that was active before anything was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Early {
    /// Its labels.
    pub(super) labels: Labels,
    /// Whether it fired already, and was not only pending.
    pub(super) fired: bool,
    /// Since when.
    pub(super) since: Timestamp,
}

impl Watched {
    pub(super) fn new(expected: Expected, sends_resolved: bool) -> Self {
        Self {
            sends_resolved,
            loaded_query: String::new(),
            expected,
            climb: Climb::default(),
            interrupted: None,
            loaded: false,
            rule_error: None,
            evaluated: false,
            labels: None,
            held: None,
            messages: Vec::new(),
            early: None,
        }
    }

    /// Notes that it was active before anything was broken, if it was.
    pub(super) fn look_before(&mut self, look: &Look<'_>) {
        if self.early.is_some() {
            return;
        }
        let alerts = self.named(look.groups).into_iter();
        let alerts = alerts.flat_map(|rule| rule.alerts.iter().map(move |alert| (rule, alert)));
        let mine =
            alerts.filter(|(_, alert)| carries(&alert.labels, &self.expected.name, &self.expected.labels));
        let before = mine
            .filter_map(|(rule, alert)| Some((rule, alert, alert.active_at.filter(|at| *at < look.calm)?)));
        self.early = before.min_by_key(|(.., since)| *since).map(|(rule, alert, since)| {
            let holds = Duration::try_from_secs_f64(rule.duration).unwrap_or_default();
            let fired = alert.state == AlertState::Firing
                && since.saturating_add(holds).is_ok_and(|fires| fires < look.calm);
            Early { labels: alert.labels.clone(), fired, since }
        });
    }

    /// Takes in what is seen while the fault holds.
    pub(super) fn look_up(&mut self, look: &Look<'_>) {
        if self.early.is_some() {
            return;
        }
        let (rule, alert) = self.find(look.groups);
        self.loaded = rule.is_some();
        if let Some(rule) = rule {
            self.loaded_query.clone_from(&rule.query);
            self.rule_error = (!rule.last_error.is_empty()).then(|| rule.last_error.clone());
            self.evaluated |= rule.last_evaluation.is_some_and(|at| at > look.zero);
        }
        match (rule, alert) {
            (Some(rule), Some(alert)) => self.climbs(look, rule, alert),
            (Some(_) | None, _) => self.falls(look),
        }
        self.in_alertmanager(look);
        self.told(look);
    }

    /// Takes in what is seen once the fault was lifted.
    pub(super) fn look_down(&mut self, look: &Look<'_>) {
        let (rule, alert) = self.find(look.groups);
        if let (Some(rule), None) = (rule, alert) {
            self.climb.reach(Rung::Cleared, since(rule.last_evaluation, look));
        }
        self.in_alertmanager(look);
        self.told(look);
    }

    /// The rule of that name, and its worst alert with those labels.
    fn find<'g>(&self, groups: &'g Groups) -> (Option<&'g Rule>, Option<&'g Alert>) {
        let rules = self.named(groups);
        let alerts = rules.iter().flat_map(|rule| rule.alerts.iter().map(move |alert| (*rule, alert)));
        let worst = alerts
            .filter(|(_, alert)| carries(&alert.labels, &self.expected.name, &self.expected.labels))
            .max_by_key(|(_, alert)| alert.state);
        match worst {
            Some((rule, alert)) => (Some(rule), Some(alert)),
            // Two rules of one name are told apart by their labels, where they have any.
            None => (
                rules.iter().copied().find(|rule| self.could_be(rule)).or_else(|| rules.first().copied()),
                None,
            ),
        }
    }

    /// The alerting rules of that name.
    fn named<'g>(&self, groups: &'g Groups) -> Vec<&'g Rule> {
        let named = |rule: &&Rule| rule.state.is_some() && rule.name == self.expected.name.value;
        groups.groups.iter().flat_map(|group| &group.rules).filter(named).collect()
    }

    fn could_be(&self, rule: &Rule) -> bool {
        let differs = |(key, value): (&String, &String)| {
            rule.labels.get(key).is_some_and(|found| !found.contains("{{") && found != value)
        };
        !self.expected.labels.iter().any(differs)
    }

    fn climbs(&mut self, look: &Look<'_>, rule: &Rule, alert: &Alert) {
        let active = since(alert.active_at, look);
        match alert.state {
            AlertState::Pending => self.climb.reach(Rung::Pending, active),
            AlertState::Firing => {
                self.climb.reach(Rung::Pending, active);
                self.climb.reach(Rung::Firing, since(rule.last_evaluation, look));
                self.labels = Some(alert.labels.clone());
            }
            AlertState::Unknown | AlertState::Inactive => {}
        }
    }

    /// What was pending is no longer.
    fn falls(&mut self, look: &Look<'_>) {
        if self.climb.has(Rung::Firing) {
            return;
        }
        if let Some(began) = self.climb.at(Rung::Pending) {
            let lasted = look.since.saturating_sub(began);
            self.interrupted = Some(self.interrupted.map_or(lasted, |longest| longest.max(lasted)));
            self.climb.fall(Rung::Pending);
        }
    }

    fn in_alertmanager(&mut self, look: &Look<'_>) {
        let mine = |held: &&Held| carries(&held.labels, &self.expected.name, &self.expected.labels);
        let Some(held) = look.held.iter().find(mine) else { return };
        self.climb.reach(Rung::Received, look.since);
        let wanted = |name: &String| held.receivers.contains(name);
        if !held.is_suppressed() && self.expected.reaches.iter().all(|name| wanted(name)) {
            self.climb.reach(Rung::Routed, look.since);
        }
        self.held = Some(held.clone());
    }

    /// Whether a message is about this alert. One that names no alert at all, as a template of the user's own may
    /// have it, is taken to be, where it went to one of those who have to be told.
    fn is_told_by(&self, message: &Message, groups: &Groups) -> bool {
        let Expected { name, labels, reaches, .. } = &self.expected;
        let rules =
            || groups.groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.state.is_some());
        let nameless = || message.alerts.is_empty() && !rules().any(|rule| message.says(&rule.name));
        message.is_of(name, labels)
            || (reaches.iter().any(|receiver| receiver.value == message.receiver) && nameless())
    }

    fn told(&mut self, look: &Look<'_>) {
        for message in look.messages {
            let known = self.messages.contains(message);
            if !known && self.is_told_by(message, look.groups) {
                self.messages.push(message.clone());
            }
        }
        // A group may tell of the end of another of its alerts; what ends this one comes after it has cleared.
        let cleared = self.climb.at(Rung::Cleared);
        let counts = |told: &&Message, resolved: bool| {
            told.resolved == resolved && (!resolved || cleared.is_some_and(|cleared| told.at >= cleared))
        };
        let when = |receiver: &str, resolved: bool| {
            let told = self.messages.iter().filter(|told| counts(told, resolved));
            told.filter(|told| told.receiver == receiver).map(|told| told.at).min()
        };
        let all = |resolved: bool| -> Option<Duration> {
            let named = self.expected.reaches.iter().map(|name| when(name, resolved));
            let latest = named.collect::<Option<Vec<_>>>()?.into_iter().max();
            let any = self.messages.iter().filter(|told| counts(told, resolved)).map(|told| told.at).min();
            if self.expected.reaches.is_empty() { any } else { latest }
        };
        let (delivered, resolved) = (all(false), all(true));
        if let Some(at) = delivered {
            // Who was told was meant to be, whatever a look at Alertmanager missed in between.
            self.climb.reach(Rung::Received, at);
            self.climb.reach(Rung::Routed, at);
            self.climb.reach(Rung::Delivered, at);
        }
        if let Some(at) = resolved {
            self.climb.reach(Rung::Resolved, at);
        }
    }
}

/// Wall time from the phase's beginning to a moment of Prometheus's clock.
fn since(at: Option<Timestamp>, look: &Look<'_>) -> Duration {
    let at = at.map(|at| at.duration_since(look.zero));
    at.map_or(look.since, |since| Duration::try_from(since).unwrap_or_default())
}

/// Alerts that are pending or firing and that nobody expects, the worst state of each.
pub(super) fn strangers<'g>(
    groups: &'g Groups,
    expected: &[Expected],
    except: &[&str],
) -> impl Iterator<Item = &'g Alert> {
    let known: Vec<_> = expected.iter().map(|one| (one.name.value.clone(), one.labels.clone())).collect();
    let except: Vec<_> = except.iter().map(|name| (*name).to_owned()).collect();
    let alerts = groups.groups.iter().flat_map(|group| &group.rules).flat_map(|rule| &rule.alerts);
    alerts.filter(move |alert| {
        let name = alert.labels.get("alertname").map(String::as_str).unwrap_or_default();
        let expected =
            known.iter().any(|(known, labels)| known == name && carries(&alert.labels, known, labels));
        !expected && !except.iter().any(|allowed| allowed == name)
    })
}

#[cfg(test)]
mod tests;
