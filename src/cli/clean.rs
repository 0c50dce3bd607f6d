//! `firedrill clean`: remove what runs that were killed have left.

use std::io::Write as _;
use std::time::Duration;

use super::runtime;
use crate::exit::Exit;
use crate::stack::clean::clean;
use crate::stack::containers::{Engine, Error, Swept, sweep_the_dead};

/// How often is looked for what killed runs have left, at most.
const LOOKS: u32 = 10;

/// How long after one look the next one comes.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn execute() -> std::io::Result<Exit> {
    let removed = clean();
    let swept = runtime()?.block_on(async {
        match Engine::connect().await {
            Ok(engine) => sweep(&engine).await,
            // Where there is no engine, nothing was left at it.
            Err(Error::Absent { .. }) => Ok(Swept::default()),
            Err(error) => Err(error),
        }
    });
    let mut left = Vec::new();
    let of_swept = swept.as_ref().map_or(Swept::default(), |swept| *swept);
    let counts = [
        (removed.processes, "process"),
        (of_swept.containers, "container"),
        (of_swept.networks, "network"),
        (of_swept.volumes, "volume"),
    ];
    for (number, noun) in counts.into_iter().filter(|(number, _)| *number > 0) {
        left.push(counted(number, noun));
    }
    if removed.runs > 0 {
        left.push(format!("the files of {}", super::count(removed.runs, "run")));
    }
    let mut out = std::io::stdout().lock();
    if left.is_empty() {
        writeln!(out, "no run has left anything")?;
    } else {
        writeln!(out, "removed what killed runs left: {}", left.join(", "))?;
    }
    match swept {
        Ok(_) => Ok(Exit::Pass),
        Err(error) => {
            writeln!(
                std::io::stderr(),
                "error: what is left at the container engine cannot be removed: {error}"
            )?;
            Ok(Exit::NotMeasured)
        }
    }
}

/// Removes what is left at the engine, and looks again: what a run asked for right before it was killed may come into
/// being a moment later.
async fn sweep(engine: &Engine) -> Result<Swept, Error> {
    let mut all = sweep_the_dead(engine).await?;
    for _ in 1..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let late = sweep_the_dead(engine).await?;
        all.containers += late.containers;
        all.networks += late.networks;
        all.volumes += late.volumes;
        if late.is_empty() {
            break;
        }
    }
    Ok(all)
}

fn counted(number: usize, noun: &str) -> String {
    if noun == "process" && number != 1 { format!("{number} processes") } else { super::count(number, noun) }
}
