//! Objectives, judged on the samples of this run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::slis::Slis;
use crate::event::{Conclusion, Event, Sender};
use crate::finding::{Drawing, Severity, excerpts};
use crate::gate::{self, Policy, Verdict};
use crate::sli::Counts;
use crate::slo::{Objective, RunMeasure, Slo};
use crate::source::Sources;

/// The times that objectives compare with, by SLI: they must be counted exactly, and so be known beforehand.
pub(super) fn limits(slos: &[Slo]) -> BTreeMap<String, Vec<Duration>> {
    let mut limits: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for objective in slos.iter().flat_map(|slo| &slo.objectives) {
        if let Ok(RunMeasure::Within { sli, limit }) = objective.over_run() {
            limits.entry(sli.value).or_default().push(limit);
        }
    }
    limits
}

/// Judges every objective and says how the worst ended.
pub(super) fn judge(
    scenario: &str,
    slos: &[Slo],
    samples: &Slis,
    sources: &Sources,
    sender: &Sender,
) -> Conclusion {
    let mut conclusion = Conclusion::Pass;
    for slo in slos {
        for objective in &slo.objectives {
            let counts = match objective.over_run() {
                Ok(measure) => counts(&measure, samples),
                Err(why) => {
                    let why = format!("SLO `{}` is not judged: {why}", slo.name);
                    sender.send(Event::NotMeasured { scenario: scenario.to_owned(), why });
                    conclusion = conclusion.max(Conclusion::NotMeasured);
                    continue;
                }
            };
            let judgement = gate::judge(objective.target, counts, Policy::default());
            conclusion = conclusion.max(judgement.verdict.into());
            sender.send(Event::Judged {
                scenario: scenario.to_owned(),
                slo: slo.name.value.clone(),
                objective: objective.to_string(),
                drawing: draw(objective, &judgement.to_string(), judgement.verdict, sources),
                judgement,
                decision: None,
            });
        }
    }
    conclusion
}

fn counts(measure: &RunMeasure, samples: &Slis) -> Counts {
    match measure {
        RunMeasure::Good { sli } => samples.get(sli).counts(),
        // Every limit is watched from the first sample on; see `limits`.
        RunMeasure::Within { sli, limit } => samples.get(sli).faster_or_equal(*limit).unwrap_or_default(),
    }
}

/// Where the objective was written, drawn with its verdict.
fn draw(objective: &Objective, sentence: &str, verdict: Verdict, sources: &Sources) -> Drawing {
    let severity = match verdict {
        Verdict::Pass | Verdict::Warn => Severity::Warning,
        Verdict::Fail | Verdict::Inconclusive { .. } | Verdict::NoData => Severity::Error,
    };
    let labels = std::iter::once((objective.place, "this objective", true));
    Drawing {
        severity,
        code: None,
        title: sentence.to_owned(),
        excerpts: excerpts(labels, sources),
        help: None,
    }
}
