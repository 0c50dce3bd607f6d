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

/// A file that the tool of the program it is for refuses as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub file: PathBuf,
    /// The tool, with its words: `amtool check-config`.
    pub tool: String,
    /// All that it said.
    pub said: String,
}

impl From<Refused> for Error {
    fn from(Refused { tool, said, .. }: Refused) -> Self {
        Self::Files(format!("`{tool}` refuses what is written:\n{said}"))
    }
}

/// The files of a stack that are refused; a tool that is not there has nothing to say.
///
/// # Errors
/// When a tool does not come to an end.
pub async fn refused(planned: &PlannedStack) -> Result<Vec<Refused>, Error> {
    let mut refused = Vec::new();
    if let Some(own) = &planned.prometheus {
        refused.extend(ask("promtool", &["check", "config", "--syntax-only"], &own.file).await?);
        for rules in &own.others {
            refused.extend(ask("promtool", &["check", "rules"], rules).await?);
        }
    }
    if let Some(own) = &planned.alertmanager {
        refused.extend(ask("amtool", &["check-config"], &own.file).await?);
    }
    Ok(refused)
}

/// Fails at the first file that is refused.
pub(super) async fn check(planned: &PlannedStack) -> Result<(), Error> {
    refused(planned).await?.into_iter().next().map_or(Ok(()), |first| Err(first.into()))
}

async fn ask(tool: &str, words: &[&str], file: &Path) -> Result<Option<Refused>, Error> {
    let Some(program) = find(tool) else { return Ok(None) };
    let shown = std::iter::once(file.display().to_string());
    let tool = format!("{tool} {}", words.join(" "));
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
        Ok(status) if status.success() => Ok(None),
        Ok(_) => Ok(Some(Refused { file: file.to_owned(), tool, said: said.trim().to_owned() })),
        Err(cause) => Err(Error::Files(format!("`{tool}`: {}", cause.message))),
    }
}

/// A program on `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path: &PathBuf| Path::is_file(path))
}
