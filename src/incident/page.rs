//! What people are sent of alerts, by Alertmanager's routing: grouping, waits, repetitions and inhibition. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::episode::Episode;
use crate::exposition::Labels;
use crate::route::{Config, Timing};

/// A message that says something fires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Who is sent it.
    pub receiver: String,
    /// The labels that its group goes by.
    pub group: Labels,
    /// How many alerts it is about.
    pub alerts: usize,
}

/// A group on its way.
struct Group<'e> {
    timing: Timing,
    members: Vec<&'e Episode>,
}

/// Every message of these alerts up to a moment. Times at which a route is mute are not known here: each counts as
/// one at which people are told.
#[must_use]
pub fn pages(episodes: &[Episode], routing: &Config, to: i64) -> Vec<Page> {
    let mut groups: BTreeMap<(u32, String, Labels), Group<'_>> = BTreeMap::new();
    for episode in episodes.iter().filter(|episode| episode.fired.is_some()) {
        for route in routing.routes_of(&episode.labels) {
            let key = (route.place.start, route.receiver.value.clone(), route.group_of(&episode.labels));
            let new = || Group { timing: route.timing, members: Vec::new() };
            groups.entry(key).or_insert_with(new).members.push(episode);
        }
    }
    let mut all = Vec::new();
    for ((_, receiver, group), one) in groups {
        let firing = |at: i64| firing(&one.members, episodes, routing, at);
        for (at, alerts) in one.told(to, &firing) {
            all.push(Page { at, receiver: receiver.clone(), group: group.clone(), alerts });
        }
    }
    all.sort();
    all
}

/// The members that fire at a moment and are not inhibited.
fn firing<'e>(members: &[&'e Episode], all: &[Episode], routing: &Config, at: i64) -> Vec<&'e Episode> {
    let others: Vec<Labels> =
        all.iter().filter(|one| one.fires_at(at)).map(|one| one.labels.clone()).collect();
    let told = |one: &&&Episode| one.fires_at(at) && routing.inhibited(&one.labels, &others).is_none();
    members.iter().filter(told).copied().collect()
}

impl Group<'_> {
    /// When it is told of, and of how many alerts.
    fn told<'e>(&self, to: i64, firing: &dyn Fn(i64) -> Vec<&'e Episode>) -> Vec<(i64, usize)> {
        let interval = millis(self.timing.group_interval).max(1_000);
        let begins =
            |after: i64| self.members.iter().filter_map(|one| one.fired).filter(|at| *at >= after).min();
        let mut told = Vec::new();
        let mut at = begins(i64::MIN).map(|first| first + millis(self.timing.group_wait));
        // What was told of last, and when; nothing while the group is empty.
        let mut last: Option<(i64, Vec<&Labels>)> = None;
        while let Some(now) = at.filter(|now| *now <= to) {
            let here = firing(now);
            let names: Vec<&Labels> = here.iter().map(|one| &one.labels).collect();
            if names.is_empty() {
                // An empty group is forgotten, and the next alert begins a new one.
                last = None;
                at = begins(now).map(|next| (next + millis(self.timing.group_wait)).max(now + 1));
                continue;
            }
            let due = last.as_ref().is_none_or(|(when, before)| {
                now - when >= millis(self.timing.repeat_interval)
                    || names.iter().any(|one| !before.contains(one))
            });
            if due {
                told.push((now, names.len()));
                last = Some((now, names));
            }
            at = Some(now + interval);
        }
        told
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Findings;
    use crate::route::{self, matcher::Dialect};
    use crate::source::Sources;

    const ROUTING: &str = "
route:
  receiver: team
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 1h
  routes: [{ matchers: ['severity=\"critical\"'], receiver: pager, continue: true }, { receiver: team }]
inhibit_rules: [{ source_matchers: ['alertname=\"Down\"'], target_matchers: ['alertname=\"Slow\"'] }]
receivers: [{ name: team }, { name: pager }]
";

    fn alert(name: &str, instance: &str, severity: &str, fired: i64, ended: Option<i64>) -> Episode {
        let pairs = [("alertname", name), ("instance", instance), ("severity", severity)];
        let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Episode {
            labels,
            pending: fired,
            fired: Some(fired * 1000),
            ended: ended.map(|at| at * 1000),
            partly: false,
        }
    }

    /// When, in seconds, to whom, and of how many.
    fn told(episodes: &[Episode], to: i64) -> Vec<String> {
        let mut sources = Sources::default();
        let id = sources.add("alertmanager.yml", ROUTING);
        let document = crate::yaml::parse(id, ROUTING).unwrap().remove(0);
        let config = route::check(&document, &sources, Dialect::default(), &mut Findings::default()).unwrap();
        let said = |page: Page| format!("{} {} {}", page.at / 1000, page.receiver, page.alerts);
        pages(episodes, &config, to * 1000).into_iter().map(said).collect()
    }

    #[test]
    fn one_alert_is_told_once_to_each() {
        let all = told(&[alert("Down", "a", "critical", 100, Some(900))], 4000);
        assert_eq!(all, ["130 pager 1", "130 team 1"]);
    }

    #[test]
    fn a_second_of_its_group_waits_for_the_interval_and_what_lasts_is_repeated() {
        let all = [alert("Down", "a", "high", 0, None), alert("Down", "b", "high", 60, None)];
        assert_eq!(told(&all, 3990), ["30 team 1", "330 team 2", "3930 team 2"]);
    }

    #[test]
    fn what_is_inhibited_is_not_told() {
        let all = [alert("Down", "a", "high", 0, Some(600)), alert("Slow", "a", "high", 0, Some(600))];
        assert_eq!(told(&all, 500), ["30 team 1"]);
    }

    #[test]
    fn what_comes_back_is_told_anew() {
        let all = [alert("Down", "a", "high", 0, Some(100)), alert("Down", "a", "high", 2000, Some(2100))];
        assert_eq!(told(&all, 4000), ["30 team 1", "2030 team 1"]);
    }
}
