//! What a scenario and a run came to, in one line each.

use crate::event::{Conclusion, Failure, Outcome};
use crate::gate::Verdict;
use crate::report::record::{Run, Scenario, Step};
use crate::report::style::Style;
use crate::report::text::{counted, on_one_line};

/// Columns of what a target may say in a verdict.
const LONGEST_CAUSE: usize = 400;

/// `PASS quickstart: 8 steps, 2 SLOs in 1.40 s`.
pub(crate) fn of_scenario(scenario: &Scenario, style: Style) -> String {
    let conclusion = scenario.conclusion();
    let name = on_one_line(&scenario.name);
    let mut counts = counts(scenario, conclusion);
    if let Some((_, took)) = scenario.end.filter(|_| !counts.is_empty()) {
        counts = counts + " in " + &style.time(took);
    }
    let parts = [cause(scenario, conclusion, style), counts].into_iter().filter(|part| !part.is_empty());
    format!("{} {name}: {}", style.verdict(conclusion), parts.collect::<Vec<_>>().join("; "))
}

/// The last line of a report; with one scenario it is that scenario's.
pub(crate) fn of_run(run: &Run, style: Style) -> String {
    let mut line = match run.scenarios.as_slice() {
        [] => format!("{} no scenario was run", style.verdict(conclusion(run))),
        [only] if only.conclusion() == conclusion(run) => of_scenario(only, style),
        several => {
            let took = run.end.map_or(run.latest, |end| end.took);
            let verdict = style.verdict(conclusion(run));
            format!(
                "{verdict} {}: {} in {}",
                counted(several.len(), "scenario"),
                tally(several),
                style.time(took)
            )
        }
    };
    match run.end {
        Some(end) if end.interrupted => line += "; interrupted",
        Some(_) => {}
        None => line += "; cut off before its end",
    }
    line
}

/// Why a run is not all that it should have been.
pub(crate) fn not_whole(run: &Run) -> Option<&'static str> {
    match run.end {
        None => Some(
            "This run was cut off: it has no end. What stands here is what it had written until then, \
             and says nothing of what was still to come.",
        ),
        Some(end) if end.interrupted => {
            Some("This run was interrupted: what was still to come was not done.")
        }
        Some(_) => None,
    }
}

/// How the run ended; one that was cut off is never a pass.
pub(crate) fn conclusion(run: &Run) -> Conclusion {
    let worst = || run.scenarios.iter().map(Scenario::conclusion).max().unwrap_or_default();
    run.end.map_or_else(|| worst().max(Conclusion::NotMeasured), |end| end.conclusion)
}

/// `2 failed (checkout, search), 1 passed`.
fn tally(scenarios: &[Scenario]) -> String {
    const NAMED: usize = 3;
    let kinds = [
        (Conclusion::Fail, "failed"),
        (Conclusion::NotMeasured, "not measured"),
        (Conclusion::Inconclusive, "inconclusive"),
        (Conclusion::Pass, "passed"),
    ];
    let parts = kinds.into_iter().filter_map(|(kind, word)| {
        let names: Vec<_> = (scenarios.iter().filter(|scenario| scenario.conclusion() == kind))
            .map(|scenario| on_one_line(&scenario.name))
            .collect();
        match names.len() {
            0 => None,
            some if kind == Conclusion::Pass || some > NAMED => Some(format!("{some} {word}")),
            some => Some(format!("{some} {word} ({})", names.join(", "))),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The first thing to know about a conclusion that is no pass.
fn cause(scenario: &Scenario, conclusion: Conclusion, style: Style) -> String {
    let judged = |wanted: fn(&Verdict) -> bool| {
        let slo = scenario.slos.iter().find(|slo| wanted(&slo.verdict()));
        slo.map(|slo| format!("{}: {}", on_one_line(&slo.name), on_one_line(&slo.said())))
    };
    let cause = match conclusion {
        Conclusion::Pass => None,
        Conclusion::Fail => (scenario.steps_that(Outcome::Failed).next())
            .map(|step| format!("{}: {}", on_one_line(&step.id.name), why_failed(step)))
            .or_else(|| judged(|verdict| *verdict == Verdict::Fail))
            .or_else(|| scenario.steps_that(Outcome::Flaky).next().map(flaky)),
        Conclusion::Inconclusive => (scenario.steps_that(Outcome::Unreliable).next())
            .map(|step| format!("{}: {}", on_one_line(&step.id.name), why_failed(step)))
            .or_else(|| judged(|verdict| matches!(verdict, Verdict::Inconclusive { .. }))),
        Conclusion::NotMeasured => (scenario.not_measured.first())
            .map(|why| on_one_line(why))
            .or_else(|| scenario.end.is_none().then(|| "stopped before its end".to_owned()))
            .or_else(|| judged(|verdict| *verdict == Verdict::NoData)),
    };
    style.cut(&cause.unwrap_or_default(), LONGEST_CAUSE).into_owned()
}

fn flaky(step: &Step) -> String {
    format!("{} is flaky", on_one_line(&step.id.name))
}

/// Why a step failed: what was wrong first, and how much more was.
pub(crate) fn why_failed(step: &Step) -> String {
    match step.failures() {
        [] => step.end.as_ref().and_then(|end| end.why.as_deref()).map_or("failed".to_owned(), on_one_line),
        [only] => of_failure(only),
        [first, more @ ..] if step.tally.is_none() => {
            format!("{}, and {} more", of_failure(first), more.len())
        }
        [first, ..] => of_failure(first),
    }
}

/// `timeout(exchange): nothing received within 500ms`; the reason is left out where the sentence has the word.
pub(crate) fn of_failure(failure: &Failure) -> String {
    let (reason, title) = (failure.reason.to_string(), on_one_line(&failure.drawing.title));
    if title.contains(&reason) { title } else { format!("{reason}: {title}") }
}

/// `8 steps, 2 SLOs`, or where not all is well `5 passed, 1 failed, 1 skipped, 1 of 2 SLOs met`.
fn counts(scenario: &Scenario, conclusion: Conclusion) -> String {
    let count = |outcome| scenario.steps_that(outcome).count();
    let (passed, flaky) = (count(Outcome::Passed), count(Outcome::Flaky));
    let slos = scenario.slos.len();
    let mut parts = Vec::new();
    if conclusion == Conclusion::Pass {
        let what = counted(scenario.steps.len(), "step");
        let notes: Vec<_> = [(flaky, "flaky"), (count(Outcome::Skipped), "skipped")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if !scenario.steps.is_empty() || slos == 0 {
            parts.push(if notes.is_empty() { what } else { format!("{what} ({})", notes.join(", ")) });
        }
        parts.extend((slos > 0).then(|| counted(slos, "SLO")));
    } else {
        let outcomes = [
            (passed, "passed"),
            (flaky, "flaky"),
            (count(Outcome::Failed), "failed"),
            (count(Outcome::Unreliable), "unreliable"),
            (count(Outcome::Skipped), "skipped"),
            (scenario.steps_under_way().count(), "stopped"),
        ];
        let some = outcomes.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(some.map(|(count, word)| format!("{count} {word}")));
        let met = slos - scenario.slos_not_met().count();
        parts.extend((slos > 0).then(|| format!("{met} of {} met", counted(slos, "SLO"))));
    }
    parts.join(", ")
}
