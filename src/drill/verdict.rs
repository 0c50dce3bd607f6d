//! What a drill came to: each expectation held against what was seen, each failure drawn where it was wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::explain::Broken;
use super::watch::{Message, Watched};
use crate::event::{Drilled, Failure, Nanos, Proof, RungSeen, Told};
use crate::exposition::Labels;
use crate::finding::{Drawing, Severity, excerpts};
use crate::ladder::Rung;
use crate::prometheus::answer::describe;
use crate::promql::Query;
use crate::rule::window::{Between, Window};
use crate::sample::Reason;
use crate::scenario::alert::{Alerts, Clock, Expected};
use crate::source::{Place, Sources};

/// Messages of one alert that are kept, and bytes of a text.
const MOST_MESSAGES: usize = 20;
const LONGEST_TEXT: usize = 2000;

/// Everything that a verdict on one alert is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) watched: &'a Watched,
    pub(super) window: &'a Window,
    pub(super) clock: Clock,
    pub(super) proof: Proof,
    /// Why its ladder broke, where it did.
    pub(super) broken: Option<&'a Broken>,
    /// The rule's expression, as the user wrote it.
    pub(super) query: Option<&'a Query>,
}

/// How far an alert came, for reports.
pub(super) fn drilled(case: Case<'_>, notes: Vec<String>) -> Drilled {
    let Case { watched, clock, .. } = case;
    let rule = |wall: Duration| Nanos::from(clock.rule_time(wall));
    let rungs = watched.climb.reached().map(|(rung, at)| {
        let allowed = allowed(case.window, rung);
        RungSeen {
            rung,
            at: Some(rule(at)),
            earliest: allowed.map(|span| span.earliest.into()),
            latest: allowed.map(|span| span.latest.into()),
        }
    });
    let told = watched.messages.iter().take(MOST_MESSAGES).map(|message| told(message, &rule));
    Drilled {
        alert: watched.expected.name.value.clone(),
        labels: watched.expected.labels.clone(),
        speed: clock.speed,
        proof: case.proof,
        stranger: false,
        spent: Vec::new(),
        predicted: None,
        told_within: watched.expected.told.as_ref().map(|at| at.value.into()),
        rungs: rungs.collect(),
        broken: case.broken.map(|broken| broken.rung),
        told: told.collect(),
        notes,
    }
}

fn told(message: &Message, rule: &impl Fn(Duration) -> Nanos) -> Told {
    let mut text = message.text.clone();
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    Told {
        receiver: message.receiver.clone(),
        kind: message.kind.clone(),
        at: rule(message.at),
        resolved: message.resolved,
        title: message.title.clone(),
        text,
        problems: message.problems.clone(),
    }
}

/// When the configuration allows a rung to be reached.
fn allowed(window: &Window, rung: Rung) -> Option<Between> {
    match rung {
        Rung::Pending => Some(window.pends),
        Rung::Firing => Some(window.fires),
        Rung::Delivered => window.notified,
        Rung::Cleared => Some(window.clears),
        Rung::Resolved => window.resolved,
        Rung::Effect
        | Rung::Scraped
        | Rung::Selected
        | Rung::Joined
        | Rung::Held
        | Rung::Received
        | Rung::Routed => None,
    }
}

/// Everything that was not as expected of one alert.
pub(super) fn failures(case: Case<'_>, sources: &Sources) -> Vec<Failure> {
    let mut failures = Vec::new();
    failures.extend(broken(case, sources));
    failures.extend(late(case, sources));
    failures.extend(told_late(case, sources));
    failures.extend(spared(case, sources));
    failures.extend(misrendered(case, sources));
    failures
}

/// The ladder broke.
fn broken(case: Case<'_>, sources: &Sources) -> Option<Failure> {
    let Case { watched, query, .. } = case;
    let broken = case.broken?;
    let expected = &watched.expected;
    let (wanted, place) = wanted(expected, case, broken.rung);
    let rung = broken.rung.number();
    let title = format!("`{}` {wanted}: rung {rung} of {}: {}", expected.name, Rung::ALL.len(), broken.title);
    let in_rule = broken.way.as_ref().and_then(|way| Some(query?.place_of(way, sources)));
    let labels = match in_rule.or(broken.place) {
        Some(part) => vec![(part, broken.label.as_str(), true), (place, "expected here", false)],
        None => vec![(place, broken.label.as_str(), true)],
    };
    Some(failure(title, &labels, broken.help.clone(), sources))
}

/// `did not fire within 7m`, and where that was wanted.
fn wanted(expected: &Expected, case: Case<'_>, rung: Rung) -> (String, Place) {
    let within = |limit: Duration| format!("within {}", said(limit));
    let fires = expected.fires.as_ref().map_or(case.window.fires.latest, |at| at.value);
    let clears = expected.clears.as_ref().map_or(case.window.clears.latest, |at| at.value);
    if let Some(early) = &case.watched.early {
        let state = if early.fired { "firing" } else { "pending" };
        return (format!("was already {state} before the fault"), expected.fires_place());
    }
    match rung {
        Rung::Effect
        | Rung::Scraped
        | Rung::Selected
        | Rung::Joined
        | Rung::Held
        | Rung::Pending
        | Rung::Firing => (format!("did not fire {}", within(fires)), expected.fires_place()),
        Rung::Received | Rung::Routed | Rung::Delivered => {
            let names: Vec<_> = expected.reaches.iter().map(|name| format!("`{name}`")).collect();
            let whom = if names.is_empty() { "anybody".to_owned() } else { names.join(" and ") };
            let place = expected.reaches.first().map_or(expected.name.place, |at| at.place);
            (format!("fired and did not reach {whom}"), place)
        }
        Rung::Cleared => (format!("did not clear {}", within(clears)), expected.clears_place()),
        Rung::Resolved => ("cleared, and its receiver was not told so".to_owned(), expected.clears_place()),
    }
}

/// It climbed all the way, too slowly.
fn late(case: Case<'_>, sources: &Sources) -> Vec<Failure> {
    let Case { watched, window, clock, .. } = case;
    let expected = &watched.expected;
    let checks = [
        (Rung::Firing, "fired", &expected.fires, window.fires, expected.fires_place()),
        (Rung::Cleared, "cleared", &expected.clears, window.clears, expected.clears_place()),
    ];
    let mut failures = Vec::new();
    for (rung, word, limit, window, place) in checks {
        let Some(at) = watched.climb.at(rung).map(|at| clock.rule_time(at)) else { continue };
        let allowed = limit.as_ref().map_or(window.latest, |at| at.value);
        if at <= allowed {
            continue;
        }
        let after = said(at);
        let title = match limit {
            Some(limit) => {
                format!("`{}` {word} after {after}, not within {}", expected.name, said(limit.value))
            }
            None => format!(
                "`{}` {word} after {after}; its configuration allows {} to {}",
                expected.name,
                said(window.earliest),
                said(window.latest)
            ),
        };
        failures.push(failure(title, &[(place, "", true)], None, sources));
    }
    failures
}

/// Somebody was told, and not in time.
fn told_late(case: Case<'_>, sources: &Sources) -> Option<Failure> {
    let expected = &case.watched.expected;
    let limit = expected.told.as_ref()?;
    let after = case.clock.rule_time(case.watched.climb.at(Rung::Delivered)?);
    if after <= limit.value {
        return None;
    }
    let title =
        format!("`{}` was told after {}, not within {}", expected.name, said(after), said(limit.value));
    Some(failure(title, &[(limit.place, "told too late", true)], None, sources))
}

/// What is worth knowing of a response time that was kept this once: that the configuration allows a later notice.
pub(super) fn may_be_late(expected: &Expected, window: &Window) -> Option<String> {
    let (limit, latest) = (expected.told.as_ref()?.value, window.notified?.latest);
    let longer = latest > limit;
    longer.then(|| {
        format!("its configuration allows it to be told after {}, not within {}", said(latest), said(limit))
    })
}

/// Somebody was told who was not to be.
fn spared(case: Case<'_>, sources: &Sources) -> Vec<Failure> {
    let Watched { expected, messages, .. } = case.watched;
    let told = |name: &str| messages.iter().find(|message| message.receiver == name);
    let spared = expected.spares.iter().filter_map(|name| Some((name, told(name)?)));
    spared
        .map(|(name, message)| {
            let title = format!("`{}` reached `{name}`: {}", expected.name, message.title);
            failure(title, &[(name.place, "was told", true)], None, sources)
        })
        .collect()
}

/// A message came with a template that was not rendered as meant.
fn misrendered(case: Case<'_>, sources: &Sources) -> Vec<Failure> {
    let Watched { expected, messages, .. } = case.watched;
    let mut seen = BTreeMap::new();
    for message in messages {
        for problem in &message.problems {
            seen.entry((message.receiver.clone(), problem.clone())).or_insert(message);
        }
    }
    let place = |receiver: &str| {
        let named = expected.reaches.iter().find(|name| name.value == receiver);
        named.map_or(expected.name.place, |at| at.place)
    };
    seen.into_iter()
        .map(|((receiver, problem), message)| {
            let rung = Rung::Delivered.number();
            let title = format!(
                "`{}` reached `{receiver}` with a flaw: rung {rung} of {}: {problem}",
                expected.name,
                Rung::ALL.len()
            );
            let help = format!("the message was: {}", message.title);
            failure(title, &[(place(&receiver), "told this", true)], Some(help), sources)
        })
        .collect()
}

/// Scaled and dilated disagree.
pub(super) fn disputed(
    case: Case<'_>,
    disputes: &[String],
    tolerance: Duration,
    sources: &Sources,
) -> Option<Failure> {
    if disputes.is_empty() {
        return None;
    }
    let expected = &case.watched.expected;
    let title = format!(
        "`{}` scaled and dilated is more than {} apart: {}",
        expected.name,
        said(tolerance),
        disputes.join("; ")
    );
    Some(failure(title, &[(expected.name.place, "proven both ways", true)], None, sources))
}

/// Virtual time and `promtool` disagree.
pub(super) fn contradicted(case: Case<'_>, what: Option<&str>, sources: &Sources) -> Option<Failure> {
    let expected = &case.watched.expected;
    let title =
        format!("`{}` in virtual time is not what `promtool test rules` sees: {}", expected.name, what?);
    Some(failure(title, &[(expected.name.place, "proven dilated", true)], None, sources))
}

/// An alert that fired and that nobody expected, for reports.
pub(super) fn stranger(labels: &Labels, at: Duration, clock: Clock) -> Drilled {
    let mut labels = labels.clone();
    let at = Some(clock.rule_time(at).into());
    Drilled {
        alert: labels.remove("alertname").unwrap_or_default(),
        labels,
        speed: clock.speed,
        proof: Proof::Scaled,
        stranger: true,
        spent: Vec::new(),
        predicted: None,
        told_within: None,
        rungs: vec![RungSeen { rung: Rung::Firing, at, earliest: None, latest: None }],
        broken: None,
        told: Vec::new(),
        notes: Vec::new(),
    }
}

/// Alerts that fired and that nobody expected, where they had to be quiet.
pub(super) fn strangers(
    alerts: &Alerts,
    strangers: &BTreeMap<Labels, Option<Duration>>,
    clock: Clock,
    sources: &Sources,
) -> Vec<Failure> {
    let Some(others) = alerts.others.filter(|_| alerts.others_quiet()) else { return Vec::new() };
    let one = |(labels, at): (&Labels, &Option<Duration>)| {
        let labels = describe(labels);
        let title = match at {
            Some(at) => format!("`{labels}` fired after {} and is not expected", said(clock.rule_time(*at))),
            None => format!("`{labels}` was already active before the fault and is not expected"),
        };
        failure(title, &[(others.place, "every other alert", true)], None, sources)
    };
    strangers.iter().map(one).collect()
}

fn failure(
    title: String,
    labels: &[(Place, &str, bool)],
    help: Option<String>,
    sources: &Sources,
) -> Failure {
    let drawing = Drawing {
        severity: Severity::Error,
        code: None,
        title,
        excerpts: excerpts(labels.iter().copied(), sources),
        help,
    };
    Failure { reason: Reason::Alert, drawing }
}

/// Rule time in words.
fn said(time: Duration) -> String {
    let whole = if time >= Duration::from_secs(10) { time.as_secs_f64().round() } else { time.as_secs_f64() };
    let millis = Duration::from_millis(Duration::from_secs_f64(whole).as_millis().try_into().unwrap_or(0));
    crate::units::Span(millis).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::At;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[rstest]
    #[case::in_time(15, None, None)]
    #[case::at_its_end(14, None, Some("its configuration allows it to be told after 15m, not within 14m"))]
    #[case::too_late(
        13,
        Some("`WebDown` was told after 14m, not within 13m"),
        Some("its configuration allows it to be told after 15m, not within 13m")
    )]
    fn a_notice_is_held_to_its_response_time(
        #[case] limit: u64,
        #[case] fails: Option<&str>,
        #[case] notes: Option<&str>,
    ) {
        let mut sources = Sources::default();
        let place = sources.add("drill.yaml", "told: within 13m").place(6, 16);
        let expected = Expected {
            name: At::new("WebDown".to_owned(), place),
            labels: BTreeMap::new(),
            fires: None,
            reaches: Vec::new(),
            spares: Vec::new(),
            told: Some(At::new(minutes(limit), place)),
            clears: None,
        };
        let mut watched = Watched::new(expected, true);
        watched.climb.reach(Rung::Delivered, Duration::from_secs(14));
        let between = Between { earliest: minutes(5), latest: minutes(15) };
        let window = Window {
            pends: between,
            fires: between,
            notified: Some(between),
            clears: between,
            resolved: None,
        };
        let clock = Clock { speed: 60.0, proof: None };
        let case = Case {
            watched: &watched,
            window: &window,
            clock,
            proof: Proof::Scaled,
            broken: None,
            query: None,
        };
        let titles: Vec<_> =
            failures(case, &sources).into_iter().map(|failure| failure.drawing.title).collect();
        assert_eq!(titles, fails.map(str::to_owned).into_iter().collect::<Vec<_>>());
        assert_eq!(may_be_late(&watched.expected, &window).as_deref(), notes);
        assert_eq!(drilled(case, Vec::new()).told_within, Some(minutes(limit).into()));
    }
}
