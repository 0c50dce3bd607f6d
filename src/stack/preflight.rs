//! What Prometheus's and Alertmanager's own tools say of the user's files as they stand, before anything is changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::plan::PlannedStack;
use crate::probe::connect::Deadline;
use crate::probe::process::{Request, run};
use crate::units::Size;

/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most that is kept of what it says.
const SAID: Size = Size(16 << 10);

/// Checks the files; a tool that is not there has nothing to say.
pub(super) async fn check(planned: &PlannedStack) -> Result<(), Error> {
    if let Some(own) = &planned.prometheus {
        ask("promtool", &["check", "config", "--syntax-only"], std::slice::from_ref(&own.file)).await?;
        if !own.others.is_empty() {
            ask("promtool", &["check", "rules"], &own.others).await?;
        }
    }
    if let Some(own) = &planned.alertmanager {
        ask("amtool", &["check-config"], std::slice::from_ref(&own.file)).await?;
    }
    Ok(())
}

async fn ask(tool: &str, words: &[&str], files: &[PathBuf]) -> Result<(), Error> {
    let Some(program) = find(tool) else { return Ok(()) };
    let shown = files.iter().map(|file| file.display().to_string());
    let request = Request {
        program: program.display().to_string(),
        arguments: words.iter().map(|word| (*word).to_owned()).chain(shown).collect(),
        env: Vec::new(),
        folder: PathBuf::new(),
        user: None,
        stdin: None,
        limit: SAID,
    };
    let exchange = run(&request, &Deadline::after(PATIENCE)).await;
    let said = [exchange.stderr.text(), exchange.stdout.text()].join("\n");
    match exchange.result {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::Files(format!(
            "`{tool} {}` refuses what is written:\n{}",
            words.join(" "),
            said.trim()
        ))),
        Err(cause) => Err(Error::Files(format!("`{tool} {}`: {}", words.join(" "), cause.message))),
    }
}

/// A program on `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path: &PathBuf| Path::is_file(path))
}
