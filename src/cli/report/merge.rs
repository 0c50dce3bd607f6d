//! `firedrill report merge`: the loads of several saved runs as one, as if one generator had made them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{Colour, Format, run};
use crate::event::{Event, Interval, Nanos, Sharded, StepId, Tally};
use crate::exit::Exit;
use crate::load::Times;
use crate::report::{json, load_table};
use crate::sli::{Counts, NotPacked};

/// Arguments of `report merge`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Saved runs: `--report json=FILE`, or `.firedrill/runs/ID.jsonl`
    #[arg(required = true, value_name = "FILE", help_heading = "Input")]
    files: Vec<PathBuf>,

    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

/// Why files cannot be merged.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{}` cannot be read: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("`{}`: {source}", path.display())]
    Event { path: PathBuf, source: json::Error },
    #[error("`{}`, line {line}: {source}", path.display())]
    Histogram { path: PathBuf, line: usize, source: NotPacked },
    #[error("`{}` is of the same run as another file: it would count twice", path.display())]
    Twice { path: PathBuf },
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let mut merged = Merged::default();
    for path in &arguments.files {
        if let Err(error) = merged.read(path) {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::Usage);
        }
    }
    let missing = merged.missing();
    let mut out = std::io::stdout().lock();
    let style = run::style_of(colour, &out);
    for ((scenario, name), load) in &merged.loads {
        match arguments.format {
            Format::Text => {
                writeln!(out, "{}", crate::report::printable(&format!("{scenario}: {name}")))?;
                write!(out, "{}", load_table(&load.tally(), &[], style))?;
            }
            Format::Json => {
                let step = serde_json::json!({ "scenario": scenario, "step": name, "tally": load.tally() });
                writeln!(out, "{step}")?;
            }
        }
    }
    if merged.loads.is_empty() {
        writeln!(std::io::stderr(), "error: there is no load in these files")?;
        return Ok(Exit::NotMeasured);
    }
    for what in &missing {
        writeln!(std::io::stderr(), "missing: {}", crate::report::printable(what))?;
    }
    Ok(if missing.is_empty() { Exit::Pass } else { Exit::Inconclusive })
}

/// The loads of some files, each by its scenario and its step's name.
#[derive(Default)]
struct Merged {
    runs: BTreeSet<String>,
    loads: BTreeMap<(String, String), Load>,
    /// Files that end before their run did.
    cut: Vec<String>,
}

/// One load, of as many as made it.
#[derive(Default)]
struct Load {
    due: u64,
    begun: u64,
    counts: Counts,
    reasons: BTreeMap<String, u64>,
    latency: Times,
    service: Times,
    lateness: Times,
    waited: u64,
    in_flight_peak: u64,
    length: Nanos,
    lasted: Nanos,
    /// Which parts of it are among the files.
    shards: Vec<Sharded>,
    /// Files in which it began and did not end.
    unfinished: BTreeSet<String>,
}

impl Merged {
    fn read(&mut self, path: &Path) -> Result<(), Error> {
        let file =
            std::fs::File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let file_name = path.display().to_string();
        for (line, event) in (1..).zip(json::read(BufReader::new(file))) {
            let event = match event {
                Ok(stamped) => stamped.event,
                Err(json::Error::Cut { .. }) => {
                    self.cut.push(file_name.clone());
                    break;
                }
                Err(source) => return Err(Error::Event { path: path.to_owned(), source }),
            };
            if let Event::RunStarted { run, .. } = event {
                if !self.runs.insert(run) {
                    return Err(Error::Twice { path: path.to_owned() });
                }
            } else if let Event::Loading { step, interval: Some(interval), .. } = event {
                let load = self.load(&step);
                load.unfinished.insert(file_name.clone());
                let told = |source| Error::Histogram { path: path.to_owned(), line, source };
                load.add(&interval).map_err(told)?;
            } else if let Event::Loaded { step, tally, shard, .. } = event {
                let load = self.load(&step);
                load.unfinished.remove(&file_name);
                load.end(&tally, shard);
            }
        }
        Ok(())
    }

    fn load(&mut self, step: &StepId) -> &mut Load {
        self.loads.entry((step.scenario.clone(), step.name.clone())).or_default()
    }

    /// What is not there of what the files speak of.
    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<_> = self.cut.iter().map(|file| format!("the end of `{file}`")).collect();
        for ((_, name), load) in &self.loads {
            missing.extend(load.unfinished.iter().map(|file| format!("the end of `{name}` in `{file}`")));
            missing.extend(load.missing_shards().map(|part| format!("part {part} of `{name}`")));
        }
        missing
    }
}

impl Load {
    fn add(&mut self, interval: &Interval) -> Result<(), NotPacked> {
        self.latency.add(&interval.latency)?;
        self.service.add(&interval.service)?;
        self.lateness.add(&interval.lateness)?;
        self.due += interval.due;
        self.begun += interval.begun;
        self.counts = self.counts.plus(interval.counts);
        for (reason, count) in &interval.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        Ok(())
    }

    fn end(&mut self, tally: &Tally, shard: Option<Sharded>) {
        self.waited += tally.waited;
        // They need not have been in flight at the same moment: it is no more than this.
        self.in_flight_peak += tally.in_flight_peak;
        self.length = self.length.max(tally.length);
        self.lasted = self.lasted.max(tally.lasted);
        self.shards.extend(shard);
    }

    /// Which parts are in none of the files, as `3 of 4`; also those that are there twice.
    fn missing_shards(&self) -> impl Iterator<Item = String> {
        let of = self.shards.iter().map(|shard| shard.of).max().unwrap_or(0);
        (1..=of).filter_map(move |number| {
            match self.shards.iter().filter(|shard| shard.number == number && shard.of == of).count() {
                0 => Some(format!("{number} of {of}")),
                1 => None,
                times => Some(format!("a single {number} of {of}, which is there {times} times,")),
            }
        })
    }

    fn tally(&self) -> Tally {
        Tally {
            due: self.due,
            begun: self.begun,
            ended: self.counts.valid(),
            good: self.counts.good,
            in_flight: 0,
            reasons: self.reasons.clone(),
            latency: self.latency.quantiles(),
            service: self.service.quantiles(),
            lateness: self.lateness.quantiles(),
            waited: self.waited,
            in_flight_peak: self.in_flight_peak,
            length: self.length,
            lasted: self.lasted,
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;
    use crate::event::Stamped;
    use crate::sli::pack;

    fn histogram(nanos: &[u64]) -> String {
        let mut histogram = Histogram::new_with_max(3_600_000_000_000, 3).unwrap();
        for nanos in nanos {
            histogram.record(*nanos).unwrap();
        }
        pack(&histogram)
    }

    /// A run in which part `number` of two made attempts that took so long; with `whole`, to its end.
    fn saved(number: u64, nanos: &[u64], whole: bool) -> PathBuf {
        let step = StepId { scenario: "s".into(), number: 0, name: "visitors".into(), kind: "load".into() };
        let count = nanos.len() as u64;
        let interval = Interval {
            due: count,
            begun: count,
            counts: Counts { good: count - 1, bad: 1 },
            reasons: [("status".to_owned(), 1)].into(),
            latency: histogram(nanos),
            service: histogram(nanos),
            lateness: histogram(&vec![1_000; nanos.len()]),
        };
        let tally = Tally { in_flight_peak: 3, length: Nanos(1_000_000_000), ..Tally::default() };
        let mut events = vec![
            Event::RunStarted { run: format!("run-{number}"), version: "0".into(), started: "now".into() },
            Event::Loading {
                step: step.clone(),
                elapsed: Nanos(1),
                length: Nanos(1),
                tally: Tally::default(),
                recent: crate::event::Quantiles::default(),
                interval: Some(Box::new(interval)),
            },
        ];
        let shard = Some(Sharded { number, of: 2 });
        events.extend(whole.then(|| Event::Loaded {
            step,
            tally,
            failures: vec![],
            samples: vec![],
            sli: None,
            parts: vec![],
            shard,
        }));
        let lines =
            events.into_iter().map(|event| serde_json::to_string(&Stamped { at: 0, event }).unwrap() + "\n");
        let file = std::env::temp_dir()
            .join(format!("firedrill-merge-{}-{number}-{whole}-{count}.jsonl", std::process::id()));
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        file
    }

    fn merged(files: &[PathBuf]) -> Result<Merged, Error> {
        let mut merged = Merged::default();
        let read = files.iter().try_for_each(|file| merged.read(file));
        for file in files {
            std::fs::remove_file(file).ok();
        }
        read.map(|()| merged)
    }

    #[test]
    fn parts_add_up_to_what_one_would_have_measured() {
        let (a, b) = ([5_000_000, 7_000_000, 9_000_000], [1_000_000, 80_000_000]);
        let together = merged(&[saved(1, &a, true), saved(2, &b, true)]).unwrap();
        let whole = merged(&[saved(1, &[&a[..], &b[..]].concat(), true)]).unwrap();
        let tally = |merged: &Merged| merged.loads.values().next().unwrap().tally();
        let (together_tally, whole_tally) = (tally(&together), tally(&whole));
        assert_eq!(together_tally.latency, whole_tally.latency);
        assert_eq!((together_tally.due, together_tally.ended, together_tally.good), (5, 5, 3));
        assert_eq!(together_tally.reasons, [("status".to_owned(), 2)].into());
        assert_eq!(together_tally.in_flight_peak, 6);
        assert_eq!(together.missing(), Vec::<String>::new());
        assert_eq!(whole.missing(), ["part 2 of 2 of `visitors`"]);
    }

    #[test]
    fn what_has_no_end_is_missing() {
        let merged = merged(&[saved(1, &[1, 2, 3, 4], true), saved(2, &[5, 6], false)]).unwrap();
        let missing = merged.missing();
        assert!(missing[0].starts_with("the end of `visitors` in `"), "{missing:?}");
        assert_eq!(missing[1], "part 2 of 2 of `visitors`");
    }

    #[test]
    fn the_same_run_does_not_count_twice() {
        let (one, again) = (saved(1, &[1], true), saved(1, &[1, 2], true));
        assert!(matches!(merged(&[one, again]), Err(Error::Twice { .. })));
    }
}
