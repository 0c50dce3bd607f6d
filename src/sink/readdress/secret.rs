//! Credentials: whether they are there, and others in their place.

use super::Line;
use super::address::{in_file, whose};
use crate::finding::{Code, Finding, Findings};
use crate::secret::{Mask, Secret};
use crate::sink::vendor::{Credential, DUMMY};
use crate::yaml::{Kind, Node};

/// What is found about secrets on the way.
pub(super) struct Secrets<'c> {
    pub(super) mask: &'c Mask,
    pub(super) findings: &'c mut Findings,
}

impl Secrets<'_> {
    /// Puts a dummy in the place of what stands under `key`, or in the file it is to be read from. A template stays:
    /// it is no secret, and it may be wrong.
    pub(super) fn hide(&mut self, node: &mut Node, key: &str) {
        let file = node.take(&in_file(key));
        let dummy = Kind::Text(DUMMY.to_owned());
        match (&file, node.get(key)) {
            (Some(file), Some(own)) => {
                let title = format!("`{key}` is given, and in a file, too");
                let finding = Finding::new(Code::AlertmanagerCredential, file.place, title);
                self.findings.add(finding.label("one of the two is enough").also(own.place, "given here"));
            }
            (None, Some(own)) if own.scalar().is_none_or(|text| text.is_empty() || text.contains("{{")) => {
                return;
            }
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) => return,
        }
        if let Some(own) = node.get(key).and_then(Node::scalar) {
            self.mask.add(&Secret::new(own));
        }
        node.set(key, dummy);
    }

    /// Masks an address that is replaced: it may hold all that is needed to write to somebody.
    pub(super) fn mask_address(&self, address: &str) {
        if address.contains("://") {
            self.mask.add(&Secret::new(address));
        }
    }

    /// Notes that an integration has none of the credentials of which it needs one.
    pub(super) fn need(&mut self, integration: &Node, global: &Node, any: &[Credential], line: &Line) {
        let has = |node: &Node, key: &str| {
            let given = node.get(key).and_then(Node::scalar).is_some_and(|text| !text.is_empty());
            given || node.get(&in_file(key)).is_some()
        };
        let found = |credential: &Credential| {
            has(integration, credential.key) || credential.global.is_some_and(|key| has(global, key))
        };
        if any.iter().any(found) {
            return;
        }
        let keys =
            any.iter().map(|credential| format!("`{}`", credential.key)).collect::<Vec<_>>().join(" or ");
        let mut title = format!("{} has no {keys}", whose(line));
        if let Some(key) = any.iter().find_map(|credential| credential.global) {
            title = format!("{title}, and `global` has no `{key}`");
        }
        self.findings.add(Finding::new(Code::AlertmanagerCredential, integration.place, title));
    }
}
