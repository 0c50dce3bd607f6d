//! A gate's decisions as events, and in the store.

use std::io::Write as _;
use std::time::Instant;

use super::ask::Decided;
use super::save;
use super::terms::Asked;
use crate::event::{Conclusion, Event, Sender};
use crate::finding::{Drawing, Severity, excerpts};
use crate::gate::{Decision, Judgement, Verdict};
use crate::history::Wanted;
use crate::source::Sources;
use crate::store;

/// Tells what a gate decided, as the events of a run.
pub(super) struct Telling<'a> {
    pub(super) sources: &'a Sources,
    pub(super) sender: &'a Sender,
    pub(super) asked: &'a Asked,
    pub(super) began: Instant,
}

impl Telling<'_> {
    pub(super) fn begin(&self, wanted: &[Wanted<'_>]) {
        let file = wanted
            .first()
            .map(|wanted| self.sources.file(wanted.slo.name.place.file).path.display().to_string());
        self.sender.send(Event::RunStarted {
            run: super::run::new_id(self.asked.now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.asked.now.to_string(),
        });
        self.sender.send(Event::ScenarioStarted {
            scenario: self.asked.gate.clone(),
            file: file.unwrap_or_default(),
            about: Some(format!("error budgets at {:.0}", self.asked.look.at)),
            labels: [].into(),
            steps: Vec::new(),
        });
    }

    pub(super) fn end(&self, wanted: &[Wanted<'_>], decided: &Decided) -> Conclusion {
        let scenario = self.asked.gate.clone();
        let conclusion = match decided {
            Ok(decided) => {
                for (wanted, (judgement, decision)) in wanted.iter().zip(decided) {
                    self.judged(wanted, judgement, decision);
                }
                Verdict::worst(decided.iter().map(|(_, decision)| decision.effective())).into()
            }
            Err(why) => {
                self.sender.send(Event::NotMeasured { scenario: scenario.clone(), why: why.clone() });
                Conclusion::NotMeasured
            }
        };
        let took = self.began.elapsed().into();
        self.sender.send(Event::ScenarioEnded { scenario, conclusion, took });
        self.sender.send(Event::RunEnded { conclusion, took, interrupted: false, cut: false });
        conclusion
    }

    fn judged(&self, wanted: &Wanted<'_>, judgement: &Judgement, decision: &Decision) {
        let place = wanted.parts.first().map_or(wanted.slo.name.place, |part| part.place);
        let severity = match decision.effective() {
            Verdict::Pass | Verdict::Warn => Severity::Warning,
            Verdict::Fail | Verdict::Inconclusive { .. } | Verdict::NoData => Severity::Error,
        };
        let drawing = Drawing {
            severity,
            code: None,
            title: decision.said(),
            excerpts: excerpts(std::iter::once((place, "this objective", true)), self.sources),
            help: None,
        };
        self.sender.send(Event::Judged {
            scenario: self.asked.gate.clone(),
            slo: wanted.slo.name.value.clone(),
            objective: wanted.objective(),
            judgement: *judgement,
            drawing,
            decision: Some(Box::new(decision.clone())),
        });
    }
}

/// Keeps what was decided; whether that could be done, or nothing has to be.
pub(super) fn keep(wanted: &[Wanted<'_>], decided: &Decided, asked: &Asked) -> std::io::Result<bool> {
    let Ok(decided) = decided else { return Ok(true) };
    if let Err(why) = keep_all(wanted, decided, asked) {
        writeln!(std::io::stderr(), "warning: the decision is not kept: {why} (`--no-save` keeps none)")?;
        // Nobody goes through nevertheless without leaving a trace.
        return Ok(decided.iter().all(|(_, decision)| decision.overridden.is_none()));
    }
    Ok(true)
}

fn keep_all(wanted: &[Wanted<'_>], decided: &[(Judgement, Decision)], asked: &Asked) -> Result<(), String> {
    let store = save::opened()?;
    for (wanted, (_, decision)) in wanted.iter().zip(decided) {
        let kept = store.decided(&store::Decided {
            at: asked.now.to_string(),
            slo: wanted.slo.name.value.clone(),
            objective: wanted.objective(),
            verdict: decision.verdict.to_string(),
            said: decision.reason.clone(),
            overridden: decision.overridden.clone().map(|one| (one.reason, one.by)),
        });
        kept.map_err(|error| error.to_string())?;
    }
    Ok(())
}
