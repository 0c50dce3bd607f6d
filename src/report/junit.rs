//! JUnit's XML, for CI servers: a suite for each scenario, a case for each step and each objective.

use std::io::{self, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quick_junit::{NonSuccessKind, Property, Report as Xml, TestCase, TestCaseStatus, TestRerun, TestSuite};

use crate::event::{Conclusion, Failure, Outcome};
use crate::gate::Verdict;
use crate::report::record::{Attempt, Run, Scenario, Slo, Step};
use crate::report::style::Style;
use crate::report::text::{on_one_line, printable};
use crate::report::{detail, row, verdict};

/// Writes a run that is over.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let text = document(run).to_string().map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

fn document(run: &Run) -> Xml {
    let mut xml = Xml::new("firedrill");
    xml.set_time(run.end.map_or(run.latest, |end| end.took));
    for scenario in &run.scenarios {
        xml.add_test_suite(suite(run, scenario));
    }
    // No reader may take a run that was stopped, or one of nothing, for a good one.
    let interrupted = run.end.is_none_or(|end| end.interrupted);
    if interrupted || xml.tests == 0 {
        let mut status = error(if interrupted { "interrupted" } else { "not_measured" });
        status.set_message(verdict::of_run(run, Style::FILE));
        let mut suite = TestSuite::new("firedrill");
        suite.add_test_case(TestCase::new("run", status));
        xml.add_test_suite(suite);
    }
    xml
}

fn suite(run: &Run, scenario: &Scenario) -> TestSuite {
    let name = on_one_line(&scenario.name);
    let mut suite = TestSuite::new(&name);
    let took = scenario.end.map_or_else(|| run.latest.saturating_sub(scenario.began), |(_, took)| took);
    suite.set_time(took);
    if let Some(began) = moment(run, scenario.began) {
        suite.extra.insert("timestamp".into(), began.into());
    }
    let own = [("file", &scenario.file), ("run", &run.id), ("version", &run.version)];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    let labels = scenario.labels.iter().map(|(key, value)| (format!("label.{}", on_one_line(key)), value));
    suite.add_properties(own.chain(labels).map(|(key, value)| Property::new(key, on_one_line(value))));
    suite.add_test_cases(scenario.steps.values().map(|step| of_step(step, &name)));
    let not_reached = scenario.planned.iter().filter(|step| !scenario.steps.contains_key(&step.number));
    suite.add_test_cases(not_reached.map(|step| {
        let mut status = TestCaseStatus::skipped();
        status.set_message("not reached");
        case(&step.name, &name, status)
    }));
    suite.add_test_cases(scenario.slos.iter().map(|slo| of_slo(slo, &name)));
    suite.add_test_cases(scenario.not_measured.iter().map(|why| {
        let mut status = error("not_measured");
        status.set_message(on_one_line(why)).set_description(printable(why));
        case("can be measured", &name, status)
    }));
    if let Some(case) = of_conclusion(scenario, &suite) {
        suite.add_test_case(case);
    }
    suite
}

/// What the cases do not say: a scenario that is no pass although none of them failed.
fn of_conclusion(scenario: &Scenario, suite: &TestSuite) -> Option<TestCase> {
    let mut status = match scenario.conclusion() {
        Conclusion::Fail if suite.failures == 0 => failure("conclusion"),
        Conclusion::Inconclusive if suite.errors == 0 => error("inconclusive"),
        Conclusion::NotMeasured if suite.errors == 0 && scenario.end.is_none() => error("interrupted"),
        Conclusion::NotMeasured if suite.errors == 0 => error("not_measured"),
        Conclusion::Pass | Conclusion::Fail | Conclusion::Inconclusive | Conclusion::NotMeasured => {
            return None;
        }
    };
    status.set_message(verdict::of_scenario(scenario, Style::FILE));
    Some(case("conclusion", &suite.name, status))
}

/// When that was, in UTC; absent where the run did not say when it started.
fn moment(run: &Run, since_start: Duration) -> Option<String> {
    let started: Timestamp = run.started.parse().ok()?;
    let moment = started.checked_add(SignedDuration::try_from(since_start).ok()?).ok()?;
    Some(format!("{moment:.3}"))
}

fn case(name: &str, class: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(on_one_line(name), status);
    case.set_classname(class);
    case
}

fn error(kind: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind);
    status
}

fn failure(kind: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind);
    status
}

fn of_step(step: &Step, class: &str) -> TestCase {
    let Some(end) = &step.end else {
        let mut status = error("interrupted");
        status.set_message("the run was stopped before this step ended");
        return case(&step.id.name, class, status);
    };
    let mut status = match end.outcome {
        Outcome::Passed | Outcome::Flaky => TestCaseStatus::success(),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(end.why.as_deref().map_or("skipped".to_owned(), on_one_line));
            status
        }
        Outcome::Failed => {
            let mut status = failure(&reason(step.failures()));
            status.set_message(verdict::why_failed(step));
            status
                .set_description(detail::drawings(step, Style::FILE) + &detail::received(step, Style::FILE));
            status
        }
        Outcome::Unreliable => {
            let mut status = error("unreliable");
            status.set_message(verdict::why_failed(step));
            status
        }
    };
    match end.outcome {
        Outcome::Flaky => {
            status.add_reruns(step.attempts.iter().filter(|attempt| attempt.failed()).map(rerun))
        }
        // The last attempt is the failure itself.
        Outcome::Failed => status.add_reruns(step.attempts.iter().rev().skip(1).rev().map(rerun)),
        // To try until it holds is what such a step is for.
        Outcome::Passed | Outcome::Skipped | Outcome::Unreliable => &mut status,
    };
    let mut case = case(&step.id.name, class, status);
    case.set_time(end.took);
    case.add_property(Property::new("kind", on_one_line(&step.id.kind)));
    if let Some(tally) = &step.tally {
        case.set_system_out(row::load(tally, end.took, Style::FILE).join("\n"));
    }
    case
}

/// An earlier attempt that failed.
fn rerun(attempt: &Attempt) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    let drawings: String =
        attempt.failures.iter().map(|failure| detail::drawn(&failure.drawing, Style::FILE)).collect();
    rerun.set_time(attempt.took).set_type(reason(&attempt.failures)).set_description(drawings);
    if let Some(first) = attempt.failures.first() {
        rerun.set_message(verdict::of_failure(first));
    }
    rerun
}

fn reason(failures: &[Failure]) -> String {
    failures.first().map_or("failed".to_owned(), |first| first.reason.to_string())
}

fn of_slo(slo: &Slo, scenario: &str) -> TestCase {
    let sentence = on_one_line(&slo.said());
    let details: String = slo.details().iter().map(|line| on_one_line(line) + "\n").collect();
    let mut status = match slo.verdict() {
        Verdict::Pass | Verdict::Warn => TestCaseStatus::success(),
        Verdict::Fail => failure("slo"),
        Verdict::Inconclusive { .. } => error("inconclusive"),
        Verdict::NoData => error("no_data"),
    };
    status.set_message(&sentence).set_description(detail::drawn(&slo.drawing, Style::FILE) + &details);
    let name = format!("{}: {}", slo.name, slo.objective);
    let mut case = case(&name, &format!("{scenario}.slo"), status);
    if matches!(slo.verdict(), Verdict::Pass | Verdict::Warn) {
        case.set_system_out([sentence, details].join("\n").trim_end());
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stamped};
    use crate::report::fixture::{events, hostile_events, written};
    use crate::report::text::steers;
    use crate::report::whole::Whole;

    fn xml(events: &[Stamped]) -> String {
        written(|out| Whole::new("junit.xml".into(), out, write), events)
    }

    /// Every case as `suite / name: how it went`, read back from what was written.
    fn read(xml: &str) -> Vec<String> {
        let report = Xml::deserialize_from_str(xml).unwrap();
        let cases = report.test_suites.iter().flat_map(|suite| {
            suite
                .test_cases
                .iter()
                .map(|case| format!("{} / {}: {}", suite.name.as_str(), case.name.as_str(), of(case)))
        });
        cases.collect()
    }

    fn of(case: &TestCase) -> String {
        match &case.status {
            TestCaseStatus::Success { flaky_runs } if flaky_runs.is_empty() => "success".into(),
            TestCaseStatus::Success { flaky_runs } => format!("success, {} flaky", flaky_runs.len()),
            TestCaseStatus::NonSuccess { kind, ty, .. } => format!("{kind:?} {}", ty.as_deref().unwrap()),
            TestCaseStatus::Skipped { message, .. } => format!("skipped, {}", message.as_deref().unwrap()),
        }
    }

    #[test]
    fn a_run_is_written_whole() {
        insta::assert_snapshot!(xml(&events()));
    }

    #[test]
    fn a_failure_is_no_error_and_silence_is_no_success() {
        insta::assert_snapshot!(read(&xml(&events())).join("\n"), @r"
        quickstart / shoppers: Failure timeout(wait)
        quickstart / alive: success
        quickstart / ready: success
        quickstart / log in: success
        quickstart / browse: success, 1 flaky
        quickstart / prices: Failure timeout(exchange)
        quickstart / pay: skipped, `prices` failed
        quickstart / checkout-availability: 99% good: success
        quickstart / checkout-latency: 99.9% within 250ms: Failure slo
        quickstart / search-availability: 99.9% good: Error inconclusive
        quickstart / mail-availability: 99.9% good: Error no_data
        checkout-stack / can be measured: Error not_measured
        ping / ping: success
        ");
    }

    #[test]
    fn a_run_that_was_cut_off_has_an_error_for_what_did_not_end() {
        let mut events = events();
        let cut = events.iter().position(|stamped| matches!(stamped.event, Event::Loading { .. })).unwrap();
        events.truncate(cut + 1);
        events.retain(|stamped| !matches!(stamped.event, Event::StepEnded { outcome: Outcome::Skipped, .. }));
        insta::assert_snapshot!(read(&xml(&events)).join("\n"), @r"
        quickstart / shoppers: Error interrupted
        quickstart / alive: success
        quickstart / ready: success
        quickstart / log in: success
        quickstart / browse: success, 1 flaky
        quickstart / prices: Failure timeout(exchange)
        quickstart / pay: skipped, not reached
        firedrill / run: Error interrupted
        ");
    }

    #[test]
    fn a_run_of_nothing_is_an_error() {
        insta::assert_snapshot!(read(&xml(&[])).join("\n"), @"firedrill / run: Error interrupted");
    }

    #[test]
    fn a_scenario_that_fails_by_rule_alone_has_a_failure() {
        let mut events = events();
        events.retain(|stamped| crate::report::fixture::of(stamped) == Some("ping"));
        if let Event::ScenarioEnded { conclusion, .. } = &mut events.last_mut().unwrap().event {
            *conclusion = Conclusion::Fail;
        }
        assert!(read(&xml(&events)).contains(&"ping / conclusion: Failure conclusion".to_owned()));
    }

    #[test]
    fn nothing_a_target_sends_breaks_the_file() {
        let xml = xml(&hostile_events());
        let strange: Vec<_> = xml.chars().filter(|sign| *sign != '\n' && steers(*sign)).collect();
        assert!(strange.is_empty(), "{strange:?}");
        assert!(read(&xml).iter().any(|case| case.ends_with("Failure header")), "{xml}");
    }
}
