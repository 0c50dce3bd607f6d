//! Findings that are known and accepted, each for a reason, in a file beside the files they are in.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::plan::Reading;
use crate::source::Sources;

/// Signs of what is pointed at that are kept.
const LONGEST: usize = 200;

/// What a file of expected findings holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    findings: Vec<Known>,
}

/// One finding that is known. Lines are left out, so that it stays the same when others move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// The finding's code.
    code: String,
    /// The file as it is named on the command line.
    file: String,
    /// What the finding points at.
    subject: String,
    /// Why it is accepted.
    reason: String,
    /// Where that is shown, for who doubts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

/// How findings differ from those that are known.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Known, and no longer there.
    pub(super) gone: Vec<Known>,
    /// How many are as they were.
    pub(super) same: usize,
}

impl Expected {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let said = |why: &dyn std::fmt::Display| format!("`{}` cannot be read: {why}", path.display());
        let bytes = crate::source::read(path).map_err(|error| said(&error))?;
        let read: Self = serde_json::from_slice(&bytes).map_err(|error| said(&error))?;
        match read.findings.iter().find(|known| known.reason.trim().is_empty()) {
            Some(Known { code, subject, .. }) => {
                Err(format!("`{}`: {code} of `{subject}` is expected for no reason; say why", path.display()))
            }
            None => Ok(read),
        }
    }

    /// All that was found, to be given reasons.
    pub(super) fn of(reading: &Reading) -> Self {
        let known = reading.findings.iter().map(|finding| Known::of(finding, &reading.sources));
        Self { findings: known.collect() }
    }

    /// Leaves of what was found what is not known.
    pub(super) fn take_from(self, reading: &mut Reading) -> Difference {
        let mut known: BTreeMap<(String, String, String), Vec<Known>> = BTreeMap::new();
        for one in self.findings {
            known.entry(one.key()).or_default().push(one);
        }
        let before = reading.findings.len();
        let Reading { findings, sources, .. } = reading;
        findings.retain(|finding| {
            let same = known.get_mut(&Known::of(finding, sources).key());
            same.and_then(Vec::pop).is_none()
        });
        Difference { gone: known.into_values().flatten().collect(), same: before - findings.len() }
    }
}

impl Known {
    fn of(finding: &Finding, sources: &Sources) -> Self {
        let pointed = sources.text(finding.place).lines().next().unwrap_or_default().trim();
        // Of a file that is not there nothing can be pointed at.
        let subject = if pointed.is_empty() { finding.title.as_str() } else { pointed };
        Self {
            code: finding.code.name().to_owned(),
            file: sources.file(finding.place.file).path.display().to_string(),
            subject: subject.chars().take(LONGEST).collect(),
            reason: String::new(),
            proof: None,
        }
    }

    fn key(&self) -> (String, String, String) {
        (self.code.clone(), self.file.trim_start_matches("./").to_owned(), self.subject.clone())
    }
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, file, subject, reason, .. } = self;
        write!(f, "gone[{code}]: `{subject}` in {file} (expected because {reason})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Code;

    fn reading(text: &str, found: &[(Code, std::ops::Range<usize>)]) -> Reading {
        let mut sources = Sources::default();
        let file = sources.add("./alerts.yml", text);
        let of = |(code, range): &(Code, std::ops::Range<usize>)| {
            Finding::new(*code, file.place(range.start, range.end), "this is wrong")
        };
        Reading { findings: found.iter().map(of).collect(), sources, counts: BTreeMap::new(), plan: None }
    }

    fn expected(list: &[(&str, &str)]) -> Expected {
        let known = |(code, subject): &(&str, &str)| Known {
            code: (*code).to_owned(),
            file: "alerts.yml".to_owned(),
            subject: (*subject).to_owned(),
            reason: "it is so".to_owned(),
            proof: None,
        };
        Expected { findings: list.iter().map(known).collect() }
    }

    #[test]
    fn what_is_known_is_taken_away_once_for_each_time() {
        let found = [(Code::AuditMetric, 0..3), (Code::AuditMetric, 4..7), (Code::AuditOwner, 0..3)];
        let mut reading = reading("abc abc", &found);
        let known = expected(&[("audit/metric", "abc"), ("audit/label", "abc")]);
        let difference = known.take_from(&mut reading);
        let left: Vec<_> = reading.findings.iter().map(|one| one.code.name()).collect();
        assert_eq!((left.as_slice(), difference.same), (["audit/metric", "audit/owner"].as_slice(), 1));
        let gone: Vec<_> = difference.gone.iter().map(ToString::to_string).collect();
        assert_eq!(gone, ["gone[audit/label]: `abc` in alerts.yml (expected because it is so)"]);
    }

    #[test]
    fn what_was_found_is_expected_once_it_has_reasons() {
        let mut reading = reading("abc\ndef", &[(Code::AuditMetric, 0..7), (Code::AuditOwner, 0..0)]);
        let of = Expected::of(&reading);
        let subjects: Vec<_> = of.findings.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects, ["abc", "this is wrong"]);
        let difference = of.take_from(&mut reading);
        assert!(reading.findings.is_empty() && difference.gone.is_empty());
    }
}
