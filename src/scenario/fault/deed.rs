//! What breaks a system by a program or a request, and what mends it, as written and as checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breaks, Checked};
use crate::finding::Findings;
use crate::scenario::exec::ExecWritten;
use crate::scenario::http::HttpWritten;
use crate::scenario::probe::Probe;
use crate::scenario::step::Step;
use crate::source::At;

/// A program that breaks something, and one that mends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecFaultWritten {
    /// What breaks it.
    #[serde(rename = "do")]
    deed: At<ExecWritten>,
    /// What mends it; it runs however the step ends.
    undo: At<ExecWritten>,
}

/// A request that breaks something, a service's own hook for that, and one that mends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpFaultWritten {
    /// What breaks it.
    #[serde(rename = "do")]
    deed: At<HttpWritten>,
    /// What mends it; it is sent however the step ends.
    undo: At<HttpWritten>,
}

/// Something done, and what undoes it.
#[derive(Debug, Clone)]
pub struct Reversible {
    /// What breaks it: a program or a request.
    pub deed: Step,
    /// What mends it.
    pub undo: Step,
}

impl ExecFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let (deed_at, undo_at) = (self.deed.place, self.undo.place);
        let deed = self.deed.value.check(deed_at, findings).map(Probe::Exec);
        let undo = self.undo.value.check(undo_at, findings).map(Probe::Exec);
        let (deed, undo) = (Step::of(deed?, deed_at), Step::of(undo?, undo_at));
        Some((None, Breaks::Deed(Box::new(Reversible { deed, undo }))))
    }
}

impl HttpFaultWritten {
    pub(super) fn check(self, findings: &mut Findings) -> Option<Checked> {
        let (deed_at, undo_at) = (self.deed.place, self.undo.place);
        let deed = self.deed.value.check(deed_at, findings).map(Probe::Http);
        let undo = self.undo.value.check(undo_at, findings).map(Probe::Http);
        let (deed, undo) = (Step::of(deed?, deed_at), Step::of(undo?, undo_at));
        Some((None, Breaks::Deed(Box::new(Reversible { deed, undo }))))
    }
}
