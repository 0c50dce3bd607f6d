//! Receivers that misbehave: how the way to them is drilled.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breaks, Checked};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::units::Span;

/// A receiver of the stack's Alertmanager misbehaves. Exactly one of `status`, `busy`, `slow`, `hang` and `close`;
/// all times are wall time, as Alertmanager's own patience with receivers is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiverFaultWritten {
    /// The receiver's name.
    name: At<String>,
    /// Answer with this status; by SMTP, that mail cannot be taken for now.
    status: Option<At<u16>>,
    /// Have too many requests (429), and say that the next may come after so long.
    busy: Option<At<Span>>,
    /// Answer as it should, so much later.
    slow: Option<At<Span>>,
    /// Never answer.
    hang: Option<At<bool>>,
    /// Close connections instead of answering.
    close: Option<At<bool>>,
    /// Only the first so many times; each time unless said.
    first: Option<At<NonZeroU64>>,
}

/// A receiver that misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misbehaving {
    /// Its name.
    pub name: At<String>,
    /// What it does.
    pub does: Misconduct,
    /// Only the first so many times.
    pub first: Option<NonZeroU64>,
}

/// What a receiver does that it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misconduct {
    /// It answers with this status.
    Status(u16),
    /// It has too many requests, and says when to come again.
    Busy(Duration),
    /// It answers as it should, so much later.
    Slow(Duration),
    /// It never answers.
    Hang,
    /// It closes the connection instead of answering.
    Close,
}

impl fmt::Display for Misconduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answers {status}"),
            Self::Busy(after) => write!(f, "answers 429 and to come again after {}", Span(*after)),
            Self::Slow(time) => write!(f, "answers {} late", Span(*time)),
            Self::Hang => f.write_str("never answers"),
            Self::Close => f.write_str("closes connections"),
        }
    }
}

impl ReceiverFaultWritten {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Checked> {
        let status = self.status.map(|at| {
            if !(400..=599).contains(&at.value) {
                let title = "a receiver that misbehaves answers with a status from 400 to 599";
                findings.add(Finding::new(Code::FaultStep, at.place, title));
            }
            Misconduct::Status(at.value)
        });
        let all = [
            status,
            self.busy.map(|at| Misconduct::Busy(at.value.0)),
            self.slow.map(|at| Misconduct::Slow(at.value.0)),
            self.hang.filter(|at| at.value).map(|_| Misconduct::Hang),
            self.close.filter(|at| at.value).map(|_| Misconduct::Close),
        ];
        let mut all = all.into_iter().flatten();
        let (Some(does), None) = (all.next(), all.next()) else {
            let finding = Finding::new(Code::FaultStep, place, "a receiver misbehaves in one way");
            findings.add(finding.help("give exactly one of status, busy, slow, hang, close"));
            return None;
        };
        let first = self.first.map(|at| at.value);
        Some((None, Breaks::Receiver(Misbehaving { name: self.name, does, first })))
    }
}
