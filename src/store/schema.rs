//! The tables, and how an older layout becomes the present one.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{Error, PATIENCE, wrong};

/// Marks the file as ours: "fire".
const APPLICATION: u32 = 0x6669_7265;

/// Each brings the layout from one version to the next; what was once released is never changed.
const MIGRATIONS: [&str; VERSION as usize] = [include_str!("1.sql")];

/// The latest layout.
pub(super) const VERSION: u32 = 1;

/// Makes the tables, or brings them up to date; refuses what is not ours and what is newer.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = |source| wrong(path, source);
    let number = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map_err(failed)
    };
    // Before anything is written: another program's file stays as it is. In one transaction, so that tables which
    // another process makes meanwhile are seen with their mark or not at all.
    let seen = connection.transaction().map_err(failed)?;
    check(number(&seen, "application_id")?, number(&seen, "user_version")?, &seen, path)?;
    seen.finish().map_err(failed)?;
    log_ahead(connection).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    if number(connection, "user_version")? == VERSION {
        return Ok(());
    }
    // Another process may be doing the same: whoever comes second finds it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = number(&transaction, "user_version")?;
    check(number(&transaction, "application_id")?, found, &transaction, path)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Has changes written to a log first, which lasts in the file. While another process does so to a new one, SQLite
/// says at once that it is busy, whatever patience it was given; so the waiting is done here.
fn log_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

fn check(application: u32, version: u32, connection: &Connection, path: &Path) -> Result<(), Error> {
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 =
        connection.query_row(tables, [], |row| row.get(0)).map_err(|source| wrong(path, source))?;
    match (application, version) {
        (APPLICATION, found) if found > VERSION => {
            Err(Error::Newer { path: path.to_owned(), found, known: VERSION })
        }
        (APPLICATION, _) => Ok(()),
        (0, 0) if tables == 0 => Ok(()),
        (_, _) => Err(Error::Foreign(path.to_owned())),
    }
}
