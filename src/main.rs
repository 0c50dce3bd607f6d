//! The `firedrill` command.

use std::process::ExitCode;

use clap::Parser as _;
use firedrill::cli::Cli;
use firedrill::exit::Exit;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(exit) => exit.into(),
        // Whoever reads our output has gone, as `head` does; there is nobody left to tell.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::NotMeasured.into(),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "error: {error}");
            Exit::NotMeasured.into()
        }
    }
}
