//! By what an alert can be proven: which rules mean the same at a drill's speed, and which only in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dilation::{Reading, Rules};
use crate::promql::{PromDuration, Why};
use crate::scenario::alert::Proof as Wanted;

/// By what an alert is to be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// By its rule with every duration divided.
    Scaled,
    /// By its rule as it is written, in virtual time.
    Dilated,
    /// Both ways.
    Both,
    /// By nothing that a drill can do, for this reason.
    Nothing(String),
}

/// What decides about an alert's means.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// What the clock of the scenario says.
    pub wanted: Option<Wanted>,
    /// How far back its rules look, in rule time.
    pub reach: Duration,
    /// For how long Prometheus has scraped, in rule time.
    pub watched: Duration,
    /// Whether the calm before the fault is long enough to be repeated as history.
    pub repeatable: bool,
}

impl Means {
    /// By what the alert of these rules is to be proven, and what to say of that.
    #[must_use]
    pub fn of(rules: &Rules<'_>, about: Circumstances) -> (Self, Vec<String>) {
        let falsified = rules.falsified();
        if falsified.contains(&Why::Moment) {
            let why = "it looks at a moment that is written down, which no drill goes through";
            return (Self::Nothing(why.to_owned()), Vec::new());
        }
        // A window that is half full gives half the story, and one that is hardly full another one.
        let young = about.reach > 2 * about.watched;
        let (means, why) = match about.wanted {
            Some(Wanted::Scaled) => return (Self::Scaled, cautions(&falsified)),
            Some(Wanted::Both) => (Self::Both, None),
            Some(Wanted::Dilated) => (Self::Dilated, None),
            None => match falsified.iter().find(|why| !is_right_when_scaled(**why)) {
                Some(why) => (Self::Dilated, Some(format!("its rule {why}"))),
                None if young && about.repeatable => {
                    let why = format!(
                        "with the calm before as its history: it looks back {}, and the stack is {} old",
                        said(about.reach),
                        said(about.watched)
                    );
                    (Self::Dilated, Some(why))
                }
                None => (Self::Scaled, None),
            },
        };
        let mut notes: Vec<_> = why.into_iter().collect();
        if means == Self::Scaled {
            notes.extend(cautions(&falsified));
            if young {
                let (reach, watched) = (said(about.reach), said(about.watched));
                notes.push(format!(
                    "it looks back {reach}, and the stack is {watched} old: a younger Prometheus may fire sooner; a `quiet` step before the fault would be its history"
                ));
            }
        } else if rules.looks_at_alerts() {
            let why = "it looks at other alerts, which virtual time does not have".to_owned();
            return if about.wanted.is_some() {
                (Self::Nothing(why), notes)
            } else {
                (Self::Scaled, vec![why])
            };
        }
        (means, notes)
    }

    /// Whether virtual time has a say.
    #[must_use]
    pub fn dilates(&self) -> bool {
        match self {
            Self::Dilated | Self::Both => true,
            Self::Scaled | Self::Nothing(_) => false,
        }
    }
}

/// As what counted events are to be read: where it is not known, as each.
#[must_use]
pub(super) fn readings(rules: &Rules<'_>) -> Vec<Reading> {
    let falsified = rules.falsified();
    let counters = !rules.counters().is_empty();
    match (falsified.contains(&Why::Count), falsified.contains(&Why::PerSecond)) {
        (true, _) if counters => vec![Reading::Each, Reading::Flow],
        (false, true) => vec![Reading::Flow],
        (true | false, _) => vec![Reading::Each],
    }
}

/// Events per second are as many at any speed, as long as the drill's traffic is that of production.
fn is_right_when_scaled(why: Why) -> bool {
    match why {
        Why::PerSecond => true,
        Why::Count | Why::Clock | Why::Calendar | Why::Moment | Why::Prediction | Why::Slope => false,
    }
}

/// What scaling does to a rule that is scaled all the same.
fn cautions(falsified: &BTreeSet<Why>) -> Vec<String> {
    let caution = |why: &Why| match why {
        Why::PerSecond => {
            "it counts events per second: proven for traffic that is as fast as the drill's".to_owned()
        }
        Why::Count | Why::Clock | Why::Calendar | Why::Moment | Why::Prediction | Why::Slope => {
            format!("scaled although its rule {why}")
        }
    };
    falsified.iter().map(caution).collect()
}

fn said(time: Duration) -> String {
    PromDuration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::finding::Findings;
    use crate::source::Sources;

    fn means(expr: &str, wanted: Option<Wanted>, watched: u64, repeatable: bool) -> (Means, Vec<Reading>) {
        let text = format!("groups: [{{ name: g, rules: [{{ alert: A, expr: '{expr}' }}] }}]");
        let mut sources = Sources::default();
        let id = sources.add("rules.yml", text.as_str());
        let mut findings = Findings::default();
        let files = [crate::rule::check(&crate::yaml::parse(id, &text).unwrap(), &sources, &mut findings)];
        let alert = files[0].alerts().next().unwrap();
        let rules = Rules::of(&files, alert, Duration::from_secs(15));
        let reach = crate::promql::reach(&alert.1.query.expr, &|_| None).oldest;
        let watched = Duration::from_secs(watched);
        (Means::of(&rules, Circumstances { wanted, reach, watched, repeatable }).0, readings(&rules))
    }

    #[rstest]
    #[case::gauge("up == 0", None, Means::Scaled, &[Reading::Each])]
    #[case::ratio("rate(a[5m]) / rate(b[5m]) > 0.1", None, Means::Scaled, &[Reading::Each])]
    #[case::traffic("rate(a[5m]) > 100", None, Means::Scaled, &[Reading::Flow])]
    #[case::count("increase(a[5m]) > 5", None, Means::Dilated, &[Reading::Each, Reading::Flow])]
    #[case::restarts("changes(a[5m]) > 5", None, Means::Dilated, &[Reading::Each])]
    #[case::clock("time() - a > 300", None, Means::Dilated, &[Reading::Each])]
    #[case::slope("predict_linear(a[5m], 3600) < 0", None, Means::Dilated, &[Reading::Each])]
    #[case::asked("up == 0", Some(Wanted::Both), Means::Both, &[Reading::Each])]
    #[case::told("time() - a > 300", Some(Wanted::Scaled), Means::Scaled, &[Reading::Each])]
    fn each_rule_is_proven_by_what_is_right_for_it(
        #[case] expr: &str,
        #[case] wanted: Option<Wanted>,
        #[case] by: Means,
        #[case] readings: &[Reading],
    ) {
        assert_eq!(means(expr, wanted, 600, true), (by, readings.to_vec()));
    }

    #[test]
    fn what_looks_further_back_than_the_stack_is_old_needs_a_history() {
        assert_eq!(means("avg_over_time(x[30d]) > 5", None, 600, true).0, Means::Dilated);
        assert_eq!(means("avg_over_time(x[30d]) > 5", None, 600, false).0, Means::Scaled);
    }

    #[test]
    fn a_moment_that_is_written_down_is_proven_by_nothing() {
        let (means, _) = means("x @ 1700000000 > 5", None, 600, true);
        assert!(matches!(means, Means::Nothing(_)));
    }
}
