//! Runs, what their SLIs came to, and what was concluded of each objective.

use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use super::{Error, Store};
use crate::event::Conclusion;
use crate::gate::Judgement;
use crate::sli::Folded;

/// A run that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRun {
    /// Tells it from others.
    pub id: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// How it ended; `None` where it did not.
    pub conclusion: Option<Conclusion>,
}

impl Store {
    /// Notes that a run has begun, and where its events are written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, id: &str, started: &str, version: &str, file: Option<&str>) -> Result<(), Error> {
        self.execute(
            "INSERT INTO run (id, started, version, file) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET started = excluded.started, conclusion = NULL",
            params![id, started, version, file],
        )
    }

    /// Adds what an SLI came to in a minute of a run, to the run and to the history of the SLI.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn measured(
        &mut self,
        run: &str,
        scenario: &str,
        sli: &str,
        minute: i64,
        samples: &Folded,
    ) -> Result<(), Error> {
        let path = self.path.clone();
        let failed = |source| super::wrong(&path, source);
        let key = params![run, scenario, sli];
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        super::minutes::add(&transaction, sli, minute, samples).map_err(failed)?;
        let sql = "SELECT samples FROM measured WHERE run = ?1 AND scenario = ?2 AND sli = ?3";
        let known: Option<String> =
            transaction.query_row(sql, key, |row| row.get(0)).optional().map_err(failed)?;
        let mut all: Folded = known.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        all.merge(samples);
        let text = serde_json::to_string(&all).unwrap_or_default();
        let sql = "INSERT INTO measured VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET samples = excluded.samples";
        transaction.execute(sql, params![run, scenario, sli, text]).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Notes what was concluded of an objective.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn judged(
        &self,
        run: &str,
        scenario: &str,
        (slo, objective): (&str, &str),
        judgement: &Judgement,
    ) -> Result<(), Error> {
        let numbers = serde_json::to_string(judgement).unwrap_or_default();
        let (verdict, said) = (judgement.verdict.to_string(), judgement.to_string());
        self.execute(
            "INSERT INTO verdict VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET verdict = excluded.verdict, said = excluded.said,
             judgement = excluded.judgement",
            params![run, scenario, slo, objective, verdict, said, numbers],
        )
    }

    /// Notes how a run has ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, run: &str, conclusion: Conclusion) -> Result<(), Error> {
        self.execute("UPDATE run SET conclusion = ?2 WHERE id = ?1", params![run, word(conclusion)])
    }

    /// The latest run that passed, other than `except`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_green(&self, except: &str) -> Result<Option<SavedRun>, Error> {
        let sql = "SELECT id, started, conclusion FROM run WHERE conclusion = 'pass' AND id <> ?1
                   ORDER BY started DESC, id DESC LIMIT 1";
        Ok(self.all(sql, [except], saved)?.pop())
    }

    /// The run of that name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn run(&self, id: &str) -> Result<Option<SavedRun>, Error> {
        Ok(self.all("SELECT id, started, conclusion FROM run WHERE id = ?1", [id], saved)?.pop())
    }

    /// What an SLI came to in a run, in all its scenarios; `None` where it was not measured.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_run(&self, run: &str, sli: &str) -> Result<Option<Folded>, Error> {
        let sql = "SELECT samples FROM measured WHERE run = ?1 AND sli = ?2 ORDER BY scenario";
        let texts: Vec<String> = self.all(sql, [run, sli], |row| row.get(0))?;
        let read = |text: String| serde_json::from_str::<Folded>(&text).ok();
        Ok(texts.into_iter().filter_map(read).reduce(|mut all, more| {
            all.merge(&more);
            all
        }))
    }

    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), Error> {
        let done = self.connection.prepare(sql).and_then(|mut sql| sql.execute(parameters));
        done.map(drop).map_err(|source| self.wrong(source))
    }
}

fn saved(row: &rusqlite::Row<'_>) -> rusqlite::Result<SavedRun> {
    const ALL: [Conclusion; 4] =
        [Conclusion::Pass, Conclusion::Inconclusive, Conclusion::NotMeasured, Conclusion::Fail];
    let text: Option<String> = row.get(2)?;
    let conclusion = ALL.into_iter().find(|known| text.as_deref() == Some(word(*known)));
    Ok(SavedRun { id: row.get(0)?, started: row.get(1)?, conclusion })
}

/// As in the table.
fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Pass => "pass",
        Conclusion::Inconclusive => "inconclusive",
        Conclusion::NotMeasured => "not_measured",
        Conclusion::Fail => "fail",
    }
}
