//! `firedrill completions`: what a shell needs to complete the words of this command line.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::exit::Exit;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
  firedrill completions bash > /etc/bash_completion.d/firedrill
  firedrill completions zsh > ~/.zfunc/_firedrill
  firedrill completions fish > ~/.config/fish/completions/firedrill.fish")]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    // Whoever reads may go before the end, which the generator would take for a bug.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "firedrill", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Pass)
}
