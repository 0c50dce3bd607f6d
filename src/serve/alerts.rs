//! Alertmanager is told what fails and what burns, again and again while it lasts, and when it is over. Whom it tells
//! is its own affair.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Notice;
use super::house::House;
use super::watch::Watch;
use crate::event::Conclusion;
use crate::exposition::Labels;
use crate::gate::Known;
use crate::prometheus::{Access, Client, Limits, Setup};
use crate::units::Span;

/// How often it is looked whether something began or ended.
const LOOK: Duration = Duration::from_secs(1);

/// How often what lasts is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// How long an alert lasts that nobody speaks of any more: four times the pause between two words, as by Prometheus.
const LASTS: SignedDuration = SignedDuration::from_secs(240);

/// How long it is said that an alert is over.
const OVER: SignedDuration = SignedDuration::from_secs(900);

/// How long an Alertmanager is left alone that could not be told.
const PAUSE: Duration = Duration::from_secs(5);

/// How long one telling may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Failures that a burn rate takes to be one, as in the rules that `firedrill rules` writes.
const MIN_FAILURES: u64 = 3;

/// How long a name or a value may be; longer ones are cut.
const LONGEST: usize = 1024;

/// An alert: since when, and until when if it is over.
#[derive(Debug, Clone, PartialEq)]
struct Alert {
    notes: Labels,
    since: Timestamp,
    over: Option<Timestamp>,
}

/// Every alert that lasts or was over not long ago, by its labels.
#[derive(Debug, Default)]
struct Book(BTreeMap<Labels, Alert>);

impl Book {
    /// Takes note of what is to be alerted of at `now`: by labels, with what is said of it.
    fn turn(&mut self, wanted: BTreeMap<Labels, Labels>, now: Timestamp) {
        for (labels, alert) in &mut self.0 {
            if !wanted.contains_key(labels) {
                alert.over.get_or_insert(now);
            }
        }
        for (labels, notes) in wanted {
            match self.0.get_mut(&labels) {
                Some(alert) if alert.over.is_none() => alert.notes = notes,
                Some(_) | None => {
                    self.0.insert(labels, Alert { notes, since: now, over: None });
                }
            }
        }
        self.0.retain(|_, alert| alert.over.is_none_or(|over| now.duration_since(over) < OVER));
    }

    fn lasting(&self) -> usize {
        self.0.values().filter(|alert| alert.over.is_none()).count()
    }
}

/// An Alertmanager, and what it was told.
pub(super) struct Listener {
    name: String,
    client: Client,
    /// When it was last told of an alert, and whether that was over then.
    told: BTreeMap<Labels, (Instant, Option<Timestamp>)>,
    /// Not before this moment.
    rest: Option<Instant>,
    troubled: bool,
}

impl Listener {
    /// One that is reached at `address`.
    ///
    /// # Errors
    /// The address is none.
    pub(super) fn new(address: &str) -> Result<Self, Setup> {
        let limits = Limits { timeout: PATIENCE, retries: 0, ..Limits::default() };
        let client = Client::new(&Access { limits, ..Access::to(address) })?;
        Ok(Self {
            name: client.address().to_owned(),
            client,
            told: BTreeMap::new(),
            rest: None,
            troubled: false,
        })
    }

    /// What it is to be told now: what it does not know, and what was last said long ago.
    fn due(&self, book: &Book, now: Instant) -> Vec<Labels> {
        let is_due = |labels: &Labels, alert: &Alert| {
            self.told
                .get(labels)
                .is_none_or(|(at, over)| *over != alert.over || now.duration_since(*at) >= AGAIN)
        };
        book.0
            .iter()
            .filter(|(labels, alert)| is_due(labels, alert))
            .map(|(labels, _)| labels.clone())
            .collect()
    }

    async fn tell(&mut self, book: &Book, house: &House) {
        let began = Instant::now();
        self.told.retain(|labels, _| book.0.contains_key(labels));
        if self.rest.is_some_and(|rest| began < rest) {
            return;
        }
        let due = self.due(book, began);
        if due.is_empty() {
            return;
        }
        let now = Timestamp::now();
        let alerts = due.iter().filter_map(|labels| Some(posted(labels, book.0.get(labels)?, now)));
        let body = Value::Array(alerts.collect()).to_string();
        match self.client.submit("api/v2/alerts", body).await {
            Ok(()) => {
                house.bell.told(&self.name, true);
                if std::mem::take(&mut self.troubled) {
                    house.notices.send(Notice::AlertmanagerMended { address: self.name.clone() });
                }
                self.rest = None;
                for labels in due {
                    let over = book.0.get(&labels).and_then(|alert| alert.over);
                    self.told.insert(labels, (began, over));
                }
            }
            Err(error) => {
                house.bell.told(&self.name, false);
                self.rest = Some(Instant::now() + PAUSE);
                // Said once, not every few seconds.
                if !std::mem::replace(&mut self.troubled, true) {
                    let (address, error) = (self.name.clone(), error.to_string());
                    house.notices.send(Notice::Alertmanager { address, error });
                }
            }
        }
    }
}

/// An alert as version 2 of Alertmanager's interface has it.
fn posted(labels: &Labels, alert: &Alert, now: Timestamp) -> Value {
    let ends = alert.over.or_else(|| now.checked_add(LASTS).ok());
    let mut posted = json!({
        "labels": labels,
        "annotations": alert.notes,
        "startsAt": format!("{:.3}", alert.since),
    });
    if let (Some(posted), Some(ends)) = (posted.as_object_mut(), ends) {
        posted.insert("endsAt".to_owned(), format!("{ends:.3}").into());
    }
    posted
}

/// What metrics and the page say of the telling.
#[derive(Debug, Default)]
pub(super) struct Bell(std::sync::Mutex<Rung>);

/// How many alerts last, and how the telling went by Alertmanager.
#[derive(Debug, Clone, Default)]
pub(super) struct Rung {
    pub(super) lasting: usize,
    /// Tellings that were taken, and those that were not.
    pub(super) told: BTreeMap<String, (u64, u64)>,
}

impl Bell {
    pub(super) fn rung(&self) -> Rung {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Rung)) {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn told(&self, name: &str, taken: bool) {
        self.change(|rung| {
            let (well, ill) = rung.told.entry(name.to_owned()).or_default();
            super::state::count(if taken { well } else { ill }, 1);
        });
    }
}

/// Tells all Alertmanagers, until `stop` is cancelled. What lasts then ends by itself when nobody speaks of it.
pub(super) async fn ring(mut listeners: Vec<Listener>, house: Arc<House>, stop: CancellationToken) {
    let mut book = Book::default();
    for listener in &listeners {
        house.bell.change(|rung| {
            rung.told.entry(listener.name.clone()).or_default();
        });
    }
    loop {
        let now = Timestamp::now();
        book.turn(wanted(&house, now), now);
        house.bell.change(|rung| rung.lasting = book.lasting());
        let telling = futures_util::future::join_all(listeners.iter_mut().map(|one| one.tell(&book, &house)));
        if stop.run_until_cancelled(telling).await.is_none() {
            return;
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
    }
}

/// What is to be alerted of now.
fn wanted(house: &House, now: Timestamp) -> BTreeMap<Labels, Labels> {
    let mut all: BTreeMap<Labels, Labels> =
        house.watches().iter().filter_map(|watch| of_scenario(watch, now)).collect();
    for standing in house.standings.all().0 {
        let Known::Past(past) = &standing.known else { continue };
        for burning in past.tiers.iter().filter(|burning| burning.burns(MIN_FAILURES)) {
            let tier = burning.tier;
            let (long, short) = (Span(tier.long), Span(tier.short));
            let labels = labels([
                ("alertname", "FiredrillSloBurns"),
                ("slo", &standing.slo),
                ("objective", &standing.objective),
                ("severity", tier.severity.name()),
                ("window", &long.to_string()),
            ]);
            let rate = burning.long.map_or(0.0, crate::budget::Burn::rate);
            let left = past
                .budget
                .remaining()
                .map_or_else(String::new, |left| format!("; {:.1}% of the budget is left", left * 100.0));
            let said = format!(
                "{}: the error budget burns {rate:.1} times as fast as it may over {long} and {short} (more than {}){left}",
                standing.display, tier.factor
            );
            all.insert(labels, notes(&format!("{} burns its error budget", standing.display), &said));
        }
    }
    all
}

/// A scenario that does not pass, where it is one that is run now.
fn of_scenario(watch: &Watch, now: Timestamp) -> Option<(Labels, Labels)> {
    let state = watch.state();
    if watch.rests(&state, now) {
        return None;
    }
    let (name, verb) = match state.last()?.conclusion {
        Conclusion::Fail => ("FiredrillScenarioFails", "fails"),
        Conclusion::NotMeasured => ("FiredrillScenarioNotMeasured", "could not be measured"),
        Conclusion::Pass | Conclusion::Inconclusive => return None,
    };
    let mut all: Labels =
        watch.scene.planned().map(|planned| planned.scenario.labels.clone()).unwrap_or_default();
    all.extend(labels([("alertname", name), ("scenario", &watch.name)]));
    // Alertmanager takes no label without a value.
    all.retain(|_, value| !value.is_empty());
    let failed = state.failures.back();
    let why = failed.map(super::page::first).unwrap_or_default();
    let times = state.failed_in_a_row;
    let said = if times > 1 { format!("{why} ({times} times in a row)") } else { why };
    Some((all, notes(&format!("scenario {} {verb}", watch.name), &said)))
}

fn notes(summary: &str, description: &str) -> Labels {
    labels([("summary", summary), ("description", description)])
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let cut = |text: &str| text.chars().take(LONGEST).collect();
    pairs.into_iter().map(|(name, value)| (name.to_owned(), cut(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wanted(names: &[&str]) -> BTreeMap<Labels, Labels> {
        names.iter().map(|name| (labels([("alertname", name)]), Labels::new())).collect()
    }

    fn lasting(book: &Book) -> Vec<(String, i64, Option<i64>)> {
        let all = book.0.iter().map(|(labels, alert)| {
            (labels["alertname"].clone(), alert.since.as_second(), alert.over.map(Timestamp::as_second))
        });
        all.collect()
    }

    #[test]
    fn an_alert_begins_lasts_ends_and_is_forgotten() {
        let mut book = Book::default();
        book.turn(wanted(&["a", "b"]), at(100));
        book.turn(wanted(&["a"]), at(110));
        assert_eq!(lasting(&book), [("a".to_owned(), 100, None), ("b".to_owned(), 100, Some(110))]);
        // One that comes again is another.
        book.turn(wanted(&["a", "b"]), at(120));
        assert_eq!(lasting(&book), [("a".to_owned(), 100, None), ("b".to_owned(), 120, None)]);
        book.turn(wanted(&[]), at(130));
        book.turn(wanted(&[]), at(1029));
        assert_eq!(book.0.len(), 2);
        book.turn(wanted(&[]), at(1030));
        assert_eq!(lasting(&book), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_said_again_and_what_ends_at_once() {
        let mut listener = Listener::new("http://127.0.0.1:9093").unwrap();
        let mut book = Book::default();
        book.turn(wanted(&["a"]), at(100));
        let began = Instant::now();
        let due = listener.due(&book, began);
        assert_eq!(due.len(), 1);
        listener.told.insert(due[0].clone(), (began, None));
        assert_eq!(listener.due(&book, began + AGAIN / 2), [] as [Labels; 0]);
        assert_eq!(listener.due(&book, began + AGAIN).len(), 1);
        book.turn(wanted(&[]), at(101));
        assert_eq!(listener.due(&book, began).len(), 1);
    }

    #[test]
    fn an_alert_that_lasts_ends_by_itself() {
        let alert = Alert { notes: Labels::new(), since: at(100), over: None };
        let posted = posted(&labels([("alertname", "a")]), &alert, at(160));
        assert_eq!(posted["startsAt"], "1970-01-01T00:01:40.000Z");
        assert_eq!(posted["endsAt"], "1970-01-01T00:06:40.000Z");
    }
}
