//! `alertmanager.yml` as it is, but that every receiver's line ends at the sink.
//!
//! Routing, grouping, inhibition, timing and templates stay untouched. What does not work as it stands, and would work
//! once it is re-addressed, is a finding.

mod address;
mod http;
mod secret;
#[cfg(test)]
mod tests;

use self::secret::Secrets;
use super::line::Line;
use super::vendor::{Kind as Vendor, Way};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::route::{Absent, absent};
use crate::secret::Mask;
use crate::yaml::{Kind, Node};

/// Where the sink is, as Alertmanager sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// `HOST:PORT` for all that comes over HTTP.
    pub http: String,
    /// `HOST:PORT` for mail.
    pub smtp: String,
}

/// Leads every receiver of `config` to the sink, each on its own line, and returns what was wrong with it before.
///
/// `config` is as Alertmanager reads it ([`crate::yaml::as_elder`]). Credentials are replaced, as the sink needs none
/// and nobody should read them in a report: `mask` learns them. `exists` says whether a file, or one that
/// matches a pattern, is there. With an error among the findings the result is not to be used.
#[must_use]
pub fn readdress(config: &mut Node, ends: &Ends, exists: &dyn Fn(&str) -> bool, mask: &Mask) -> Vec<Finding> {
    let mut findings = Findings::default();
    findings.extend(absent(config, exists).iter().map(Absent::finding));
    let mut secrets = Secrets { mask, findings: &mut findings };
    let global = prepare_global(config, ends, &mut secrets);
    match config.get_mut("receivers") {
        Some(receivers) if matches!(receivers.kind, Kind::List(_)) => {
            for receiver in receivers.items_mut() {
                lead(receiver, &global, ends, &mut secrets);
            }
        }
        Some(other) => {
            let title = format!("expected a list of receivers, found {}", other.describe());
            findings.add(Finding::new(Code::FileType, other.place, title));
        }
        None => findings.add(Finding::new(Code::FileMissingKey, config.place, "`receivers` is missing")),
    }
    findings.in_reading_order()
}

/// Takes addresses out of `global`, as every integration has its own, and secrets; returns it as it was.
fn prepare_global(config: &mut Node, ends: &Ends, secrets: &mut Secrets<'_>) -> Node {
    let place = config.place;
    let Some(global) = config.get_mut("global").filter(|global| matches!(global.kind, Kind::Map(_))) else {
        return Node { place, kind: Kind::Map(Vec::new()) };
    };
    let before = global.clone();
    for kind in Vendor::ALL {
        let vendor = kind.vendor();
        if let Way::Url(address) | Way::UrlOrProxy(address, _) = &vendor.way {
            address::forget(global, address, secrets);
        }
        for credential in vendor.needs.iter().copied().flatten() {
            credential.global.into_iter().for_each(|key| secrets.hide(global, key));
        }
    }
    for key in ["smtp_auth_password", "smtp_auth_secret"] {
        secrets.hide(global, key);
    }
    for key in ["smtp_smarthost", "smtp_force_implicit_tls", "smtp_tls_config"] {
        global.take(key);
    }
    if let Some(http) = global.get_mut("http_config") {
        http::plain(http, ends, secrets);
    }
    before
}

/// Leads one receiver's integrations to the sink.
fn lead(receiver: &mut Node, global: &Node, ends: &Ends, secrets: &mut Secrets<'_>) {
    let name = receiver.get("name").and_then(Node::scalar).unwrap_or_default().to_owned();
    let Some(entries) = receiver.entries_mut() else { return };
    entries.retain_mut(|(key, list)| {
        let Some(kind) = Vendor::of_section(&key.name) else {
            if key.name != "name" {
                let known = Vendor::ALL.iter().map(|kind| kind.vendor().section);
                let hint = nearest(&key.name, known).map(|name| format!("did you mean `{name}`?"));
                let title = format!("`{}` is no kind of integration that can be re-addressed", key.name);
                let finding = Finding::new(Code::AlertmanagerKind, key.place, title);
                secrets.findings.add(finding.label(hint.unwrap_or_else(|| "not known here".to_owned())));
            }
            // What is not known would reach whom it reaches in production.
            return key.name == "name";
        };
        for (index, integration) in list.items_mut().iter_mut().enumerate() {
            let line = Line { receiver: Some(name.clone()), kind, index };
            turn(integration, &line, global, ends, secrets);
        }
        true
    });
}

/// Leads one integration to its line.
fn turn(integration: &mut Node, line: &Line, global: &Node, ends: &Ends, secrets: &mut Secrets<'_>) {
    let vendor = line.kind.vendor();
    for need in vendor.needs {
        secrets.need(integration, global, need, line);
    }
    for credential in vendor.needs.iter().copied().flatten() {
        secrets.hide(integration, credential.key);
    }
    for key in ["alert_source_token", "auth_password", "auth_secret"] {
        secrets.hide(integration, key);
    }
    match &vendor.way {
        Way::Mail => mail(integration, line, global, ends, secrets),
        Way::Url(address) => by_url(integration, line, address, global, ends, secrets),
        Way::Proxy => http::through(integration, line, global, ends, secrets),
        Way::UrlOrProxy(address, proxied) => {
            if proxied(integration) {
                http::through(integration, line, global, ends, secrets);
            } else {
                by_url(integration, line, address, global, ends, secrets);
            }
        }
    }
    (vendor.also)(integration);
}

fn by_url(
    integration: &mut Node,
    line: &Line,
    address: &super::vendor::Address,
    global: &Node,
    ends: &Ends,
    secrets: &mut Secrets<'_>,
) {
    address::turn(integration, line, address, global, ends, secrets);
    if let Some(http) = integration.get_mut("http_config") {
        http::plain(http, ends, secrets);
    }
}

/// Mail goes to the sink's port; who is meant, the client says as it greets. A certificate is not looked at.
fn mail(integration: &mut Node, line: &Line, global: &Node, ends: &Ends, secrets: &mut Secrets<'_>) {
    let given = integration.get("smarthost").or_else(|| global.get("smtp_smarthost"));
    let Some(host) = given.and_then(Node::scalar).filter(|host| !host.is_empty()) else {
        let title =
            format!("{} has no `smarthost`, and `global` has no `smtp_smarthost`", address::whose(line));
        secrets.findings.add(Finding::new(Code::AlertmanagerAddress, integration.place, title));
        return;
    };
    if host.rsplit_once(':').is_none_or(|(name, port)| name.is_empty() || port.is_empty()) {
        let place = given.map_or(integration.place, |node| node.place);
        let title = format!("`{host}` is no address of a mail server");
        secrets.findings.add(Finding::new(Code::AlertmanagerAddress, place, title).help("write HOST:PORT"));
        return;
    }
    integration.set("smarthost", Kind::Text(ends.smtp.clone()));
    integration.set("hello", Kind::Text(line.path()));
    integration.take("force_implicit_tls");
    integration.set("tls_config", http::no_questions(integration));
}
