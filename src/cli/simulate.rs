//! `firedrill simulate`: a stand-in, served until stopped.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Colour, runtime};
use crate::exit::Exit;
use crate::plan::read_profile;
use crate::simulate;

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The stand-in's profile
    #[arg(value_name = "PROFILE", help_heading = "Input")]
    profile: PathBuf,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", help_heading = "Run")]
    listen: SocketAddr,

    /// Make what is random repeatable
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    seed: Option<u64>,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let profile = match read_profile(&arguments.profile) {
        Ok(profile) => profile,
        Err((sources, findings)) => {
            let mut err = std::io::stderr().lock();
            let colour = colour.wanted(&err);
            for finding in &findings {
                writeln!(err, "{}\n", finding.draw(&sources).render(colour))?;
            }
            return Ok(Exit::Usage);
        }
    };
    runtime()?.block_on(async {
        // Before anybody can read that it listens, and stop it.
        let signalled = super::run::signalled();
        let seed = arguments.seed.unwrap_or_else(rand::random);
        let stand_in =
            match simulate::start(&profile, arguments.listen, seed, Box::new(std::io::stdout())).await {
                Ok(stand_in) => stand_in,
                Err(error) => {
                    writeln!(std::io::stderr(), "error: cannot listen on {}: {error}", arguments.listen)?;
                    return Ok(Exit::NotMeasured);
                }
            };
        // Where its log lines are read by a program, nothing else is among them.
        let mut out: Box<dyn std::io::Write> = match profile.log {
            Some(_) => Box::new(std::io::stderr()),
            None => Box::new(std::io::stdout()),
        };
        writeln!(out, "{} listens on http://{}", profile.name, stand_in.address())?;
        signalled.await;
        stand_in.stop().await;
        Ok(Exit::Pass)
    })
}
