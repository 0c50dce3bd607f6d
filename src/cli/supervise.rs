//! `firedrill supervise`: stands over one process of a stack. Not for people: a run starts it.

use std::ffi::OsString;

use clap::Args;

use crate::exit::Exit;
use crate::stack::processes::supervise::{Order, supervise};

/// Arguments of `supervise`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The user and group to run as, by number
    #[arg(long, value_name = "UID:GID", value_parser = user)]
    user: Option<(u32, u32)>,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "WORD")]
    words: Vec<OsString>,
}

fn user(text: &str) -> Result<(u32, u32), String> {
    let read = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    read.ok_or_else(|| "two numbers, as 106:113".to_owned())
}

pub(super) fn execute(arguments: Arguments) -> std::io::Result<Exit> {
    supervise(&Order { words: arguments.words, user: arguments.user })?;
    Ok(Exit::Pass)
}
