//! The address of an integration: what it was, whether it is one, and the sink's in its place.

use url::Url;

use super::secret::Secrets;
use super::{Ends, Line};
use crate::finding::{Code, Finding};
use crate::sink::vendor::{Address, ByToken};
use crate::yaml::{Kind, Node};

/// Takes a vendor's address out of `global`.
pub(super) fn forget(global: &mut Node, address: &Address, secrets: &mut Secrets<'_>) {
    let keys = address.global.into_iter().chain(address.by_token.iter().map(|by| by.global_url));
    for key in keys {
        if let Some(address) = global.take(key).as_ref().and_then(Node::scalar) {
            secrets.mask_address(address);
        }
        global.take(&in_file(key));
    }
    for key in address.by_token.iter().filter_map(|by| by.token.global) {
        secrets.hide(global, key);
    }
}

/// Puts the sink's address in the place of the integration's own, if it had one at all.
pub(super) fn turn(
    integration: &mut Node,
    line: &Line,
    address: &Address,
    global: &Node,
    ends: &Ends,
    secrets: &mut Secrets<'_>,
) {
    let by_token = address.by_token.as_ref().filter(|by| goes_by(by, integration, address, global));
    let given = given(integration, line, address, global, secrets);
    if given.is_none() && !address.built_in && by_token.is_none() {
        let mut title = format!("{} has no `{}`", whose(line), address.key);
        if let Some(key) = address.global {
            title = format!("{title}, and `global` has no `{key}`");
        }
        secrets.findings.add(Finding::new(Code::AlertmanagerAddress, integration.place, title));
        return;
    }
    let tail = (address.tail)(integration, given.as_deref());
    let key = match by_token {
        Some(by) => {
            integration.take(address.key);
            secrets.hide(integration, by.token.key);
            by.url
        }
        None => address.key,
    };
    integration.set(key, Kind::Text(format!("http://{}{}{tail}", ends.http, line.path())));
}

/// Whether the integration has a token in the place of an address.
fn goes_by(by: &ByToken, integration: &Node, address: &Address, global: &Node) -> bool {
    let has = |node: &Node, key: &str| node.get(key).is_some() || node.get(&in_file(key)).is_some();
    let globally = by.token.global.is_some_and(|key| has(global, key));
    has(integration, by.token.key)
        || integration.get(by.url).is_some()
        || (globally && !has(integration, address.key))
}

/// The address that was given, out of the integration or else `global`; a file's is not read.
fn given(
    integration: &mut Node,
    line: &Line,
    address: &Address,
    global: &Node,
    secrets: &mut Secrets<'_>,
) -> Option<String> {
    let file = integration.take(&in_file(address.key));
    if let (Some(file), Some(own)) = (&file, integration.get(address.key)) {
        let title = format!("{} has an address, and one in a file", whose(line));
        let finding = Finding::new(Code::AlertmanagerAddress, file.place, title);
        secrets.findings.add(finding.label("one of the two is enough").also(own.place, "the address"));
    }
    if file.is_some() {
        return Some(String::new());
    }
    let own = integration.get(address.key).filter(|own| own.scalar().is_some());
    if let Some(node) = own.or_else(|| global.get(address.global?)) {
        check(node, secrets);
        return node.scalar().map(str::to_owned);
    }
    global.get(&in_file(address.global?)).map(|_| String::new())
}

/// Whether an address is one that Alertmanager takes; what a template makes of it cannot be known.
fn check(node: &Node, secrets: &mut Secrets<'_>) {
    let text = node.scalar().unwrap_or_default();
    if text.contains("{{") {
        return;
    }
    let title = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            return secrets.mask_address(text);
        }
        Ok(_) => "this is no address of HTTP",
        Err(_) => "this is no address",
    };
    let finding = Finding::new(Code::AlertmanagerAddress, node.place, title);
    secrets.findings.add(finding.label("begins with `http://` or `https://`, and a host"));
}

/// The key of the file that may hold what `key` would.
pub(super) fn in_file(key: &str) -> String {
    format!("{key}_file")
}

/// An integration as messages name it.
pub(super) fn whose(line: &Line) -> String {
    let receiver = line.receiver.as_deref().unwrap_or_default();
    format!("`{}[{}]` of receiver `{receiver}`", line.kind.vendor().section, line.index)
}
