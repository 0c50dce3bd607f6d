//! `firedrill manual`: the manual pages, as `man` reads them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};

use super::Cli;
use crate::exit::Exit;

/// Arguments of `manual`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write the page of each verb into this folder; without it, the page of firedrill itself is printed
    #[arg(value_name = "FOLDER", help_heading = "Output")]
    folder: Option<PathBuf>,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &arguments.folder else {
        std::io::stdout().lock().write_all(&page(command)?)?;
        return Ok(Exit::Pass);
    };
    match written(&command, folder) {
        Ok(count) => {
            writeln!(std::io::stderr(), "{count} pages in `{}`", folder.display())?;
            Ok(Exit::Pass)
        }
        Err(error) => {
            writeln!(std::io::stderr(), "error: cannot write to `{}`: {error}", folder.display())?;
            Ok(Exit::NotMeasured)
        }
    }
}

/// Writes a page for firedrill and one for each verb that people use.
fn written(command: &Command, folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("firedrill.1"), page(command.clone())?)?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    let mut count = 1;
    for verb in verbs {
        let name = format!("firedrill-{}", verb.get_name());
        std::fs::write(folder.join(format!("{name}.1")), page(verb.clone())?)?;
        count += 1;
    }
    Ok(count)
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
