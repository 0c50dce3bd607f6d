//! `firedrill schema`: the JSON Schema of a kind of file.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use crate::event::Stamped;
use crate::exit::Exit;
use crate::scenario::gate::GateWritten;
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
    /// The terms of a gate
    Gate,
    /// A line of a saved run
    Run,
}

impl Kind {
    fn schema(self) -> Schema {
        let (mut schema, title) = match self {
            Self::Scenario => (schema_for!(ScenarioWritten), "firedrill scenario"),
            Self::Fragment => (schema_for!(FragmentWritten), "firedrill fragment"),
            Self::Stack => (schema_for!(StackWritten), "firedrill stack"),
            Self::StandIn => (schema_for!(ProfileFile), "firedrill stand-in"),
            Self::Slo => return crate::slo::schema(),
            Self::Gate => (schema_for!(GateWritten), "firedrill gate"),
            Self::Run => return schema_for!(Stamped),
        };
        schema.insert("title".to_owned(), title.into());
        RecursiveTransform(without_quotes).transform(&mut schema);
        schema
    }
}

/// Lets text that looks like a number or a truth stand without quotes, as files may have it: `version: 1.10`.
fn without_quotes(schema: &mut Schema) {
    if ["const", "enum", "pattern"].iter().any(|key| schema.get(*key).is_some()) {
        return;
    }
    let widened = match schema.get("type") {
        Some(Value::String(only)) if only == "string" => json!(["string", "number", "boolean"]),
        Some(several) if *several == json!(["string", "null"]) => {
            json!(["string", "number", "boolean", "null"])
        }
        _ => return,
    };
    schema.insert("type".to_owned(), widened);
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &arguments.kind.schema())?;
    writeln!(out)?;
    Ok(Exit::Pass)
}
