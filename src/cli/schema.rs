//! `firedrill schema`: the JSON Schema of a kind of file.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use schemars::{Schema, schema_for};

use crate::event::Stamped;
use crate::exit::Exit;
use crate::scenario::profile::ProfileFile;
use crate::scenario::stack::StackWritten;
use crate::scenario::{FragmentWritten, ScenarioWritten};

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The kind of file
    kind: Kind,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A scenario
    Scenario,
    /// A fragment that scenarios use
    Fragment,
    /// A stack
    Stack,
    /// A stand-in's profile
    StandIn,
    /// An OpenSLO document
    Slo,
    /// A line of a saved run
    Run,
}

impl Kind {
    fn schema(self) -> Schema {
        match self {
            Self::Scenario => schema_for!(ScenarioWritten),
            Self::Fragment => schema_for!(FragmentWritten),
            Self::Stack => schema_for!(StackWritten),
            Self::StandIn => schema_for!(ProfileFile),
            Self::Slo => crate::slo::schema(),
            Self::Run => schema_for!(Stamped),
        }
    }
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &arguments.kind.schema())?;
    writeln!(out)?;
    Ok(Exit::Pass)
}
