//! What a stand-in logs of the requests to its routes.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::text::{Names, Text};
use super::trace::Trace;
use crate::scenario::profile::Log;

/// Where log lines go.
pub type Output = Box<dyn Write + Send>;

/// Writes one line for each request.
pub(super) struct Journal {
    answered: Text,
    failed: Text,
    output: Mutex<(u64, Output)>,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'e> {
    pub(super) method: &'static str,
    pub(super) path: &'e str,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) trace: Trace,
}

impl Journal {
    pub(super) fn new(log: &Log, output: Output) -> Self {
        Self {
            answered: Text::new(&log.answered),
            failed: Text::new(&log.failed),
            output: Mutex::new((0, output)),
        }
    }

    /// Writes the line of a request.
    pub(super) fn note(&self, names: &Names, entry: Entry<'_>) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, output) = &mut *output;
        *lines += 1;
        let mut scope = names.scope(*lines);
        scope.set("method", entry.method);
        scope.set("path", entry.path);
        scope.set("status", entry.status);
        scope.set("took", entry.took.as_secs_f64() * 1e3);
        scope.set("trace", entry.trace.id());
        scope.set("span", entry.trace.span());
        scope.set("sampled", entry.trace.is_sampled());
        let text = if entry.status >= 500 { &self.failed } else { &self.answered };
        let mut line = text.fill_from(&scope).to_vec();
        line.push(b'\n');
        // Whoever reads no log, or has no room for one, is answered all the same.
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}
