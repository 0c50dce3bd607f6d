//! Where runs are saved: their events in a file each, what they measured and concluded in the store.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::report::{Format, Report, Target};
use crate::store::{FILE, FOLDER, Recorder, Store};

/// Says that nothing is to be saved.
const NO_SAVE: &str = "FIREDRILL_NO_SAVE";

/// What keeps it out.
const IGNORE: &str = "# Made by firedrill: saved runs and their history.\n*\n";

/// Whether the environment says that nothing is to be saved.
pub(super) fn forbidden() -> bool {
    std::env::var_os(NO_SAVE).is_some_and(|value| !value.is_empty() && value != "0")
}

/// The store of the folder we are in, made if it is not there.
pub(super) fn opened() -> Result<Store, String> {
    let store = Store::open(&store()).map_err(|error| error.to_string())?;
    ignore()?;
    Ok(store)
}

/// Keeps the folder out of everybody's repository.
fn ignore() -> Result<(), String> {
    let ignore = Path::new(FOLDER).join(".gitignore");
    if ignore.exists() {
        return Ok(());
    }
    std::fs::write(&ignore, IGNORE).map_err(|error| format!("cannot create `{}`: {error}", ignore.display()))
}

/// The store of the folder we are in.
pub(super) fn store() -> PathBuf {
    Path::new(FOLDER).join(FILE)
}

/// The folder of the runs' events.
pub(super) fn runs() -> PathBuf {
    Path::new(FOLDER).join("runs")
}

/// What saves the run of this name; nothing where the environment says so, or where it cannot be done, which is
/// said.
pub(super) fn reports(id: &str, now: Timestamp) -> io::Result<Vec<Box<dyn Report>>> {
    if forbidden() {
        return Ok(Vec::new());
    }
    match open(id, now) {
        Ok(reports) => Ok(reports.into()),
        Err(why) => {
            writeln!(io::stderr(), "warning: this run is not saved: {why} (`--no-save` saves none)")?;
            Ok(Vec::new())
        }
    }
}

/// Where what the drills of a run have seen is kept.
pub(super) fn recordings(id: &str) -> PathBuf {
    Path::new(FOLDER).join("runs").join(id).with_extension(crate::dilation::ENDING)
}

/// The events' file and the store.
fn open(id: &str, now: Timestamp) -> Result<[Box<dyn Report>; 2], String> {
    let path = runs().join(format!("{id}.jsonl"));
    let events =
        Target { format: Format::Json, path: path.clone() }.open().map_err(|error| error.to_string())?;
    ignore()?;
    let recorder = Recorder::new(&store(), Some(path.display().to_string()), now);
    Ok([events, Box::new(recorder.map_err(|error| error.to_string())?)])
}
