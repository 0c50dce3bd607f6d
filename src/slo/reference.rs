//! Things written where they are used, or named there and written elsewhere.

use super::Kind;
use super::written::MetadataWritten;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};

/// A thing, or its name.
#[derive(Debug, Clone)]
pub(super) enum Ref<T> {
    Inline(T),
    Named(At<String>),
}

/// An item of a list that holds a name under a key of its own, or else a document without version.
pub(super) struct Item<S> {
    /// Where it stands.
    pub(super) place: Place,
    /// The key of the name.
    pub(super) key: &'static str,
    pub(super) named: Option<At<String>>,
    pub(super) kind: Option<At<Kind>>,
    pub(super) metadata: Option<MetadataWritten>,
    pub(super) spec: Option<At<S>>,
}

impl<S> Item<S> {
    /// Which of both it is; a document must be of the kind that is `wanted`.
    pub(super) fn choose(
        self,
        wanted: Kind,
        findings: &mut Findings,
    ) -> Option<Ref<(MetadataWritten, At<S>)>> {
        let Self { place, key, named, kind, metadata, spec } = self;
        if let Some(kind) = kind.filter(|kind| kind.value != wanted) {
            let title = format!("only an `{wanted}` can stand here, not `{}`", kind.value);
            findings.add(Finding::new(Code::SloReference, kind.place, title));
        }
        match (named, metadata, spec) {
            (Some(name), None, None) => {
                if let Some(kind) = kind {
                    let title = format!("`kind` has no meaning beside `{key}`");
                    findings.add(Finding::new(Code::SloReference, kind.place, title));
                }
                Some(Ref::Named(name))
            }
            (Some(name), _, _) => {
                let title = format!("`{key}` names an `{wanted}`, and another one is written out here");
                findings.add(Finding::new(Code::SloReference, name.place, title).help("keep one of both"));
                Some(Ref::Named(name))
            }
            (None, Some(metadata), Some(spec)) => {
                if kind.is_none() {
                    let finding = Finding::new(Code::FileMissingKey, place, "`kind` is missing");
                    findings.add(finding.help(format!("write `kind: {wanted}`")));
                }
                Some(Ref::Inline((metadata, spec)))
            }
            (None, _, _) => {
                let title = format!("an `{wanted}` is named, or written out");
                let help = format!("write `{key}: NAME`, or `kind: {wanted}` with `metadata` and `spec`");
                findings.add(Finding::new(Code::SloReference, place, title).help(help));
                None
            }
        }
    }
}
