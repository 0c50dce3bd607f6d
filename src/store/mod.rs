//! What was measured, kept: the minutes of every SLI, and runs with their verdicts, in SQLite.
//!
//! Whatever a call has returned from is on disk: a process that is killed loses nothing it was told is safe. The
//! tables are described in `docs/store.md`, and are made to be read by others.

mod decision;
mod minutes;
mod recorder;
mod runs;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use self::decision::Decided;
pub use self::minutes::{Retention, Slice};
pub use self::recorder::Recorder;
pub use self::runs::SavedRun;

/// Where a run is saved, below the folder it was started in.
pub const FOLDER: &str = ".firedrill";

/// The store's file in that folder.
pub const FILE: &str = "store.db";

/// How long another process may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// The history of SLIs and runs.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no store at `{0}`; a run makes one, and `--store FILE` says where it is")]
    Missing(PathBuf),
    /// The folder it should be in cannot be made.
    #[error("cannot create `{path}`: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is somebody else's.
    #[error("`{0}` is no store of firedrill's, and is left alone")]
    Foreign(PathBuf),
    /// A later firedrill made it.
    #[error(
        "`{path}` was written by a newer firedrill (its layout is {found}, this one knows {known}); \
         use that one, or another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its layout.
        found: u32,
        /// The latest that is known here.
        known: u32,
    },
    /// Nobody may change it.
    #[error("`{0}` is read-only: make it writable, or name another file")]
    ReadOnly(PathBuf),
    /// Others write to it, for longer than we wait.
    #[error("`{0}` is in use: another process has been writing for 10 s")]
    Busy(PathBuf),
    /// It cannot be read or written.
    #[error("`{path}` cannot be used: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl Store {
    /// Opens a store, or makes one, with the folders above it.
    ///
    /// # Errors
    /// When it cannot be made, is another program's or a newer firedrill's.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let failed = |source| Error::Folder { path: folder.to_owned(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        Self::connect(path, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is none.
    pub fn existing(path: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Err(Error::Missing(path.to_owned()));
        }
        Self::connect(path, OpenFlags::empty())
    }

    fn connect(path: &Path, more: OpenFlags) -> Result<Self, Error> {
        let wrong = |source| wrong(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let mut connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
        connection.busy_timeout(PATIENCE).map_err(wrong)?;
        schema::prepare(&mut connection, path)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Whether it can be written, as far as that shows before something is.
    ///
    /// # Errors
    /// When it is read-only.
    pub fn is_writable(&self) -> Result<(), Error> {
        match self.connection.is_readonly("main") {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::ReadOnly(self.path.clone())),
            Err(source) => Err(self.wrong(source)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn wrong(&self, source: rusqlite::Error) -> Error {
        wrong(&self.path, source)
    }
}

/// What an error of SQLite's means for this file.
fn wrong(path: &Path, source: rusqlite::Error) -> Error {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::Foreign(path.to_owned()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy(path.to_owned()),
        Some(_) | None => Error::Sqlite { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests;
