//! Whether the Prometheus of a stack keeps up with its own intervals, which the drill's speed has divided.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Running;
use crate::exposition::{self, Dialect, Family};
use crate::prometheus::{Access, Client, Error, Group};
use crate::scenario::stack::{HTTP, PROMETHEUS};
use crate::units::Span;

/// For how long it is watched.
const SPELL: Duration = Duration::from_secs(1);

/// What is evaluated no more often than this needs no watching.
const LEISURE: Duration = Duration::from_millis(200);

/// How often it is looked meanwhile.
const GLANCE: Duration = Duration::from_millis(50);

/// How many evaluations may be missed of a hundred: machines do other things too.
const FEW: f64 = 20.0;

/// How much longer than it should be the time between two scrapes may be, in the middle of them.
const LATE: f64 = 1.5;

/// A Prometheus does not keep up.
#[derive(Debug, Clone, PartialEq)]
pub struct Strain {
    /// Why, in a sentence.
    pub why: String,
    /// So many times too slow it is, as far as that shows; at least 1.
    pub times: f64,
}

impl Running {
    /// Why its Prometheus does not keep up, if it does not. One that does not answer is found out by those who ask
    /// more of it.
    pub async fn strain(&self) -> Option<Strain> {
        let address = self.address(PROMETHEUS, HTTP)?;
        let client = Client::new(&Access::to(format!("http://{address}"))).ok()?;
        strained(&client).await.ok().flatten()
    }
}

async fn strained(client: &Client) -> Result<Option<Strain>, Error> {
    let groups = client.rules().await?.data.groups;
    let late: Vec<_> = groups.iter().filter(|group| is_late(group)).cloned().collect();
    if late.is_empty() && groups.iter().all(|group| seconds(group.interval) >= LEISURE) {
        return Ok(None);
    }
    let before = Tally::of(client).await?;
    let began = Instant::now();
    while began.elapsed() < SPELL {
        if let Some(why) = out_of_time(client).await? {
            return Ok(Some(Strain { why, times: 1.0 }));
        }
        sleep(GLANCE).await;
    }
    let after = Tally::of(client).await?;
    let groups = client.rules().await?.data.groups;
    // Once may be chance.
    let again = |group: &&Group| {
        let same = |other: &Group| other.file == group.file && other.name == group.name;
        is_late(group) && late.iter().any(same)
    };
    Ok(groups.iter().find(again).map(told_of).or_else(|| after.since(&before)))
}

/// A target that does not answer in the time that is left to it.
async fn out_of_time(client: &Client) -> Result<Option<String>, Error> {
    let targets = client.targets().await?.data.active_targets;
    Ok(targets.iter().find(|target| target.is_hurried()).map(|target| {
        format!("a scrape of {} takes longer than its {}", target.scrape_url, target.scrape_timeout)
    }))
}

fn is_late(group: &Group) -> bool {
    group.interval > 0.0 && group.evaluation_time > group.interval
}

fn told_of(group: &Group) -> Strain {
    let rounded = |time: f64| Span(Duration::from_millis(seconds(time).as_millis().try_into().unwrap_or(0)));
    let (takes, every) = (rounded(group.evaluation_time), rounded(group.interval));
    let why = format!("the rules of group `{}` take {takes} of their {every}", group.name);
    Strain { why, times: group.evaluation_time / group.interval }
}

fn seconds(time: f64) -> Duration {
    Duration::try_from_secs_f64(time).unwrap_or_default()
}

/// What it counts of itself.
struct Tally {
    evaluated: f64,
    missed: f64,
    /// The interval of scrapes that is furthest behind: as it should be, and as it is.
    scrapes: Option<(String, f64)>,
}

impl Tally {
    async fn of(client: &Client) -> Result<Self, Error> {
        let page = client.page("metrics").await?;
        // What cannot be read says nothing.
        let families = exposition::parse(&String::from_utf8_lossy(&page), Dialect::Text).unwrap_or_default();
        let sum = |name: &str| samples(&families, name).map(|(_, value)| value).sum();
        let middle =
            samples(&families, "prometheus_target_interval_length_seconds").filter_map(|(labels, value)| {
                let interval = labels.get("interval")?;
                let should = interval.parse::<Span>().ok()?.0.as_secs_f64();
                (labels.get("quantile")? == "0.5" && should > 0.0).then(|| (interval.clone(), value / should))
            });
        Ok(Self {
            evaluated: sum("prometheus_rule_group_iterations_total"),
            missed: sum("prometheus_rule_group_iterations_missed_total"),
            scrapes: middle.max_by(|(_, one), (_, other)| one.total_cmp(other)),
        })
    }

    /// Why it has not kept up since then.
    fn since(&self, before: &Self) -> Option<Strain> {
        let (evaluated, missed) = (self.evaluated - before.evaluated, self.missed - before.missed);
        let all = evaluated.max(missed);
        if all > 0.0 && missed * 100.0 / all > FEW {
            let why = format!("{missed} of {all} evaluations were missed within {}", Span(SPELL));
            return Some(Strain { why, times: 1.0 });
        }
        let (interval, times) = self.scrapes.as_ref().filter(|(_, times)| *times > LATE)?;
        let why = format!("targets are scraped {times:.1} times as seldom as each {interval}");
        Some(Strain { why, times: *times })
    }
}

fn samples<'f>(families: &'f [Family], name: &str) -> impl Iterator<Item = (&'f exposition::Labels, f64)> {
    let found = exposition::find(families, name).into_iter().flat_map(|family| &family.samples);
    found.map(|sample| (&sample.labels, sample.value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::well((40.0, 0.0), 1.0, None)]
    #[case::a_hiccup((40.0, 2.0), 1.2, None)]
    #[case::missed((40.0, 12.0), 1.0, Some("12 of 40 evaluations were missed within 1s"))]
    #[case::seldom((40.0, 0.0), 2.5, Some("targets are scraped 2.5 times as seldom as each 25ms"))]
    #[case::nothing((0.0, 0.0), 0.0, None)]
    fn what_is_missed_is_told(
        #[case] (evaluated, missed): (f64, f64),
        #[case] times: f64,
        #[case] told: Option<&str>,
    ) {
        let before = Tally { evaluated: 100.0, missed: 1.0, scrapes: None };
        let scrapes = Some(("25ms".to_owned(), times));
        let after = Tally { evaluated: 100.0 + evaluated, missed: 1.0 + missed, scrapes };
        assert_eq!(after.since(&before).map(|strain| strain.why).as_deref(), told);
    }
}
