//! Records an incident from a Prometheus: the series that its rules look at, the rules, the routing, the alerts.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alias::{Aliases, Hidden};
use super::episode::episodes;
use super::fetch::Fetching;
use super::folder::{Manifest, Written, vacant};
use super::sent::SENT;
use super::unfinished::Unfinished;
use super::{Error, rules};
use crate::dilation::{Recorded, Rules};
use crate::prometheus::answer::Data;
use crate::prometheus::{Client, Group};
use crate::rule;
use crate::source::Sources;

/// What Prometheus records of its alerts.
pub(super) const ALERTS: &str = "ALERTS";

/// Where a query looks for the last sample, which comes before everything else that a rule looks back.
const LOOKBACK: Duration = Duration::from_secs(300);

/// Every target, by whose scrapes is known when a series ended.
pub(super) const TARGETS: &str = "up";

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it is to be called.
    pub name: String,
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub to: Timestamp,
    /// Only alerts whose rules name this, in their expression or labels.
    pub service: Option<String>,
    /// Files of SLOs that are kept with it, by their names.
    pub slos: Vec<(String, String)>,
    /// What these ask of the Prometheus, as selectors.
    pub needed_by_slos: BTreeSet<String>,
    /// Samples that are recorded at most.
    pub most_samples: u64,
    /// Values of labels that are not written down.
    pub hidden: Hidden,
}

/// How far a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is fetched yet.
    Announced {
        /// About so many samples will be.
        samples: u64,
        /// Of so many selectors.
        selectors: usize,
    },
    /// A record that was cut off goes on.
    Resumed {
        /// Parts that are there.
        done: u64,
        /// Parts in all.
        of: u64,
    },
    /// A part is fetched.
    Fetching {
        /// Parts that are there.
        done: u64,
        /// Parts in all.
        of: u64,
        /// Samples that were fetched.
        samples: u64,
    },
}

/// Records an incident into a folder, and says how far it is meanwhile. Where the folder holds a part of the same record,
/// it goes on with that.
///
/// # Errors
/// When Prometheus does not answer, when it would be more than is allowed, when nothing is there to record, and when
/// what is to be hidden cannot be.
pub async fn record(
    client: &Client,
    alertmanager: Option<&Client>,
    asked: &Asked,
    folder: &Path,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Manifest, Error> {
    if asked.from >= asked.to {
        let why = "an incident ends after it has begun: `--from` lies before `--to`";
        return Err(Error::Nothing(why.to_owned()));
    }
    vacant(folder)?;
    let unfinished = Unfinished::of(folder)?;
    let mut aliases = Aliases::new(asked.hidden.clone(), unfinished.salt());
    let groups = about(client.rules().await?.data.groups, asked.service.as_deref());
    let house = House::of(client, alertmanager, asked, &groups, &mut aliases).await?;
    let evaluated_every = shortest(&groups);
    let (mut selectors, back) = needed(&rules::files(&groups), evaluated_every);
    if selectors.is_empty() {
        return Err(nothing(asked.service.as_deref()));
    }
    selectors.extend(asked.needed_by_slos.iter().cloned());
    selectors.extend([ALERTS, TARGETS, SENT].map(str::to_owned));
    let begin = asked.from - SignedDuration::try_from(back).unwrap_or_default();
    let scraped_every = scraped_every(client, asked.to).await?;
    let fetching = Fetching { client, unfinished: &unfinished, aliases: &aliases, selectors: &selectors };
    let question = fetching.question(asked, begin, scraped_every, &groups, tell).await?;
    fetching.fetch(&question, asked.most_samples, tell).await?;
    let mut notes = aliases.said();
    let series = fetching.series(&question, &mut notes)?;
    missing(&series, asked, scraped_every, &mut notes);
    let (from, to) = (asked.from.as_millisecond(), asked.to.as_millisecond());
    let every = i64::try_from(evaluated_every.as_millis()).unwrap_or(i64::MAX);
    let mut alerts = episodes(&series, every, to);
    alerts.retain(|episode| episode.ended.is_none_or(|ended| ended > from));
    let kept: Vec<Recorded> = series.into_iter().filter(|one| name(one) != ALERTS).collect();
    let manifest = Manifest {
        incident: asked.name.clone(),
        version: 1,
        prometheus: client.address().to_owned(),
        from,
        to,
        back: i64::try_from(back.as_millis()).unwrap_or(i64::MAX),
        scraped_every: u64::try_from(scraped_every.as_millis()).unwrap_or(u64::MAX),
        evaluated_every: every.unsigned_abs(),
        notes,
        drill: None,
    };
    let House { rules, routing, slos } = &house;
    let written = Written {
        manifest: &manifest,
        series: &kept,
        alerts: &alerts,
        rules,
        routing: routing.as_deref(),
        slos,
    };
    written.write(folder)?;
    unfinished.remove()?;
    Ok(manifest)
}

/// The files that are kept with the series, as they are written down.
struct House {
    rules: Vec<(String, String)>,
    routing: Option<String>,
    slos: Vec<(String, String)>,
}

impl House {
    async fn of(
        client: &Client,
        alertmanager: Option<&Client>,
        asked: &Asked,
        groups: &[Group],
        aliases: &mut Aliases,
    ) -> Result<Self, Error> {
        let hashed: Vec<String> = aliases.hashed().map(str::to_owned).collect();
        for label in &hashed {
            let values = client.label_values(label).await?.data;
            for value in &values {
                aliases.learn(label, value);
            }
        }
        let rules = rules::files(&aliases.groups(groups).map_err(Error::Refused)?);
        let routing = match alertmanager {
            Some(client) => Some(aliases.routing(&configuration(client).await?).map_err(Error::Refused)?),
            None => None,
        };
        let named = asked.slos.iter().map(|(name, text)| Ok((name.clone(), aliases.slos(name, text)?)));
        let slos = named.collect::<Result<_, String>>().map_err(Error::Refused)?;
        Ok(Self { rules, routing, slos })
    }
}

fn nothing(service: Option<&str>) -> Error {
    Error::Nothing(match service {
        Some(service) => {
            format!("no alert's rule names `{service}`: neither in its expression nor in a label")
        }
        None => "this Prometheus has no rules that alert".to_owned(),
    })
}

fn name(series: &Recorded) -> &str {
    series.labels.get("__name__").map_or("", String::as_str)
}

/// The groups with only those alerts that name a service; rules that record are kept.
fn about(groups: Vec<Group>, service: Option<&str>) -> Vec<Group> {
    let Some(service) = service else { return groups };
    let named = |rule: &crate::prometheus::Rule| {
        rule.state.is_none()
            || rule.query.contains(service)
            || rule.labels.values().any(|value| value == service)
    };
    let alone = |mut group: Group| {
        group.rules.retain(named);
        (!group.rules.is_empty()).then_some(group)
    };
    groups.into_iter().filter_map(alone).collect()
}

/// How often the most frequent of these groups is evaluated.
fn shortest(groups: &[Group]) -> Duration {
    let intervals = groups.iter().filter_map(|group| Duration::try_from_secs_f64(group.interval).ok());
    intervals.filter(|interval| !interval.is_zero()).min().unwrap_or(Duration::from_secs(60))
}

/// What the rules select of what is scraped, and how far back they look.
fn needed(loaded: &[(String, String)], every: Duration) -> (BTreeSet<String>, Duration) {
    let mut sources = Sources::default();
    let mut findings = crate::finding::Findings::default();
    let mut files = Vec::new();
    for (name, text) in loaded {
        let id = sources.add(name, text);
        if let Some(documents) = findings.take_all(crate::yaml::parse(id, text)) {
            files.push(rule::check(&documents, &sources, &mut findings));
        }
    }
    let recorded = rule::Recorded::of(&files, every);
    let (mut selectors, mut back) = (BTreeSet::new(), Duration::ZERO);
    for (group, rule, alert) in files.iter().flat_map(rule::RuleFile::alerts) {
        let holds = alert.holds.as_ref().map_or(Duration::ZERO, |at| at.value);
        back = back.max(recorded.reach(rule).oldest + holds + group.query_offset);
        selectors.extend(Rules::of(&files, (group, rule, alert), every).selectors());
    }
    (selectors, back + LOOKBACK + every)
}

/// Alertmanager's configuration as it has loaded it, its secrets masked by itself.
async fn configuration(client: &Client) -> Result<String, Error> {
    let page = client.page("api/v2/status").await?;
    let status: serde_json::Value = serde_json::from_slice(&page).unwrap_or_default();
    let text = status["config"]["original"].as_str();
    text.map(str::to_owned).ok_or_else(|| {
        Error::Nothing(format!(
            "`{}` answers, and is no Alertmanager: its status has no configuration",
            client.address()
        ))
    })
}

/// How often targets are scraped: the usual time between two samples of the same one.
async fn scraped_every(client: &Client, at: Timestamp) -> Result<Duration, Error> {
    let mut gaps: Vec<i64> = Vec::new();
    if let Data::Matrix(matrix) = client.instant("up[10m]", Some(at)).await?.data {
        for series in matrix {
            let points = series.points.windows(2);
            gaps.extend(points.map(|pair| pair[1].at.as_millisecond() - pair[0].at.as_millisecond()));
        }
    }
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0);
    // To whole seconds, as configurations say it; a target that answers late is not scraped more rarely.
    let seconds = usual.map(|gap| u64::try_from((gap + 500) / 1000).unwrap_or(1).max(1));
    Ok(seconds.map_or(Duration::from_secs(60), Duration::from_secs))
}

/// What the Prometheus no longer had, or had not yet.
fn missing(series: &[Recorded], asked: &Asked, every: Duration, notes: &mut Vec<String>) {
    let ups = || series.iter().filter(|one| name(one) == "up").flat_map(|one| &one.points).map(|(at, _)| *at);
    let tolerated = 3 * i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 4);
    let (from, to) = (asked.from.as_millisecond(), asked.to.as_millisecond());
    match (ups().min(), ups().max()) {
        (Some(first), Some(last)) => {
            if first > from + tolerated {
                notes.push(format!("nothing is known before {}", super::timeline::moment(first)));
            }
            if last < to - tolerated {
                notes.push(format!("nothing is known after {}", super::timeline::moment(last)));
            }
        }
        (_, _) => notes.push("no target was scraped in this time".to_owned()),
    }
}
