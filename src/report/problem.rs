//! What is not as it should be, one by one, each where it was written: what annotations are made of.

use crate::event::{Conclusion, Failure, Outcome};
use crate::finding::{Drawing, Severity};
use crate::gate::Verdict;
use crate::report::record::{Run, Scenario, Slo, Step};
use crate::report::style::Style;
use crate::report::text::{fit_to_draw, on_one_line};
use crate::report::verdict;

/// Problems told of one step: what failed last says why, and a thousand of them say no more.
const MOST_OF_A_STEP: usize = 10;

/// As in a file: nothing coloured.
const STYLE: Style = Style { colour: false, width: 120, unicode: true };

/// One thing that is not as it should be. Its texts are printable and on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Whether it makes the run fail.
    pub(crate) severity: Severity,
    /// Of which step or objective of it: `quickstart / log in`, or all of it: `quickstart`.
    pub(crate) what: String,
    /// The reason, or `slo`, `flaky`, `not_measured`, `inconclusive`, `interrupted`.
    pub(crate) kind: String,
    /// What is wrong.
    pub(crate) said: String,
    /// What stands under the caret, and what helps.
    pub(crate) notes: Vec<String>,
    /// Where the user's file wanted it otherwise.
    pub(crate) spot: Option<Spot>,
}

/// A place in a file as editors and code hosts name it: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// One past the last column, on the same line: drawings put no caret under a line's end.
    pub(crate) end: usize,
}

impl Spot {
    /// Where a drawing's caret stands.
    pub(crate) fn of(drawing: &Drawing) -> Option<Self> {
        let drawing = fit_to_draw(drawing);
        let excerpt = drawing.excerpts.first()?;
        let label = excerpt.labels.first();
        let under = label.map_or("", |label| &excerpt.text[label.start..label.end]);
        let length = under.lines().next().map_or(0, |line| line.trim_end().chars().count());
        let column = excerpt.column.max(1);
        let path = excerpt.path.strip_prefix("./").unwrap_or(&excerpt.path).to_owned();
        Some(Self { path, line: excerpt.line.max(1), column, end: column + length })
    }

    /// The whole of a file, for what stands nowhere in particular.
    fn whole(path: &str) -> Option<Self> {
        let path = on_one_line(path);
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        (!path.is_empty()).then_some(Self { path, line: 1, column: 1, end: 1 })
    }
}

/// What a drawing says beside its title: under its carets, and to help.
pub(crate) fn notes(drawing: &Drawing) -> Vec<String> {
    let labels = drawing.excerpts.iter().flat_map(|excerpt| &excerpt.labels).map(|label| &label.text);
    labels.chain(&drawing.help).map(|text| on_one_line(text)).filter(|text| !text.is_empty()).collect()
}

/// Everything that is not as it should be, in the order it was found.
pub(crate) fn of_run(run: &Run) -> Vec<Problem> {
    let mut problems: Vec<_> = run.scenarios.iter().flat_map(of_scenario).collect();
    // No reader may take a run that was stopped, or one of nothing, for a good one.
    let interrupted = run.end.is_none_or(|end| end.interrupted);
    if interrupted || run.scenarios.is_empty() {
        problems.push(Problem {
            severity: Severity::Error,
            what: "firedrill".to_owned(),
            kind: if interrupted { "interrupted" } else { "not_measured" }.to_owned(),
            said: verdict::of_run(run, STYLE),
            notes: Vec::new(),
            spot: run.scenarios.last().and_then(|scenario| Spot::whole(&scenario.file)),
        });
    }
    problems
}

fn of_scenario(scenario: &Scenario) -> Vec<Problem> {
    let mut problems = Vec::new();
    for step in scenario.ended_steps.iter().filter_map(|number| scenario.steps.get(number)) {
        problems.extend(of_step(scenario, step));
    }
    problems.extend(scenario.slos_not_met().map(|slo| of_slo(scenario, slo)));
    problems.extend(
        scenario.not_measured.iter().map(|why| Problem {
            said: on_one_line(why),
            ..general(scenario, Severity::Error, "not_measured")
        }),
    );
    let conclusion = scenario.conclusion();
    let told = problems.iter().any(|problem| problem.severity == Severity::Error);
    // What nothing else tells: a failure by rule alone, or a scenario that did not end.
    if conclusion != Conclusion::Pass && !told {
        let kind = match conclusion {
            Conclusion::Pass | Conclusion::Fail => "conclusion",
            Conclusion::Inconclusive => "inconclusive",
            Conclusion::NotMeasured => "not_measured",
        };
        problems.push(general(scenario, Severity::Error, kind));
    }
    problems
}

/// A problem of a scenario as a whole, which says its verdict.
fn general(scenario: &Scenario, severity: Severity, kind: &str) -> Problem {
    Problem {
        severity,
        what: on_one_line(&scenario.name),
        kind: kind.to_owned(),
        said: verdict::of_scenario(scenario, STYLE),
        notes: Vec::new(),
        spot: Spot::whole(&scenario.file),
    }
}

fn of_step(scenario: &Scenario, step: &Step) -> Vec<Problem> {
    let Some(end) = &step.end else { return Vec::new() };
    let what = on_one_line(&format!("{} / {}", scenario.name, step.id.name));
    let severity = match end.outcome {
        Outcome::Passed | Outcome::Skipped => return Vec::new(),
        Outcome::Flaky => Severity::Warning,
        Outcome::Failed | Outcome::Unreliable => Severity::Error,
    };
    let flaky = || step.attempts.iter().rev().find(|attempt| attempt.failed());
    let (kind, failures): (_, &[Failure]) = match end.outcome {
        Outcome::Flaky => (Some("flaky"), flaky().map_or(&[], |attempt| attempt.failures.as_slice())),
        Outcome::Unreliable => (Some("unreliable"), &[]),
        Outcome::Failed | Outcome::Passed | Outcome::Skipped => (None, step.failures()),
    };
    let one = |failure: &Failure| Problem {
        what: what.clone(),
        kind: kind.map_or_else(|| failure.reason.to_string(), str::to_owned),
        said: verdict::of_failure(failure),
        notes: notes(&failure.drawing),
        spot: Spot::of(&failure.drawing).or_else(|| Spot::whole(&scenario.file)),
        ..general(scenario, severity, "")
    };
    let problems: Vec<_> = failures.iter().take(MOST_OF_A_STEP).map(one).collect();
    if problems.is_empty() {
        let said = verdict::why_failed(step);
        let kind = kind.unwrap_or("failed");
        return vec![Problem { what, said, ..general(scenario, severity, kind) }];
    }
    problems
}

fn of_slo(scenario: &Scenario, slo: &Slo) -> Problem {
    let warns = slo.verdict() == Verdict::Warn;
    let severity = if warns { Severity::Warning } else { Severity::Error };
    let kind = match slo.verdict() {
        Verdict::Pass | Verdict::Warn | Verdict::Fail => "slo",
        Verdict::Inconclusive { .. } => "inconclusive",
        Verdict::NoData => "no_data",
    };
    Problem {
        what: on_one_line(&format!("{} / {}: {}", scenario.name, slo.name, slo.objective)),
        said: on_one_line(&slo.said()),
        notes: notes(&slo.drawing).into_iter().chain(slo.details()).collect(),
        spot: Spot::of(&slo.drawing).or_else(|| Spot::whole(&scenario.file)),
        ..general(scenario, severity, kind)
    }
}

/// A name for a problem that stays the same from run to run, whatever was measured and wherever its line has
/// moved to: 128 bits of FNV-1a over `parts`, in hexadecimal.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    // No text holds this byte, so that parts cannot run into one another.
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::report::fixture::{drawing, events};

    fn problems() -> Vec<Problem> {
        let mut run = Run::default();
        for stamped in events() {
            run.take(&stamped);
        }
        of_run(&run)
    }

    #[test]
    fn every_problem_of_a_run_is_told_where_it_was_written() {
        let told = problems().into_iter().map(|problem| {
            let spot = problem.spot.unwrap();
            let at = format!("{}:{}:{}", spot.path, spot.line, spot.column);
            let Problem { severity, what, kind, .. } = problem;
            format!("{severity:?} {kind} {what} at {at}")
        });
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
        Warning flaky quickstart / browse at scenarios/quickstart.yaml:6:23
        Error timeout(exchange) quickstart / prices at scenarios/quickstart.yaml:13:22
        Error timeout(wait) quickstart / shoppers at scenarios/quickstart.yaml:6:37
        Error slo quickstart / checkout-latency: 99.9% within 250ms at slos/shop.yaml:2:15
        Error inconclusive quickstart / search-availability: 99.9% good at slos/shop.yaml:2:15
        Error no_data quickstart / mail-availability: 99.9% good at slos/shop.yaml:2:15
        Error not_measured checkout-stack at scenarios/checkout-stack.yaml:1:1
        ");
    }

    #[test]
    fn a_run_of_nothing_is_a_problem() {
        let told = of_run(&Run::default());
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].kind.as_str(), told[0].severity), ("interrupted", Severity::Error));
    }

    #[rstest]
    #[case::within_a_line("200", "2:11-14")]
    #[case::beside_wide_signs("é: 1", "3:3-7")]
    #[case::at_the_end_of_its_line("200\n  é:", "2:11-14")]
    fn a_spot_ends_where_its_label_does(#[case] under: &str, #[case] at: &str) {
        let spot = Spot::of(&drawing("./a.yaml", "a:\n  status: 200\n  é: 1\n", under, "", "")).unwrap();
        assert_eq!(spot.path, "a.yaml");
        assert_eq!(format!("{}:{}-{}", spot.line, spot.column, spot.end), at);
    }

    #[test]
    fn a_fingerprint_is_of_all_its_parts_and_of_nothing_else() {
        assert_eq!(fingerprint(&["ab", "c"]), fingerprint(&["ab", "c"]));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_ne!(fingerprint(&["ab"]), fingerprint(&["ab", ""]));
        assert_eq!(fingerprint(&[]), "6c62272e07bb014262b821756295c58d");
    }
}
