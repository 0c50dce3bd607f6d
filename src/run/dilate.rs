//! Alerts in virtual time, once a drill is over: what was scraped is taken from the stack's Prometheus and put through
//! the rules as they are written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::drill::Ground;
use super::walk::Walker;
use crate::dilation::{Bench, House, Kept, Recorded, Recording, Rules, keep, record};
use crate::drill::{Drill, Virtual, follow};
use crate::event::{Event, StepId};
use crate::rule::RuleFile;
use crate::scenario::alert::Expected;
use crate::sink::{Ends, readdress};
use crate::yaml::{self, Kind};

/// What Prometheus records of its alerts.
const ALERTS: &str = "ALERTS";

/// How far back a query looks for a sample beyond what it says.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// The longest of what is kept of before the calm spell, in rule time, for rules that nobody expects to fire.
const BEFORE: Duration = Duration::from_secs(6 * 3600);

impl Walker {
    /// Takes what was scraped during a drill, keeps it, and asks virtual time about every alert that it has a say in.
    pub(super) async fn look_back(
        &self,
        ground: &Ground,
        id: &StepId,
        drill: &mut Drill,
    ) -> Result<(), String> {
        let wanted: Vec<_> = drill
            .dilated()
            .map(|(number, expected, known)| (number, expected.clone(), known.extent))
            .collect();
        let rules: Vec<_> = wanted.iter().map(|(_, expected, _)| ground.rules_of(expected)).collect();
        let mut selectors: BTreeSet<_> = rules.iter().flatten().flat_map(Rules::selectors).collect();
        if !ground.recordings.is_empty() {
            selectors.extend(ground.all_rules().flat_map(|rules| rules.selectors()));
        } else if wanted.is_empty() {
            return Ok(());
        }
        let before =
            wanted.iter().map(|(.., extent)| extent.reach + LOOKBACK).max().unwrap_or_default().max(BEFORE);
        let recording = drill.recording(&selectors, before).await;
        let recording = recording.map_err(|error| error.to_string())?;
        if !ground.recordings.is_empty() {
            self.keep_recording(ground, id, &recording).await;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let started = Bench::start(&ground.run, ground.supervisor.clone(), ground.now()).await;
        let mut bench = match started {
            Ok(bench) => bench,
            Err(error) => {
                let why = format!("virtual time needs a Prometheus of its own: {error}");
                for (number, ..) in &wanted {
                    drill.lapse(*number, Virtual::Silent(why.clone()));
                }
                return Ok(());
            }
        };
        for ((number, expected, extent), rules) in wanted.iter().zip(&rules) {
            let said = match rules {
                None => Virtual::Silent("no rule has its name".to_owned()),
                Some(rules) => {
                    let followed = follow(&mut bench, &recording, (rules, &ground.files), expected, *extent);
                    let followed = self.stop.run_until_cancelled(followed).await;
                    followed
                        .unwrap_or_else(|| Ok(Virtual::Silent("the run was stopped".to_owned())))
                        .unwrap_or_else(|error| Virtual::Silent(error.to_string()))
                }
            };
            drill.lapse(*number, said);
        }
        bench.end().await;
        Ok(())
    }

    /// Keeps a recording with the saved run; that it cannot be kept is no fault of the drill's.
    async fn keep_recording(&self, ground: &Ground, id: &StepId, recording: &Recording) {
        let note = |note: String| {
            self.sender.send(Event::StackNoted { scenario: self.scenario.clone(), note });
        };
        let alerts = match ground.alerts(recording).await {
            Ok(alerts) => alerts,
            Err(error) => {
                note(format!("which alerts `{}` raised is not kept: {error}", id.name));
                Vec::new()
            }
        };
        let kept = Kept {
            run: ground.run.clone(),
            scenario: id.scenario.clone(),
            step: id.name.clone(),
            recording: recording.clone(),
            alerts,
            house: Some(self.house(ground)),
        };
        for path in &ground.recordings {
            match keep(path, &kept) {
                Ok(true) => {}
                Ok(false) => {
                    let samples = recording.samples();
                    return note(format!("what `{}` recorded is not kept: {samples} samples", id.name));
                }
                Err(error) => {
                    note(format!("what `{}` recorded is not kept: `{}`: {error}", id.name, path.display()));
                }
            }
        }
    }

    /// The rules and the routing of a drill, as their files have them.
    fn house(&self, ground: &Ground) -> House {
        let groups = ground.rules.iter().filter_map(|file| file.groups.first());
        let files: Vec<_> = groups.map(|group| self.sources.file(group.name.place.file)).collect();
        let named = |(number, file): (usize, &&crate::source::File)| {
            let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
            (format!("{number:03}-{stem}.yml"), file.text.clone())
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        House {
            rules: files.iter().enumerate().map(named).collect(),
            routing: self.routing_kept(ground),
            evaluated_every: millis(ground.pace.evaluation_interval),
            scraped_every: millis(ground.pace.scrape_interval),
        }
    }

    /// Alertmanager's configuration with its routes as they are, and with receivers that lead nowhere: addresses of
    /// receivers are secrets, and what is kept is handed on.
    fn routing_kept(&self, ground: &Ground) -> Option<String> {
        let id = ground.routing()?.root.place.file;
        let text = &self.sources.file(id).text;
        let node = yaml::parse(id, text).ok()?.into_iter().next()?;
        let mut tree = yaml::as_elder(node, text);
        let nowhere = Ends { http: "sink.invalid:80".to_owned(), smtp: "sink.invalid:25".to_owned() };
        // What is wrong with it was said before the stack was started.
        let _ = readdress(&mut tree, &nowhere, &|_| true, self.scope.mask());
        tree.take("templates");
        tree.set("templates", Kind::List(Vec::new()));
        Some(yaml::print(&tree))
    }
}

impl Ground {
    /// What the stack's Prometheus recorded of its alerts while this was recorded.
    async fn alerts(&self, recording: &Recording) -> Result<Vec<Recorded>, String> {
        let moment = |at: i64| jiff::Timestamp::from_millisecond(at).map_err(|error| error.to_string());
        let (from, to) = (moment(recording.calm)?, moment(recording.ended)?);
        let selectors = BTreeSet::from([ALERTS.to_owned()]);
        let series = record(self.prometheus(), &selectors, from, to).await;
        let mut series = series.map_err(|error| error.to_string())?;
        series.retain(|one| one.labels.get("__name__").is_some_and(|name| name == ALERTS));
        Ok(series)
    }

    /// The rules that an expected alert is raised by.
    pub(super) fn rules_of(&self, expected: &Expected) -> Option<Rules<'_>> {
        Some(Rules::of(&self.rules, self.named(expected)?, self.pace.evaluation_interval))
    }

    /// Every alerting rule with those it needs.
    fn all_rules(&self) -> impl Iterator<Item = Rules<'_>> {
        let alerts = self.rules.iter().flat_map(RuleFile::alerts);
        alerts.map(|alert| Rules::of(&self.rules, alert, self.pace.evaluation_interval))
    }
}
