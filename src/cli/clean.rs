//! `firedrill clean`: remove what runs that were killed have left.

use std::io::Write as _;

use crate::exit::Exit;
use crate::stack::clean::clean;

pub(super) fn execute() -> std::io::Result<Exit> {
    let removed = clean();
    let mut out = std::io::stdout().lock();
    if removed.runs == 0 {
        writeln!(out, "no run has left anything")?;
    } else {
        let runs = super::count(removed.runs, "killed run");
        let them = match removed.processes {
            0 => "files".to_owned(),
            1 => "a process and files".to_owned(),
            more => format!("{more} processes and files"),
        };
        writeln!(out, "removed what {runs} left: {them}")?;
    }
    Ok(Exit::Pass)
}
