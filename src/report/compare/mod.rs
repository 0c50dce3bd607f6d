//! Two runs of the same thing side by side: what became worse, what did not, and what cannot be said.

use std::time::Duration;

use crate::event::{Conclusion, Drilled, Nanos, Outcome, Quantiles, Tally};
use crate::gate::Verdict;
use crate::ladder::Rung;
use crate::report::drill::said;
use crate::report::record::{Run, Scenario, Slo, Step, time};
use crate::report::style::Style;
use crate::report::text::thousands;
use crate::sli::{Counts, Folded};
use crate::statistics::{Compared, Confidence, Frequency, Margin, Quantile, Slowness, frequency, slowness};
use crate::units::Ratio;

mod text;

/// What a comparison of two runs came to.
#[derive(Debug)]
pub struct Comparison {
    /// The run that is looked at, and the one it is held against.
    pub(crate) now: String,
    pub(crate) before: String,
    /// A scenario each.
    pub(crate) groups: Vec<Group>,
}

/// One scenario in both runs.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

/// One thing in both runs.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) before: String,
    pub(crate) now: String,
    pub(crate) change: Change,
    /// What it rests on.
    pub(crate) why: String,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// As it was, or nothing that is better or worse.
    Same,
    /// Shown to be better, or well where it was not.
    Better,
    /// Shown to be no worse than the margin allows.
    NoWorse,
    /// It cannot be said.
    Unclear,
    /// Shown to be worse.
    Worse,
}

impl Change {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Better => "better",
            Self::NoWorse => "no worse",
            Self::Unclear => "cannot be said",
            Self::Worse => "worse",
        }
    }
}

impl From<Compared> for Change {
    fn from(compared: Compared) -> Self {
        match compared {
            Compared::NoWorse => Self::NoWorse,
            Compared::Unclear => Self::Unclear,
            Compared::Worse => Self::Worse,
        }
    }
}

impl Comparison {
    /// Holds a run against an earlier one; what is at most `margin` worse is no worse.
    pub(crate) fn of(now: &Run, before: &Run, margin: Margin) -> Self {
        let terms = Terms { margin, confidence: Confidence::default() };
        let mut groups = Vec::new();
        for scenario in &now.scenarios {
            let earlier = before.scenarios.iter().find(|earlier| earlier.name == scenario.name);
            let lines = match earlier {
                Some(earlier) => terms.scenario(scenario, earlier),
                None => vec![only("scenario", "was not run", "is new", Change::Same)],
            };
            groups.push(Group { name: scenario.name.clone(), lines });
        }
        let gone = before
            .scenarios
            .iter()
            .filter(|earlier| now.scenarios.iter().all(|one| one.name != earlier.name));
        groups.extend(gone.map(|earlier| Group {
            name: earlier.name.clone(),
            lines: vec![only("scenario", "was run", "is missing", Change::Unclear)],
        }));
        Self { now: now.id.clone(), before: before.id.clone(), groups }
    }

    /// Fail where anything is worse, inconclusive where something cannot be said, else pass.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        match self.lines().map(|line| line.change).max() {
            Some(Change::Worse) => Conclusion::Fail,
            Some(Change::Unclear) => Conclusion::Inconclusive,
            Some(Change::Same | Change::Better | Change::NoWorse) | None => Conclusion::Pass,
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.groups.iter().flat_map(|group| &group.lines)
    }
}

fn only(what: &str, before: &str, now: &str, change: Change) -> Line {
    let (what, before, now) = (what.to_owned(), before.to_owned(), now.to_owned());
    Line { what, before, now, change, why: String::new() }
}

/// On which terms two runs are compared.
struct Terms {
    margin: Margin,
    confidence: Confidence,
}

impl Terms {
    fn scenario(&self, now: &Scenario, before: &Scenario) -> Vec<Line> {
        let mut lines = vec![verdicts(now, before)];
        lines.extend(now.slos.iter().filter_map(|slo| objective(slo, before)));
        for (name, samples) in &now.slis {
            match before.slis.get(name) {
                Some(earlier) => lines.extend(self.samples(name, samples, earlier)),
                None => lines.push(only(name, "no samples", "samples", Change::Unclear)),
            }
        }
        for step in now.steps.values() {
            let earlier = before.steps.values().find(|earlier| earlier.id.name == step.id.name);
            lines.extend(earlier.into_iter().flat_map(|earlier| self.step(step, earlier)));
        }
        lines
    }

    /// Failures and latencies of an SLI.
    fn samples(&self, name: &str, now: &Folded, before: &Folded) -> Vec<Line> {
        let mut lines = vec![self.failures(name, now.counts, before.counts)];
        let (later, earlier) = (now.latencies(), before.latencies());
        if later.timed() > 0 && earlier.timed() > 0 {
            for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
                let Some(share) = Ratio::new(share) else { continue };
                let found = slowness(&later, &earlier, share, self.margin, self.confidence);
                lines.push(slow(&format!("{name}, {word}"), &found));
            }
        }
        lines
    }

    fn failures(&self, name: &str, now: Counts, before: Counts) -> Line {
        let found = frequency(now, before, self.margin, Ratio::ZERO, self.confidence);
        let change = match found.compared {
            // Where nothing fails, few samples and many say the same.
            Compared::Unclear if now.bad == 0 && now.valid() > 0 && before.valid() > 0 => Change::Same,
            Compared::NoWorse if found.most < 1.0 => Change::Better,
            compared @ (Compared::NoWorse | Compared::Unclear | Compared::Worse) => compared.into(),
        };
        let (what, why) = (format!("{name}, failures"), times(&found));
        Line { what, before: failed(before), now: failed(now), change, why }
    }

    /// What a step came to, where that changed; load that feeds no SLI is compared by what it counted.
    fn step(&self, now: &Step, before: &Step) -> Vec<Line> {
        let mut lines: Vec<_> = outcomes(now, before).into_iter().collect();
        if let (Some(later), Some(earlier), None) = (&now.tally, &before.tally, &now.sli) {
            let counts =
                |tally: &Tally| Counts { good: tally.good, bad: tally.ended.saturating_sub(tally.good) };
            lines.push(self.failures(&now.id.name, counts(later), counts(earlier)));
        }
        lines.extend(self.percentiles(now, before));
        for alert in &now.drilled {
            let earlier =
                before.drilled.iter().find(|one| one.alert == alert.alert && one.labels == alert.labels);
            lines.extend(earlier.map(|earlier| alerts(alert, earlier)));
        }
        lines
    }

    /// How slow load was, percentile by percentile. It is judged by its median and its p99, as an SLI is, where both
    /// runs have all its latencies and no SLI has them; what else is shown proves nothing by itself.
    fn percentiles(&self, now: &Step, before: &Step) -> Vec<Line> {
        let (Some(later), Some(earlier)) = (&now.tally, &before.tally) else { return Vec::new() };
        let latencies = now.latencies.as_deref().zip(before.latencies.as_deref());
        let latencies = latencies
            .filter(|(later, earlier)| now.sli.is_none() && later.timed() > 0 && earlier.timed() > 0);
        let mut lines = Vec::new();
        for (word, of) in SHOWN {
            let what = format!("{}, {word}", now.id.name);
            let share = match word {
                "p50" => Ratio::new(0.5),
                "p99" => Ratio::new(0.99),
                _ => None,
            };
            lines.extend(match (share.zip(latencies), now.sli.is_some()) {
                (Some((share, (later, earlier))), _) => {
                    Some(slow(&what, &slowness(later, earlier, share, self.margin, self.confidence)))
                }
                // An SLI has these already.
                (None, true) if ["p50", "p99"].contains(&word) => None,
                (None, _) => beside(&what, of(&later.latency), of(&earlier.latency)),
            });
        }
        for part in &now.parts {
            let Some(same) = before.parts.iter().find(|same| same.name == part.name) else { continue };
            let (later, earlier) = (&part.tally.latency, &same.tally.latency);
            lines.extend(beside(&format!("{}, p50", part.name), later.p50, earlier.p50));
            lines.extend(beside(&format!("{}, p99", part.name), later.p99, earlier.p99));
        }
        lines
    }
}

/// Two times that prove nothing by themselves; none where neither was measured.
fn beside(what: &str, now: Option<Nanos>, before: Option<Nanos>) -> Option<Line> {
    (now.is_some() || before.is_some())
        .then(|| only(what, &shown(time(before)), &shown(time(now)), Change::Same))
}

/// The percentiles of load that are shown.
type Percentile = (&'static str, fn(&Quantiles) -> Option<Nanos>);

const SHOWN: [Percentile; 5] = [
    ("p50", |times| times.p50),
    ("p90", |times| times.p90),
    ("p99", |times| times.p99),
    ("p99.9", |times| times.p999),
    ("max", |times| times.max),
];

fn verdicts(now: &Scenario, before: &Scenario) -> Line {
    let (later, earlier) = (now.conclusion(), before.conclusion());
    let change = match later.cmp(&earlier) {
        std::cmp::Ordering::Less => Change::Better,
        std::cmp::Ordering::Equal => Change::Same,
        std::cmp::Ordering::Greater if later == Conclusion::Fail => Change::Worse,
        std::cmp::Ordering::Greater => Change::Unclear,
    };
    let word = |conclusion| Style::FILE.verdict(conclusion);
    only("verdict", &word(earlier), &word(later), change)
}

fn objective(slo: &Slo, before: &Scenario) -> Option<Line> {
    let same = |earlier: &&Slo| earlier.name == slo.name && earlier.objective == slo.objective;
    let earlier = before.slos.iter().find(same)?;
    let (now, then) = (slo.verdict(), earlier.verdict());
    let change = match (now, then) {
        (Verdict::Fail, Verdict::Fail) | (Verdict::Pass | Verdict::Warn, Verdict::Pass | Verdict::Warn) => {
            Change::Same
        }
        (Verdict::Fail, _) => Change::Worse,
        (Verdict::Pass | Verdict::Warn, _) => Change::Better,
        (Verdict::Inconclusive { .. } | Verdict::NoData, _) => Change::Unclear,
    };
    let said = |slo: &Slo, verdict: Verdict| match slo.judgement.budget_consumed {
        Some(spent) => format!("{verdict}, {:.0}% of the budget", spent * 100.0),
        None => verdict.to_string(),
    };
    let what = format!("SLO {}", slo.name);
    Some(Line { what, before: said(earlier, then), now: said(slo, now), change, why: slo.objective.clone() })
}

fn outcomes(now: &Step, before: &Step) -> Option<Line> {
    let (later, earlier) = (now.end.as_ref()?.outcome, before.end.as_ref()?.outcome);
    if later == earlier {
        return None;
    }
    let change = match (later, earlier) {
        (Outcome::Failed, _) => Change::Worse,
        (Outcome::Skipped | Outcome::Unreliable, _) => Change::Unclear,
        (Outcome::Passed | Outcome::Flaky, Outcome::Failed | Outcome::Skipped | Outcome::Unreliable) => {
            Change::Better
        }
        (Outcome::Passed | Outcome::Flaky, Outcome::Passed | Outcome::Flaky) => Change::Same,
    };
    Some(only(&now.id.name, earlier.word(), later.word(), change))
}

/// How far an alert came; of its times there is one each, which proves nothing.
fn alerts(now: &Drilled, before: &Drilled) -> Line {
    let change = match (now.broken, before.broken) {
        (Some(_), None) => Change::Worse,
        (None, Some(_)) => Change::Better,
        (None, None) | (Some(_), Some(_)) => Change::Same,
    };
    let far = |alert: &Drilled| {
        if let Some(rung) = alert.broken {
            return format!("broke at {rung}");
        }
        let delivered = alert.rungs.iter().find(|seen| seen.rung == Rung::Delivered).and_then(|seen| seen.at);
        delivered.map_or("proven".to_owned(), |at| format!("told after {}", said(at)))
    };
    only(&format!("alert {}", now.alert), &far(before), &far(now), change)
}

/// `12 of 10,000 (0.12%)`.
fn failed(counts: Counts) -> String {
    let share = counts.failure_ratio().map(|ratio| format!(" ({:.2}%)", ratio.share() * 100.0));
    format!("{} of {}{}", thousands(counts.bad), thousands(counts.valid()), share.unwrap_or_default())
}

/// How many times as frequent failures are, and where that may lie.
fn times(found: &Frequency) -> String {
    let number = |value: f64| match value {
        endless if !endless.is_finite() => "any number".to_owned(),
        large if large >= 10.0 => format!("{large:.0}"),
        small => format!("{small:.2}"),
    };
    match found.quotient {
        Some(quotient) => format!(
            "{} times as frequent, in truth {} to {}",
            number(quotient),
            number(found.least),
            number(found.most)
        ),
        None if found.least > 0.0 => format!("at least {} times as frequent", number(found.least)),
        None => String::new(),
    }
}

fn slow(what: &str, found: &Slowness) -> Line {
    let shorter = match (found.now.upper, found.before.lower) {
        (Some(now), Some(before)) => now < before,
        (_, _) => false,
    };
    let change = if shorter { Change::Better } else { found.compared.into() };
    Line {
        what: what.to_owned(),
        before: bounded(&found.before),
        now: bounded(&found.now),
        change,
        why: String::new(),
    }
}

/// `29.0 ms (27.1 ms to 31.4 ms)`.
fn bounded(quantile: &Quantile) -> String {
    let bounds = match (quantile.lower, quantile.upper) {
        (None, None) => String::new(),
        (lower, upper) => format!(" ({} to {})", shown(lower), shown(upper)),
    };
    shown(quantile.measured) + &bounds
}

fn shown(time: Option<Duration>) -> String {
    time.map_or("?".to_owned(), |time| Style::FILE.time(time))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::event::{Event, Stamped};
    use crate::report::fixture::events;
    use crate::sli::Sli;

    fn run(change: impl Fn(&mut Event)) -> Run {
        let mut run = Run::default();
        for mut stamped in events() {
            change(&mut stamped.event);
            run.take(&stamped);
        }
        run
    }

    fn against(change: impl Fn(&mut Event)) -> Comparison {
        Comparison::of(&run(change), &run(|_| {}), Margin::default())
    }

    fn sampled(bad: u64, of: u64, slow: u64) -> impl Fn(&mut Event) {
        move |event| {
            if let Event::Sampled { samples, .. } = event {
                let mut sli = Sli::default();
                for number in 0..of {
                    let outcome = if number < bad { Err(crate::sample::Reason::Status) } else { Ok(()) };
                    sli.record(outcome, Some(Duration::from_millis(slow + number % 10)));
                }
                *samples = sli.folded();
            }
        }
    }

    #[test]
    fn a_run_is_no_worse_than_itself_or_it_cannot_be_said() {
        let comparison = against(|_| {});
        assert!(comparison.lines().all(|line| line.change != Change::Worse), "{comparison:?}");
        assert_eq!(comparison.conclusion(), Conclusion::Inconclusive, "one sample tells nothing of a p99");
    }

    #[rstest]
    #[case::failures(sampled(60, 2_000, 5), "checkout, failures", Change::Worse)]
    #[case::no_failures(sampled(0, 2_000, 5), "checkout, failures", Change::Better)]
    #[case::slower(sampled(20, 2_000, 50), "checkout, p50", Change::Worse)]
    #[case::as_fast(sampled(20, 2_000, 5), "checkout, p50", Change::NoWorse)]
    fn samples_are_compared_by_statistics(
        #[case] change: impl Fn(&mut Event),
        #[case] what: &str,
        #[case] wanted: Change,
    ) {
        let comparison = Comparison::of(&run(change), &run(sampled(20, 2_000, 5)), Margin::default());
        let line = comparison.lines().find(|line| line.what == what).unwrap();
        assert_eq!(line.change, wanted, "{line:?}");
    }

    #[test]
    fn a_step_that_fails_now_is_worse() {
        let comparison = against(|event| {
            if let Event::StepEnded { step, outcome, .. } = event
                && step.name == "alive"
            {
                *outcome = Outcome::Failed;
            }
        });
        assert_eq!(comparison.conclusion(), Conclusion::Fail);
    }

    #[test]
    fn a_scenario_that_is_missing_is_no_pass() {
        let mut now = Run::default();
        let of_ping = |stamped: &&Stamped| {
            crate::report::fixture::of(stamped).is_none_or(|scenario| scenario == "ping")
        };
        events().iter().filter(of_ping).for_each(|stamped| now.take(stamped));
        let comparison = Comparison::of(&now, &run(|_| {}), Margin::default());
        assert_eq!(comparison.conclusion(), Conclusion::Inconclusive);
    }

    #[test]
    fn it_is_printed_as_a_table() {
        let now = run(sampled(60, 2_000, 50));
        let comparison = Comparison::of(&now, &run(sampled(20, 2_000, 5)), Margin::default());
        insta::assert_snapshot!(comparison.print(Style { colour: false, width: 110, unicode: true }));
    }
}
