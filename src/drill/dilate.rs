//! An alert in virtual time: what its rule as it is written makes of what was scraped during the drill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::means::readings;
use crate::dilation::{Active, Bench, Course, Error, Manner, Reading, Recording, Rules, Stamped, promtool};
use crate::ladder::{Climb, Rung};
use crate::prometheus::Client;
use crate::promql::Why;
use crate::scenario::alert::{Clock, Expected};

/// Scrapes that a calm spell must have to be repeated as history.
pub(crate) const FEWEST: u32 = 4;

/// Samples of one recording with its history, at most.
const MOST: f64 = 5e6;

/// Evaluations after which it is looked whether an alert has cleared.
const STRIDE: u32 = 240;

/// What an alert did in virtual time: up to firing since the effect, after that since the fault was lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lapse {
    /// Whether it was active already when the fault took effect.
    pub early: bool,
    /// When it was pending.
    pub pending: Option<Duration>,
    /// When it fired.
    pub firing: Option<Duration>,
    /// When it no longer did.
    pub cleared: Option<Duration>,
    /// What `promtool test rules` says of that; `None` where it was not looked at so far.
    pub checked: Option<promtool::Said>,
}

/// What virtual time says of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Virtual {
    /// This is what it does, whatever its counted events are taken for.
    Does(Lapse),
    /// Nothing, for this reason.
    Silent(String),
}

/// How far an alert is to be followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// How far back its rules look, through all that is recorded.
    pub reach: Duration,
    /// How long after the fault was lifted it has to clear.
    pub clears: Duration,
}

/// Follows an alert through virtual time.
///
/// # Errors
/// When the Prometheus that evaluates its rules does not answer.
pub async fn follow(
    bench: &mut Bench,
    recording: &Recording,
    (rules, files): (&Rules<'_>, &[PathBuf]),
    expected: &Expected,
    extent: Extent,
) -> Result<Virtual, Error> {
    let mut found: Vec<(Reading, Lapse)> = Vec::new();
    let mut laid = Vec::new();
    for reading in readings(rules) {
        let manner = match manner(recording, rules, extent, reading) {
            Ok(manner) => manner,
            Err(why) => return Ok(Virtual::Silent(why)),
        };
        let Some(stamped) = bench.lay(recording, &manner).await? else {
            return Ok(Virtual::Silent("there is no room for its history".to_owned()));
        };
        found.push((reading, evaluate(bench.client(), &stamped, rules, expected).await?));
        laid.push(stamped);
    }
    let Some((_, first)) = found.first() else {
        return Ok(Virtual::Silent("its events can be read in no way".to_owned()));
    };
    let same = |lapse: &Lapse| {
        (lapse.early, lapse.firing.is_some(), lapse.cleared.is_some())
            == (first.early, first.firing.is_some(), first.cleared.is_some())
    };
    if found.iter().all(|(_, lapse)| same(lapse)) {
        // Of two that agree, the one that is slower to fire says less than is so.
        let slowest = found.iter().zip(&laid).max_by_key(|((_, lapse), _)| lapse.firing);
        let Some(((_, lapse), stamped)) = slowest else { return Ok(Virtual::Silent(String::new())) };
        let mut lapse = lapse.clone();
        let scraped_every = Duration::from_millis(recording.scraped_every).mul_f64(recording.speed);
        let second = Second { rules, files, stamped, expected, scraped_every };
        lapse.checked = Some(second.opinion(&lapse, &bench.folder()).await);
        return Ok(Virtual::Does(lapse));
    }
    let said = |reading: Reading| {
        let lapse = found.iter().find(|(of, _)| *of == reading).map(|(_, lapse)| lapse);
        match lapse {
            Some(Lapse { early: true, .. }) => "is active before the fault",
            Some(Lapse { firing: Some(_), cleared: Some(_), .. }) => "fires and clears",
            Some(Lapse { firing: Some(_), cleared: None, .. }) => "fires and does not clear",
            Some(Lapse { firing: None, .. }) | None => "does not fire",
        }
    };
    Ok(Virtual::Silent(format!(
        "it counts events: if each happened once it {}, and if they are traffic it {}",
        said(Reading::Each),
        said(Reading::Flow)
    )))
}

/// How the recording is to be stamped for these rules.
fn manner(
    recording: &Recording,
    rules: &Rules<'_>,
    extent: Extent,
    reading: Reading,
) -> Result<Manner, String> {
    let rule_time = |wall: i64| Duration::from_millis(wall.max(0).unsigned_abs()).mul_f64(recording.speed);
    let firsts = recording.series.iter().filter_map(|series| series.points.first()).map(|(at, _)| *at);
    let began = firsts.min().unwrap_or(recording.calm);
    let (seen, calm) = (rule_time(recording.calm - began), recording.broken - recording.calm);
    let repeatable = calm >= i64::from(FEWEST) * recording.scraped_every.cast_signed();
    let history = match extent.reach {
        reach if reach <= seen => Duration::ZERO,
        reach if repeatable => reach,
        // So little is there as soon as anything is.
        reach if reach <= rule_time(i64::from(FEWEST) * recording.scraped_every.cast_signed()) => {
            Duration::ZERO
        }
        reach if reach <= rule_time(recording.effect - began) => Duration::ZERO,
        _ => {
            return Err("it looks further back than the stack is old, and no calm spell was recorded to be its history: put a `quiet` step before the fault".to_owned());
        }
    };
    let scrape = rule_time(recording.scraped_every.cast_signed());
    let series = u32::try_from(recording.series.len()).unwrap_or(u32::MAX);
    let apart = scrape.max(history.div_f64(MOST).saturating_mul(series));
    if rules.shortest_range().is_some_and(|range| apart > scrape && apart * 3 > range) {
        return Err(format!(
            "its history would be more than {MOST:.0} samples: {series} series over {}",
            crate::units::Span(history)
        ));
    }
    Ok(Manner {
        reading,
        counters: rules.counters(),
        moments: rules.falsified().contains(&Why::Clock),
        history,
        apart: if apart > scrape { apart } else { Duration::ZERO },
        held: Duration::ZERO,
        onward: extent.clears + 2 * rules.every,
    })
}

/// How a recording can be stamped for these rules: each way in which counted events can be read.
///
/// # Errors
/// Why it cannot.
pub fn manners(recording: &Recording, rules: &Rules<'_>, extent: Extent) -> Result<Vec<Manner>, String> {
    readings(rules).into_iter().map(|reading| manner(recording, rules, extent, reading)).collect()
}

/// What an alert does over a recording that lies on a bench.
///
/// # Errors
/// When the Prometheus that evaluates its rules does not answer.
pub async fn evaluate(
    client: &Client,
    stamped: &Stamped,
    rules: &Rules<'_>,
    expected: &Expected,
) -> Result<Lapse, Error> {
    let mut course = Course::new(rules, stamped);
    course.advance(client, stamped.lifted).await?;
    let stride = (rules.every * STRIDE).as_millis().try_into().unwrap_or(i64::MAX / 4);
    let mut to = stamped.lifted;
    loop {
        let alerts: Vec<_> = course.alerts().into_iter().filter(|alert| is_meant(expected, alert)).collect();
        let still = alerts.iter().any(|alert| alert.fired.is_some() && alert.until.is_none());
        if !still || to >= stamped.ended {
            let since = |at: usize, zero: i64| {
                Duration::from_millis((course.moment(at) - zero).max(0).unsigned_abs())
            };
            let at_effect = |alert: &Active| {
                course.moment(alert.since) < stamped.effect
                    && alert.until.is_none_or(|until| course.moment(until) > stamped.effect)
            };
            let early = alerts.iter().any(at_effect);
            let after = alerts.iter().filter(|alert| course.moment(alert.since) >= stamped.effect);
            let raised = after.filter(|alert| course.moment(alert.since) <= stamped.lifted);
            let raised: Vec<_> = raised.collect();
            let fired = raised.iter().filter(|alert| alert.fired.is_some()).min_by_key(|alert| alert.fired);
            let pending = fired.or_else(|| raised.iter().min_by_key(|alert| alert.since));
            let cleared = raised.iter().filter(|alert| alert.fired.is_some()).map(|alert| alert.until);
            let cleared = cleared.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
            return Ok(Lapse {
                early,
                pending: pending.map(|alert| since(alert.since, stamped.effect)),
                firing: fired.and_then(|alert| alert.fired).map(|at| since(at, stamped.effect)),
                cleared: fired.and(cleared).map(|at| since(at, stamped.lifted)),
                checked: None,
            });
        }
        to = (to + stride).min(stamped.ended);
        course.advance(client, to).await?;
    }
}

/// What `promtool` is asked, of an alert of which virtual time has spoken.
struct Second<'s> {
    rules: &'s Rules<'s>,
    files: &'s [PathBuf],
    stamped: &'s Stamped,
    expected: &'s Expected,
    scraped_every: Duration,
}

/// Moments at which an alert that never fires is looked for.
const LOOKS: i64 = 8;

impl Second<'_> {
    async fn opinion(&self, lapse: &Lapse, folder: &Path) -> promtool::Said {
        let Self { rules, files, stamped, scraped_every, .. } = *self;
        if let Some(why) = self.out_of_reach() {
            return promtool::Said::Nothing(why.to_owned());
        }
        let checks = self.checks(lapse);
        let question = promtool::Question {
            files,
            stamped,
            scraped_every,
            evaluated_every: rules.every,
            checks: &checks,
        };
        promtool::ask(question, folder).await
    }

    /// Why it cannot follow these rules.
    fn out_of_reach(&self) -> Option<&'static str> {
        let Rules { every, query_offset, recording, .. } = self.rules;
        let why = self.rules.falsified();
        if [Why::Clock, Why::Calendar, Why::Moment].iter().any(|one| why.contains(one)) {
            Some("its clock begins in 1970")
        } else if recording.iter().any(|one| one.every != *every) {
            Some("it evaluates rules of every group at the same moments")
        } else if !query_offset.is_zero() || recording.iter().any(|one| !one.query_offset.is_zero()) {
            Some("it looks back from no other moment than that of the evaluation")
        } else {
            None
        }
    }

    /// When the alert has to fire, and when not. Its grid moves a sample by a scrape at most, and an evaluation by
    /// one; in between nothing is asked.
    fn checks(&self, lapse: &Lapse) -> Vec<promtool::Check> {
        let Self { rules, stamped, expected, scraped_every, .. } = *self;
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let labels = expected.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels =
            [("alertname", expected.name.value.as_str()), ("alertstate", "firing")].into_iter().chain(labels);
        let labels: Vec<_> =
            labels.map(|(name, value)| format!("{name}={}", serde_json::Value::from(value))).collect();
        let alert = format!("ALERTS{{{}}}", labels.join(","));
        let check = |at: i64, there: bool| promtool::Check { at, alert: alert.clone(), there };
        let leeway = millis(scraped_every) + 2 * millis(rules.every);
        let Some(fires) = lapse.firing.map(|at| stamped.effect + millis(at)) else {
            let length = stamped.lifted - stamped.effect;
            return (1..=LOOKS).map(|look| check(stamped.effect + length * look / LOOKS, false)).collect();
        };
        let clears = lapse.cleared.map(|at| stamped.lifted + millis(at));
        let mut checks = Vec::new();
        if !lapse.early && fires - leeway > stamped.calm {
            checks.push(check(fires - leeway, false));
        }
        let still = clears.unwrap_or(stamped.ended);
        for at in [fires + leeway, still - leeway] {
            if at >= fires + leeway && at <= still - leeway {
                checks.push(check(at, true));
            }
        }
        checks.extend(clears.filter(|at| at + leeway <= stamped.ended).map(|at| check(at + leeway, false)));
        checks
    }
}

/// Whether an alert is one that was expected. A label that is a template could be anything.
fn is_meant(expected: &Expected, alert: &Active) -> bool {
    let is = |(name, wanted): (&String, &String)| {
        alert.labels.get(name).is_some_and(|value| value == wanted || value.contains("{{"))
    };
    expected.labels.iter().all(is)
}

impl Lapse {
    /// The rungs of a climb, those that virtual time knows of in place of what was seen. What comes after them
    /// comes as much later as it was seen to.
    pub(super) fn onto(&self, seen: &Climb, clock: Clock) -> Climb {
        let mut climb = seen.clone();
        let mut put = |rung: Rung, at: Option<Duration>| {
            climb.fall(rung);
            if let Some(at) = at {
                climb.reach(rung, at);
            }
        };
        let wall = |at: Option<Duration>| at.map(|at| clock.wall_time(at));
        put(Rung::Pending, wall(self.pending));
        let after = |rung: Rung, base: Rung, dilated: Option<Duration>| {
            Some(wall(dilated)? + seen.at(rung)?.saturating_sub(seen.at(base)?))
        };
        for rung in [Rung::Received, Rung::Routed, Rung::Delivered] {
            put(rung, after(rung, Rung::Firing, self.firing));
        }
        put(Rung::Firing, wall(self.firing));
        put(Rung::Resolved, after(Rung::Resolved, Rung::Cleared, self.cleared));
        put(Rung::Cleared, wall(self.cleared));
        climb
    }

    /// The rungs at which this and what was seen are further apart than they may be.
    pub(super) fn disputes(&self, climb: &Climb, clock: Clock, tolerance: Duration) -> Vec<String> {
        let known = BTreeMap::from([
            (Rung::Pending, self.pending),
            (Rung::Firing, self.firing),
            (Rung::Cleared, self.cleared),
        ]);
        let said = |at: Option<Duration>| {
            at.map_or("never".to_owned(), |at| {
                crate::units::Span(Duration::from_secs((at + Duration::from_millis(500)).as_secs()))
                    .to_string()
            })
        };
        let disputed = known.into_iter().filter_map(|(rung, dilated)| {
            let scaled = climb.at(rung).map(|at| clock.rule_time(at));
            let agree = match (scaled, dilated) {
                (None, None) => true,
                (Some(one), Some(other)) => one.abs_diff(other) <= tolerance,
                (Some(_), None) | (None, Some(_)) => false,
            };
            (!agree).then(|| format!("{rung}: scaled {}, dilated {}", said(scaled), said(dilated)))
        });
        disputed.collect()
    }
}
