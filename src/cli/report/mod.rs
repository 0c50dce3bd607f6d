//! `firedrill report`: what saved runs say.

mod merge;

use clap::{Args, Subcommand};

use super::Colour;
use crate::exit::Exit;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add up what several generators measured of one load, exactly
    Merge(merge::Arguments),
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    match &arguments.verb {
        Verb::Merge(arguments) => merge::execute(arguments, colour),
    }
}
