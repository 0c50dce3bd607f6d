//! `firedrill incident what-if`: a number for a change of rules before it is merged.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{bench, refused, since};
use crate::cli::runtime;
use crate::exit::Exit;
use crate::incident::{self, Episode, Error, Incident, Page, Replayed, pages};
use crate::report::on_one_line;
use crate::source::Sources;

/// Arguments of `incident what-if`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of an incident
    #[arg(value_name = "FOLDER", help_heading = "Input")]
    folder: PathBuf,

    /// A rule file as proposed, in place of all that were loaded; may be given several times
    #[arg(long, value_name = "FILE", required = true, help_heading = "Input")]
    rules: Vec<PathBuf>,

    /// An alertmanager.yml as proposed, in place of the recorded one
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    alertmanager: Option<PathBuf>,

    /// Since when time is counted, RFC 3339; without it, since the first sign that either set of rules gave
    #[arg(long, value_name = "TIME", help_heading = "Input")]
    began: Option<Timestamp>,
}

/// What one set of rules made of it.
struct Account {
    replayed: Replayed,
    told: Option<Vec<Page>>,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    match runtime()?.block_on(asked(arguments)) {
        Ok((incident, was, proposed)) => {
            let signs = was.replayed.alerts.iter().chain(&proposed.replayed.alerts).map(|one| one.pending);
            let began = arguments.began.map(Timestamp::as_millisecond).or_else(|| signs.min());
            said(&incident, &was, &proposed, began.unwrap_or(incident.manifest.from))
        }
        Err(error) => refused(&error),
    }
}

async fn asked(arguments: &Arguments) -> Result<(Incident, Account, Account), Error> {
    let incident = Incident::read(&arguments.folder)?;
    let mut sources = Sources::default();
    let proposed = incident::subject(arguments.rules.clone(), arguments.alertmanager.clone(), &mut sources)?;
    let mut bench = bench().await?;
    let was = incident::replay(&mut bench, &incident, &incident.subject.rules).await;
    let new = incident::replay(&mut bench, &incident, &proposed.rules).await;
    bench.end().await;
    let to = incident.manifest.to;
    let account = |replayed: Replayed, routing: Option<&crate::route::Config>| {
        let told = routing.map(|routing| pages(&replayed.alerts, routing, to));
        Account { replayed, told }
    };
    let recorded = incident.subject.routing.as_ref();
    let was = account(was?, recorded);
    let new = account(new?, proposed.routing.as_ref().or(recorded));
    Ok((incident, was, new))
}

fn said(incident: &Incident, was: &Account, proposed: &Account, began: i64) -> std::io::Result<Exit> {
    let both = [was, proposed];
    let mut rows: Vec<[String; 3]> = vec![[String::new(), "as it was".to_owned(), "as proposed".to_owned()]];
    let mut row = |what: &str, cells: [String; 2]| {
        let [first, second] = cells;
        rows.push([what.to_owned(), first, second]);
    };
    let at = |moment: Option<i64>| moment.map_or("never".to_owned(), |at| since(began, at));
    row("first alert fires", both.map(|one| at(first_fired(&one.replayed.alerts))));
    row(
        "first page is sent",
        both.map(|one| match &one.told {
            Some(told) => at(told.first().map(|page| page.at)),
            None => "no routing".to_owned(),
        }),
    );
    row(
        "pages sent",
        both.map(|one| one.told.as_ref().map_or("no routing".to_owned(), |told| told.len().to_string())),
    );
    let mut names: Vec<String> =
        both.iter().flat_map(|one| &one.replayed.alerts).map(|one| one.name().to_owned()).collect();
    names.sort();
    names.dedup();
    for name in &names {
        let of = |one: &Account| {
            one.replayed.alerts.iter().filter(|one| one.name() == name).cloned().collect::<Vec<_>>()
        };
        row(name, both.map(|one| episodes(&of(one), began)));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}, times since its first sign\n", on_one_line(&incident.manifest.incident))?;
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (first, second) = (widest(0), widest(1));
    for [what, was, proposed] in &rows {
        let line = format!(
            "  {:first$}  {:second$}  {}",
            on_one_line(what),
            on_one_line(was),
            on_one_line(proposed)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    for note in was
        .replayed
        .notes
        .iter()
        .map(|note| ("as it was", note))
        .chain(proposed.replayed.notes.iter().map(|note| ("as proposed", note)))
    {
        writeln!(out, "  ! {}: {}", note.0, on_one_line(note.1))?;
    }
    let (then, now) = (first_fired(&was.replayed.alerts), first_fired(&proposed.replayed.alerts));
    writeln!(out, "\n{}", verdict(then, now))?;
    let worse = then.is_some_and(|then| now.is_none_or(|now| now > then));
    Ok(if worse { Exit::Fail } else { Exit::Pass })
}

fn first_fired(alerts: &[Episode]) -> Option<i64> {
    alerts.iter().filter_map(|one| one.fired).min()
}

/// What one alert did: how often it fired, and when first.
fn episodes(alerts: &[Episode], began: i64) -> String {
    let fired = alerts.iter().filter(|one| one.fired.is_some()).count();
    match (first_fired(alerts), alerts.len()) {
        (Some(at), _) if fired == 1 => format!("fires after {}", since(began, at)),
        (Some(at), _) => format!("fires {fired} times, first after {}", since(began, at)),
        (None, 0) => "-".to_owned(),
        (None, _) => "pending only".to_owned(),
    }
}

fn verdict(then: Option<i64>, now: Option<i64>) -> String {
    match (then, now) {
        (None, None) => "no rule of either would have fired".to_owned(),
        (None, Some(_)) => "SOONER the proposed rules fire, and those in force did not".to_owned(),
        (Some(_), None) => "NEVER the proposed rules do not fire at all".to_owned(),
        (Some(then), Some(now)) if now < then => format!("SOONER by {}", since(now, then)),
        (Some(then), Some(now)) if now > then => format!("LATER by {}", since(then, now)),
        (Some(_), Some(_)) => "AS SOON as before".to_owned(),
    }
}
