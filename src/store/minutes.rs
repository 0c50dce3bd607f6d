//! The minutes of an SLI, and the hours and days they become.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::{Error, Store};
use crate::sli::{Bucket, Counts, Folded, Within};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What was counted in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// When it began.
    pub start: Timestamp,
    /// How long it is: a minute, an hour or a day.
    pub length: Duration,
    /// Good and bad events.
    pub counts: Counts,
}

/// How long what was measured is kept, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Minutes become hours after so long.
    pub minutes: Duration,
    /// Hours become days after so long.
    pub hours: Duration,
    /// Days, runs and decisions are forgotten after so long.
    pub days: Duration,
}

impl Default for Retention {
    /// Minutes for 35 days, hours for 100, days for three years.
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { minutes: days(35), hours: days(100), days: days(3 * 365) }
    }
}

impl Store {
    /// Adds to the minute that `at` lies in. When this returns, it is on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, sli: &str, at: Timestamp, samples: &Folded) -> Result<(), Error> {
        let start = at.as_second().div_euclid(MINUTE) * MINUTE;
        let path = self.path.clone();
        let failed = |source| super::wrong(&path, source);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        add(&transaction, sli, start, samples).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Adds to minutes of SLIs, each by the seconds since 1970 it began at: all of them or, when it fails, none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add_all<'a>(
        &mut self,
        minutes: impl IntoIterator<Item = (&'a str, i64, &'a Folded)>,
    ) -> Result<(), Error> {
        let path = self.path.clone();
        let failed = |source| super::wrong(&path, source);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for (sli, minute, samples) in minutes {
            add(&transaction, sli, minute.div_euclid(MINUTE) * MINUTE, samples).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// The names of all SLIs that were ever measured.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn slis(&self) -> Result<Vec<String>, Error> {
        self.all("SELECT name FROM sli ORDER BY name", [], |row| row.get(0))
    }

    /// The slices of an SLI that lie in a time, in its order. One that an end of the time cuts is left out, but not the
    /// minute that it ends in: what was measured in that one just now is not to wait for its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn slices(&self, sli: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Slice>, Error> {
        let sql = "SELECT start, seconds, good, bad FROM slice JOIN sli ON sli.id = slice.sli
                   WHERE name = ?1 AND start >= ?2 AND start + seconds <= ?3 ORDER BY start";
        let rows = self.all(sql, params![sli, from.as_second(), end(to)], |row| {
            let counts = Counts { good: unsigned(row.get(2)?), bad: unsigned(row.get(3)?) };
            Ok((row.get::<_, i64>(0)?, unsigned(row.get(1)?), counts))
        })?;
        let slice = |(start, seconds, counts)| {
            let start = Timestamp::from_second(start).ok()?;
            Some(Slice { start, length: Duration::from_secs(seconds), counts })
        };
        Ok(rows.into_iter().filter_map(slice).collect())
    }

    /// What an SLI came to in a time, latencies too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn folded(&self, sli: &str, from: Timestamp, to: Timestamp) -> Result<Folded, Error> {
        let counts = self.slices(sli, from, to)?;
        let counts = counts.iter().fold(Counts::default(), |sum, slice| sum.plus(slice.counts));
        let of = |columns: &str, table: &str| {
            format!(
                "SELECT nanos, {columns} FROM {table} JOIN sli ON sli.id = {table}.sli
                 WHERE name = ?1 AND start >= ?2 AND start + seconds <= ?3 GROUP BY nanos ORDER BY nanos"
            )
        };
        let time = params![sli, from.as_second(), end(to)];
        let latency = self.all(&of("sum(count)", "latency"), time, |row| {
            Ok(Bucket { nanos: unsigned(row.get(0)?), count: unsigned(row.get(1)?) })
        })?;
        let within = self.all(&of("sum(good), sum(bad)", "within"), time, |row| {
            let counts = Counts { good: unsigned(row.get(1)?), bad: unsigned(row.get(2)?) };
            Ok(Within { nanos: unsigned(row.get(0)?), counts })
        })?;
        Ok(Folded { counts, latency, within })
    }

    /// Makes hours of old minutes, days of old hours, and forgets what is older. Nothing is counted twice or lost
    /// on the way, whenever it is interrupted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn thin(&mut self, now: Timestamp, retention: Retention) -> Result<(), Error> {
        let path = self.path.clone();
        let failed = |source| super::wrong(&path, source);
        let seconds = |kept: Duration| i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
        let before = |kept: Duration, whole: i64| {
            now.as_second().saturating_sub(seconds(kept)).div_euclid(whole).saturating_mul(whole)
        };
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        coarsen(&transaction, (MINUTE, HOUR), before(retention.minutes, HOUR)).map_err(failed)?;
        coarsen(&transaction, (HOUR, DAY), before(retention.hours, DAY)).map_err(failed)?;
        let end = before(retention.days, DAY);
        forget(&transaction, end).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Every row of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare(sql).map_err(|source| self.wrong(source))?;
        let rows = statement.query_map(parameters, read).map_err(|source| self.wrong(source))?;
        rows.collect::<Result<_, _>>().map_err(|source| self.wrong(source))
    }
}

/// Adds to a minute, in a transaction.
pub(super) fn add(connection: &Connection, sli: &str, start: i64, samples: &Folded) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO sli (name) VALUES (?1) ON CONFLICT DO NOTHING", [sli])?;
    let id: i64 = connection.query_row("SELECT id FROM sli WHERE name = ?1", [sli], |row| row.get(0))?;
    // Once hours were made of these minutes, more of them go to the hour: a clock was set back, or we are late.
    let sql = "SELECT start, seconds FROM slice WHERE sli = ?1 AND seconds > 60 AND start <= ?2
               AND start + seconds > ?2";
    let coarse = connection
        .query_row(sql, params![id, start], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let (start, seconds) = coarse.unwrap_or((start, MINUTE));
    let Folded { counts, latency, within } = samples;
    connection.execute(
        "INSERT INTO slice VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad",
        params![id, start, seconds, signed(counts.good), signed(counts.bad)],
    )?;
    for bucket in latency.iter().filter(|bucket| bucket.count > 0) {
        connection.execute(
            "INSERT INTO latency VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
            params![id, start, seconds, signed(bucket.nanos), signed(bucket.count)],
        )?;
    }
    for Within { nanos, counts } in within {
        connection.execute(
            "INSERT INTO within VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad",
            params![id, start, seconds, signed(*nanos), signed(counts.good), signed(counts.bad)],
        )?;
    }
    Ok(())
}

/// Makes one slice of `to` seconds of all of `from` seconds that lie in it, where they began before `end`.
fn coarsen(connection: &Connection, (from, to): (i64, i64), end: i64) -> rusqlite::Result<()> {
    // Starts are never below zero: nothing was measured before 1970.
    const TABLES: [(&str, &str, &str, &str); 3] = [
        ("slice", "", "sum(good), sum(bad)", "good = good + excluded.good, bad = bad + excluded.bad"),
        ("latency", "nanos,", "sum(count)", "count = count + excluded.count"),
        ("within", "nanos,", "sum(good), sum(bad)", "good = good + excluded.good, bad = bad + excluded.bad"),
    ];
    for (table, keys, sums, add) in TABLES {
        let group = keys.trim_end_matches(',');
        let group = if group.is_empty() { String::new() } else { format!(", {group}") };
        connection.execute(
            &format!(
                "INSERT INTO {table} SELECT sli, start / ?2 * ?2, ?2, {keys} {sums} FROM {table}
                 WHERE seconds = ?1 AND start < ?3 GROUP BY sli, start / ?2 {group}
                 ON CONFLICT DO UPDATE SET {add}"
            ),
            params![from, to, end],
        )?;
        let sql = format!("DELETE FROM {table} WHERE seconds = ?1 AND start < ?2");
        connection.execute(&sql, params![from, end])?;
    }
    Ok(())
}

/// Forgets what ended before `end`.
fn forget(connection: &Connection, end: i64) -> rusqlite::Result<()> {
    for table in ["slice", "latency", "within"] {
        connection.execute(&format!("DELETE FROM {table} WHERE start + seconds <= ?1"), [end])?;
    }
    let Ok(moment) = Timestamp::from_second(end) else { return Ok(()) };
    connection.execute("DELETE FROM run WHERE started < ?1", [moment.to_string()])?;
    connection.execute("DELETE FROM decision WHERE at < ?1", [moment.to_string()])?;
    Ok(())
}

/// As SQLite keeps numbers; one that is too large for it stays the largest there is.
/// The end of the minute that ends in or after a moment, in seconds since 1970.
fn end(moment: Timestamp) -> i64 {
    let seconds = moment.as_second().saturating_add(i64::from(moment.subsec_nanosecond() > 0));
    seconds.saturating_add(MINUTE - 1).div_euclid(MINUTE).saturating_mul(MINUTE)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What was never below zero.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
