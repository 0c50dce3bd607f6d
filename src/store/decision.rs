//! What gates decided, and who went on nevertheless.

use rusqlite::params;

use super::{Error, Store};

/// What a gate decided of one objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// When, RFC 3339.
    pub at: String,
    /// The SLO.
    pub slo: String,
    /// Its objective, in words.
    pub objective: String,
    /// The verdict's word.
    pub verdict: String,
    /// Why.
    pub said: String,
    /// The reason somebody gave for going on nevertheless, and who that was.
    pub overridden: Option<(String, String)>,
}

impl Store {
    /// Keeps a decision.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn decided(&self, decided: &Decided) -> Result<(), Error> {
        let Decided { at, slo, objective, verdict, said, overridden } = decided;
        let (reason, by) = overridden.clone().unzip();
        self.execute(
            "INSERT INTO decision (at, slo, objective, verdict, said, overridden, by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![at, slo, objective, verdict, said, reason, by],
        )
    }

    /// Every decision since then, the latest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn decisions(&self, since: &str) -> Result<Vec<Decided>, Error> {
        let sql = "SELECT at, slo, objective, verdict, said, overridden, by FROM decision
                   WHERE at >= ?1 ORDER BY at DESC, id DESC";
        self.all(sql, [since], |row| {
            let (reason, by): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
            Ok(Decided {
                at: row.get(0)?,
                slo: row.get(1)?,
                objective: row.get(2)?,
                verdict: row.get(3)?,
                said: row.get(4)?,
                overridden: reason.zip(by),
            })
        })
    }
}
