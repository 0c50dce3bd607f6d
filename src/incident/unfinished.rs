//! A record on its way: its series in parts, each of them whole, so that one that is cut off goes on where it stopped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::alias::Salt;
use super::folder::{at, json, pack, put, read_json, read_series};
use crate::dilation::Recorded;
use crate::exposition::Labels;

/// The folder within that of the incident.
const FOLDER: &str = "unfinished";

/// What the record is of.
const QUESTION: &str = "question.json";

/// What its hashes are made with, while it is on its way.
const SALT: &str = "salt";

/// What a record is of, as far as its parts depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Who is asked.
    pub(super) prometheus: String,
    /// Since when, in milliseconds since 1970.
    pub(super) begin: i64,
    /// Until when.
    pub(super) to: i64,
    /// What is asked and hidden, hashed.
    pub(super) digest: String,
    /// Into how many parts the time of each selector is cut.
    pub(super) slices: u64,
}

/// One part: a selector's series in a slice of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Which selector, counted.
    pub(super) selector: usize,
    /// Which slice of the time.
    pub(super) slice: u64,
}

/// The parts that are there.
#[derive(Debug)]
pub(super) struct Unfinished {
    folder: PathBuf,
    salt: Salt,
    before: Option<Question>,
}

impl Question {
    /// A slice of the time: its end, and how long it is, in milliseconds.
    pub(super) fn slice(&self, slice: u64) -> (i64, i64) {
        let (slice, slices) = (i128::from(slice), i128::from(self.slices.max(1)));
        let length = i128::from(self.to) - i128::from(self.begin);
        let from = i128::from(self.begin) + length * slice / slices;
        let to = i128::from(self.begin) + length * (slice + 1) / slices;
        let narrow = |wide: i128| i64::try_from(wide).unwrap_or(self.to);
        (narrow(to), narrow(to - from).max(1))
    }

    /// Whether a record of the one goes on as one of the other.
    fn is_that_of(&self, before: &Self) -> bool {
        *self == Self { slices: self.slices, ..before.clone() }
    }
}

impl Part {
    fn file(self) -> String {
        format!("{:04}-{:04}.jsonl.gz", self.selector, self.slice)
    }
}

impl Unfinished {
    /// What there is of a record that is to be written to a folder.
    pub(super) fn of(incident: &Path) -> Result<Self, Error> {
        let folder = incident.join(FOLDER);
        if !folder.join(QUESTION).exists() {
            return Ok(Self { folder, salt: rand::random(), before: None });
        }
        let before = read_json(&folder.join(QUESTION))?;
        let path = folder.join(SALT);
        let salt = fs::read(&path).map_err(at(&path))?;
        let broken =
            |_| Error::Malformed { path: path.clone(), why: "it was changed; remove the folder".to_owned() };
        let salt = salt.try_into().map_err(broken)?;
        Ok(Self { folder, salt, before: Some(before) })
    }

    /// What hashes are made with.
    pub(super) fn salt(&self) -> Salt {
        self.salt
    }

    /// The slices of a record that was cut off, where there is one: only this question goes on.
    pub(super) fn slices(&self, question: &Question) -> Result<Option<u64>, Error> {
        let Some(before) = &self.before else { return Ok(None) };
        if question.is_that_of(before) {
            return Ok(Some(before.slices));
        }
        let folder = self.folder.display();
        Err(Error::Refused(format!(
            "`{folder}` holds an unfinished record of another question, or its rules have changed since: remove it, or name another folder"
        )))
    }

    /// Writes down what the record is of.
    pub(super) fn begin(&self, question: &Question) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let path = self.folder.join(SALT);
        let mut options = fs::File::options();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).and_then(|mut file| file.write_all(&self.salt)).map_err(at(&path))?;
        put(&self.folder.join(QUESTION), &json(question))
    }

    /// Whether a part is there.
    pub(super) fn has(&self, part: Part) -> bool {
        self.folder.join(part.file()).exists()
    }

    /// Keeps a part: all of it, or nothing.
    pub(super) fn keep(&self, part: Part, series: &[Recorded]) -> Result<(), Error> {
        let (path, whole) = (self.folder.join("part"), self.folder.join(part.file()));
        pack(&path, series)?;
        fs::rename(&path, &whole).map_err(at(&whole))
    }

    /// A selector's series, from all its parts.
    pub(super) fn read(&self, selector: usize, slices: u64) -> Result<Vec<Recorded>, Error> {
        let mut all: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for slice in 0..slices {
            for series in read_series(&self.folder.join(Part { selector, slice }.file()))? {
                let points = all.entry(series.labels).or_default();
                // An end that two slices share may be in both.
                let last = points.last().map_or(i64::MIN, |(at, _)| *at);
                points.extend(series.points.into_iter().filter(|(at, _)| *at > last));
            }
        }
        Ok(all.into_iter().map(|(labels, points)| Recorded { labels, points }).collect())
    }

    /// Removes the parts, once the record is whole.
    pub(super) fn remove(&self) -> Result<(), Error> {
        fs::remove_dir_all(&self.folder).map_err(at(&self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_one_another_and_cover_all_of_the_time() {
        let question =
            Question { prometheus: String::new(), begin: 1_000, to: 2_001, digest: String::new(), slices: 3 };
        let slices: Vec<_> = (0..3).map(|slice| question.slice(slice)).collect();
        assert_eq!(slices, [(1_333, 333), (1_667, 334), (2_001, 334)]);
    }
}
