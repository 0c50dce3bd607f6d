//! Scenarios against a test's own peers, from their text to the events of their run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use firedrill::event::{Event, Evidence, Failure, Outcome, Sender, Stamped};
use firedrill::plan::{Reading, Surroundings, read};
use firedrill::run::{Jobs, Options, run};
use tokio_util::sync::CancellationToken;

/// A folder of a test's own, with the files it needs.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder called `name`, which no other test may use.
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The folder with a file more.
    pub(crate) fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self
    }

    /// What planning a scenario with these steps gives.
    pub(crate) fn plan(self, steps: &str, secrets: &[(&str, &str)]) -> Reading {
        let scenario = format!("scenario: test\nsteps:\n{steps}\n");
        let folder = self.with("scenario.yaml", scenario);
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let surroundings = Surroundings { environment: BTreeMap::new(), secrets: secrets.collect() };
        read(&[folder.0.join("scenario.yaml")], &surroundings)
    }

    /// The findings of a scenario with these steps, as drawn, without the folder's path.
    pub(crate) fn findings(self, steps: &str) -> String {
        let folder = self.0.clone();
        let reading = self.plan(steps, &[]);
        let drawn = reading.findings.iter().map(|finding| finding.draw(&reading.sources).render(false));
        drawn.collect::<Vec<_>>().join("\n\n").replace(&format!("{}/", folder.display()), "")
    }

    /// Runs a scenario with these steps.
    pub(crate) async fn run(self, steps: &str, secrets: &[(&str, &str)]) -> Rehearsed {
        let reading = self.plan(steps, secrets);
        let drawn = reading.findings.iter().map(|finding| finding.draw(&reading.sources).render(false));
        let drawn: String = drawn.collect();
        let plan = reading.plan.unwrap_or_else(|| panic!("{drawn}"));
        let (sender, mut events) = Sender::new(plan.mask.clone(), Instant::now());
        let options = Options {
            id: "test".into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            seed: 7,
            policy: Arc::default(),
            traced: false,
            runtime: firedrill::stack::Choice::Processes,
            images: firedrill::stack::containers::ImageMap::default(),
            recordings: Vec::new(),
            jobs: Jobs::ONE,
            shard: firedrill::load::Shard::default(),
            program: env!("CARGO_BIN_EXE_firedrill").into(),
        };
        run(&plan, Arc::new(reading.sources), &options, &sender, &CancellationToken::new()).await;
        drop(sender);
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        Rehearsed(all)
    }
}

/// The events of a run.
pub(crate) struct Rehearsed(Vec<Stamped>);

impl Rehearsed {
    /// Every attempt in order: what was wrong, and what was seen.
    pub(crate) fn attempts(&self) -> Vec<(&[Failure], &Evidence)> {
        let attempts = self.0.iter().filter_map(|stamped| {
            let Event::Attempted { failures, evidence, .. } = &stamped.event else { return None };
            Some((failures.as_slice(), evidence.as_ref()))
        });
        attempts.collect()
    }

    /// What was wrong with each attempt: `reason: title`.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failures = self.attempts().into_iter().flat_map(|(failures, _)| failures);
        failures.map(|failure| format!("{}: {}", failure.reason, failure.drawing.title)).collect()
    }

    /// How each step ended.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let outcomes = self.0.iter().filter_map(|stamped| {
            let Event::StepEnded { outcome, .. } = &stamped.event else { return None };
            Some(*outcome)
        });
        outcomes.collect()
    }
}
