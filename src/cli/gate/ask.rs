//! Where the past comes from, and what is known of it.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::terms::Asked;
use super::{Arguments, save};
use crate::gate::{Decision, Judgement, Known, Verdict, decide};
use crate::history::own::{self, Measured};
use crate::history::{Look, Read, Wanted, known, prometheus};
use crate::prometheus::Client;
use crate::store::Store;

/// What a gate decided of each objective, in their order; or why it could not even begin.
pub(super) type Decided = Result<Vec<(Judgement, Decision)>, String>;

/// A source that could be opened.
#[derive(Debug)]
pub(super) enum Source {
    Prometheus(Client),
    Store(std::path::PathBuf),
    Run { measured: Measured, baseline: Option<String> },
}

impl Source {
    /// Checks what can be checked before anything is asked; what is wrong is the command line's fault.
    pub(super) fn open(arguments: &Arguments) -> Result<Self, String> {
        let past = &arguments.source.past;
        if let Some(address) = &past.prometheus {
            let access = arguments.source.reach.access(address)?;
            let client = Client::new(&access).map_err(|error| error.to_string())?;
            return Ok(Self::Prometheus(client));
        }
        if let Some(word) = arguments.source.reach.said() {
            return Err(format!(
                "`{word}` says how a Prometheus is reached, and none is asked: give `--prometheus`"
            ));
        }
        if let Some(path) = &past.store {
            return Ok(Self::Store(path.clone()));
        }
        let path = past.run.clone().unwrap_or_default();
        Ok(Self::Run { measured: events(&path)?, baseline: arguments.source.baseline.clone() })
    }

    /// Asks, and decides of all objectives together.
    pub(super) async fn decide(&self, wanted: &[Wanted<'_>], asked: &Asked) -> Decided {
        let mut look = asked.look;
        if let (Self::Prometheus(client), false) = (self, asked.at_given) {
            look.at = prometheus::now(client).await.map_err(|error| error.to_string())?;
        }
        let mut known = self.known(wanted, &look).await?;
        if let Self::Run { measured, baseline: Some(baseline) } = self {
            compare(wanted, &mut known, measured, baseline, asked)?;
        }
        if let Self::Prometheus(_) = self {
            let apart = look.at.duration_since(asked.now).abs();
            if !asked.at_given && apart > jiff::SignedDuration::from_secs(60) {
                let note =
                    format!("the clock of the Prometheus and ours are {apart:#} apart; its own counts");
                for past in known.iter_mut().filter_map(past) {
                    past.notes.push(note.clone());
                }
            }
        }
        let objectives: Vec<_> = wanted.iter().map(Wanted::target).zip(known).collect();
        Ok(decide(&objectives, &asked.terms))
    }

    /// What is known of each objective.
    pub(super) async fn known(&self, wanted: &[Wanted<'_>], look: &Look) -> Result<Vec<Known>, String> {
        let reads: Vec<Vec<Read>> = match self {
            Self::Prometheus(client) => {
                prometheus::read(client, wanted, look).await.map_err(|error| error.to_string())?
            }
            Self::Store(path) => {
                let store = Store::existing(path).map_err(|error| error.to_string())?;
                let of = |wanted: &Wanted<'_>| -> Result<Vec<Read>, _> {
                    wanted.parts.iter().map(|objective| own::part(&store, wanted, objective, look)).collect()
                };
                let all: Result<Vec<_>, crate::store::Error> = wanted.iter().map(of).collect();
                all.map_err(|error| error.to_string())?
            }
            Self::Run { measured, .. } => {
                let of = |wanted: &Wanted<'_>| {
                    wanted.parts.iter().map(|objective| measured.part(objective)).collect()
                };
                wanted.iter().map(of).collect()
            }
        };
        let mut look = *look;
        if let Self::Run { .. } = self {
            // A run is all there is: its window began when it did.
            look.from = Some(look.at - jiff::SignedDuration::from_secs(1));
        }
        let mut all: Vec<_> =
            wanted.iter().zip(reads).map(|(wanted, reads)| known(wanted, &look, &reads)).collect();
        if let Self::Run { measured, .. } = self {
            for past in all.iter_mut().filter_map(past) {
                past.window = format!("run {}", measured.run);
            }
        }
        Ok(all)
    }
}

fn past(known: &mut Known) -> Option<&mut crate::gate::Past> {
    match known {
        Known::Past(past) => Some(past),
        Known::Nothing(_) => None,
    }
}

/// What each SLI came to in a run whose events are in a file.
fn events(path: &Path) -> Result<Measured, String> {
    let said = |error: &dyn std::fmt::Display| format!("`{}` cannot be read: {error}", path.display());
    let file = File::open(path).map_err(|error| said(&error))?;
    Measured::read(BufReader::new(file)).map_err(|error| said(&error))
}

/// Adds what the comparison with an earlier run says.
fn compare(
    wanted: &[Wanted<'_>],
    known: &mut [Known],
    now: &Measured,
    baseline: &str,
    asked: &Asked,
) -> Result<(), String> {
    let path = Path::new(baseline);
    let before = if path.is_file() {
        events(path)?
    } else {
        let store = Store::existing(&save::store()).map_err(|error| error.to_string())?;
        let run = match baseline {
            "last-green" => store.last_green(&now.run).map_err(|error| error.to_string())?,
            id => store.run(id).map_err(|error| error.to_string())?,
        };
        let Some(run) = run else {
            return Err(match baseline {
                "last-green" => {
                    "no earlier run has passed, so there is no `last-green` to compare with".to_owned()
                }
                id => format!("there is no run `{id}` in `{}`", store.path().display()),
            });
        };
        let mut measured = Measured { run: run.id.clone(), ..Measured::default() };
        for objective in wanted.iter().flat_map(|wanted| &wanted.parts) {
            let Ok(sli) = own::sli(objective) else { continue };
            if let Some(samples) = store.of_run(&run.id, sli).map_err(|error| error.to_string())? {
                measured.slis.insert(sli.to_owned(), samples);
            }
        }
        measured
    };
    for (wanted, known) in wanted.iter().zip(known) {
        let (Some(past), [objective]) = (past(known), wanted.parts.as_slice()) else { continue };
        let (doubt, note) =
            own::compare(objective, now, &before, asked.margin, asked.terms.policy.confidence);
        past.notes.push(note);
        past.doubts.extend(doubt.filter(|(verdict, _)| *verdict != Verdict::Pass));
    }
    Ok(())
}
