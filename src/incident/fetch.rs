//! The series of a record on their way: announced, fetched in parts, and each of them once.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::alias::Aliases;
use super::estimate::estimate;
use super::record::{ALERTS, Asked, Progress, TARGETS};
use super::sent::SENT;
use super::unfinished::{Part, Question, Unfinished};
use super::{Error, rules};
use crate::dilation::Recorded;
use crate::prometheus::answer::Data;
use crate::prometheus::{Client, Group};

/// The series of selectors on their way into parts.
pub(super) struct Fetching<'f> {
    pub(super) client: &'f Client,
    pub(super) unfinished: &'f Unfinished,
    pub(super) aliases: &'f Aliases,
    pub(super) selectors: &'f BTreeSet<String>,
}

impl Fetching<'_> {
    /// What is asked: that which was cut off, or a new question whose size is allowed.
    pub(super) async fn question(
        &self,
        asked: &Asked,
        begin: Timestamp,
        every: Duration,
        groups: &[Group],
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Question, Error> {
        // Nothing that is to be hidden can be read out of it.
        let mut digest = Sha256::new().chain_update(self.unfinished.salt());
        for part in [&asked.hidden as &dyn std::fmt::Debug, self.selectors, &rules::files(groups)] {
            digest = digest.chain_update(format!("{part:?}"));
        }
        let mut question = Question {
            prometheus: self.client.address().to_owned(),
            begin: begin.as_millisecond(),
            to: asked.to.as_millisecond(),
            digest: STANDARD.encode(digest.finalize()),
            slices: 1,
        };
        if let Some(slices) = self.unfinished.slices(&question)? {
            question.slices = slices;
            let parts = self.parts(&question);
            let done = parts.iter().filter(|(part, _)| self.unfinished.has(*part)).count();
            tell(Progress::Resumed { done: number(done), of: number(parts.len()) });
            return Ok(question);
        }
        let estimate = estimate(self.client, self.selectors, (begin, asked.to), every).await?;
        tell(Progress::Announced { samples: estimate.samples, selectors: self.selectors.len() });
        estimate.within(asked.most_samples)?;
        question.slices = estimate.slices();
        self.unfinished.begin(&question)?;
        Ok(question)
    }

    /// Every part with its selector.
    fn parts(&self, question: &Question) -> Vec<(Part, &str)> {
        let mut all = Vec::new();
        for (selector, text) in self.selectors.iter().enumerate() {
            all.extend((0..question.slices).map(|slice| (Part { selector, slice }, text.as_str())));
        }
        all
    }

    /// Fetches the parts that are not there yet. An estimate may be wrong, though not by more than that again.
    pub(super) async fn fetch(
        &self,
        question: &Question,
        most: u64,
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), Error> {
        let parts = self.parts(question);
        let mut samples = 0;
        for (done, (part, selector)) in parts.iter().enumerate() {
            if self.unfinished.has(*part) {
                continue;
            }
            tell(Progress::Fetching { done: number(done), of: number(parts.len()), samples });
            let (to, length) = question.slice(part.slice);
            let to = Timestamp::from_millisecond(to).map_err(crate::dilation::Error::from)?;
            let answer = self.client.instant(&format!("{selector}[{length}ms]"), Some(to)).await?;
            let series = self.named(answer.data, selector)?;
            samples += series.iter().map(|one| number(one.points.len())).sum::<u64>();
            if samples / 2 > most {
                let largest = format!("`{selector}`, up to which all was fetched");
                return Err(Error::TooMuch { samples, most, largest });
            }
            self.unfinished.keep(*part, &series)?;
        }
        Ok(())
    }

    /// The series of an answer, as they are written down.
    fn named(&self, data: Data, selector: &str) -> Result<Vec<Recorded>, Error> {
        let Data::Matrix(matrix) = data else { return Ok(Vec::new()) };
        let mut known = BTreeSet::new();
        let mut all = Vec::new();
        for series in matrix {
            let labels = self.aliases.labels(series.labels);
            if !known.insert(labels.clone()) {
                return Err(Error::Refused(format!(
                    "series of `{selector}` that were different are the same once their labels are mapped: map each value to a name of its own"
                )));
            }
            let points = series.points.iter().map(|point| (point.at.as_millisecond(), point.value));
            all.push(Recorded { labels, points: points.collect() });
        }
        Ok(all)
    }

    /// All series, each once.
    pub(super) fn series(
        &self,
        question: &Question,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Recorded>, Error> {
        let mut all: Vec<Recorded> = Vec::new();
        let mut known = BTreeSet::new();
        for (number, selector) in self.selectors.iter().enumerate() {
            let found = self.unfinished.read(number, question.slices)?;
            if found.is_empty() && ![ALERTS, TARGETS, SENT].contains(&selector.as_str()) {
                let selector = self.aliases.expression(selector).map_err(Error::Refused)?;
                notes.push(format!("`{selector}` selected nothing in this time"));
            }
            all.extend(found.into_iter().filter(|one| known.insert(one.labels.clone())));
        }
        Ok(all)
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
