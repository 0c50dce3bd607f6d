//! Files that Alertmanager reads its secrets, certificates and templates from, and that are not here.

use std::collections::BTreeSet;

use crate::finding::{Code, Finding};
use crate::source::At;
use crate::yaml::{Kind, Node};

/// A file that is named and not here, and who is not told without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Its path or pattern, as it is written.
    pub file: At<String>,
    /// The key it is named under: `routing_key_file`.
    pub key: String,
    /// The receivers with an integration that needs it.
    pub receivers: BTreeSet<String>,
    /// What Alertmanager does without it.
    pub without: Without,
}

/// What Alertmanager does without a file, as 0.25 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// It starts, and fails each time it is to tell these receivers.
    TellsNobody,
    /// It does not start.
    DoesNotStart,
    /// It starts, and a notice that uses a template of it fails.
    HasNoTemplate,
}

impl Absent {
    /// What is to be said of it. A certificate that Alertmanager does not start without is an error where it is to lie
    /// beside the configuration, as it then lies there in production too; an absolute path is one of another machine.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let name = &self.file.value;
        let new = |code, title: String| Finding::new(code, self.file.place, title);
        let missing = format!("the file `{name}` is not here");
        match self.without {
            Without::TellsNobody => new(Code::AlertmanagerSecretFile, missing)
                .label(self.lost())
                .help("a drill puts a stand-in in its place, and says so; see that production has it"),
            Without::DoesNotStart if name.starts_with('/') => new(Code::AlertmanagerSecretFile, missing)
                .label("without it Alertmanager does not start")
                .help("a drill does without, and says so; see that production has it"),
            Without::DoesNotStart => new(Code::AlertmanagerUnloadable, missing)
                .label("without it Alertmanager does not start")
                .help("put it beside the configuration, or name by an absolute path where production has it"),
            Without::HasNoTemplate => {
                new(Code::AlertmanagerTemplates, format!("no file of templates matches `{name}`"))
                    .label("Alertmanager starts, and a notice that uses one of them fails")
                    .help("a path is read from the folder of the configuration")
            }
        }
    }

    fn lost(&self) -> String {
        let told: Vec<_> = self.receivers.iter().map(|name| format!("`{name}`")).collect();
        if told.is_empty() {
            "no receiver needs it".to_owned()
        } else {
            format!("without it Alertmanager starts, and cannot tell {}", told.join(" and "))
        }
    }

    /// What a drill has to say of it whose alert reaches one of its receivers.
    #[must_use]
    pub fn note(&self, receiver: &str) -> Option<String> {
        let Self { file, key, .. } = self;
        let does = match self.without {
            Without::TellsNobody => "without it production tells nobody by it",
            Without::DoesNotStart => "without it production's Alertmanager does not start",
            Without::HasNoTemplate => return None,
        };
        self.receivers.contains(receiver).then(|| {
            format!(
                "the file of `{key}` of `{receiver}`, `{file}`, is not here: a stand-in was used, and {does}"
            )
        })
    }
}

/// The files that `config` names and that are not here, as `exists` says of a path or a pattern. Who inherits what
/// from `global` is told by the names of its keys: `slack_api_url_file` is the `api_url_file` of `slack_configs`.
#[must_use]
pub fn absent(config: &Node, exists: &dyn Fn(&str) -> bool) -> Vec<Absent> {
    let mut named = Vec::new();
    for receiver in list(config.get("receivers")) {
        let name = receiver.get("name").and_then(Node::scalar).unwrap_or_default();
        for (_, integrations) in entries(receiver) {
            for integration in list(Some(integrations)) {
                Within::TOP.walk(integration, &mut named, &|_| [name.to_owned()].into());
            }
        }
    }
    if let Some(global) = config.get("global") {
        Within::TOP.walk(global, &mut named, &|key| heirs(config, key));
    }
    let routed = routed(config.get("route"));
    for one in &mut named {
        // A receiver that no route names is never made.
        if one.without == Without::DoesNotStart && one.receivers.is_disjoint(&routed) {
            one.without = Without::TellsNobody;
        }
    }
    named.extend(list(config.get("templates")).iter().filter_map(|node| {
        let file = At::new(node.scalar()?.to_owned(), node.place);
        let key = "templates".to_owned();
        Some(Absent { file, key, receivers: BTreeSet::new(), without: Without::HasNoTemplate })
    }));
    named.retain(|one| !exists(&one.file.value));
    named
}

/// Where in an integration a file is named.
#[derive(Debug, Clone, Copy)]
struct Within {
    /// In its `http_config`, whose certificates are read as it is made.
    http: bool,
    /// In its `oauth2`, which is made when it is first needed.
    oauth2: bool,
}

impl Within {
    const TOP: Self = Self { http: false, oauth2: false };

    /// Adds what is named in `node`; `needed` says by whom, from the key on the highest level.
    fn walk(self, node: &Node, named: &mut Vec<Absent>, needed: &dyn Fn(&str) -> BTreeSet<String>) {
        for (key, value) in entries(node) {
            let deeper =
                Self { http: self.http || key == "http_config", oauth2: self.oauth2 || key == "oauth2" };
            let receivers = needed(key);
            if let (true, Some(path)) = (key.ends_with("_file"), value.scalar()) {
                named.push(self.absent(At::new(path.to_owned(), value.place), key, receivers));
            } else if key == "http_headers" {
                let files = entries(value).flat_map(|(_, header)| list(header.get("files")));
                named.extend(files.filter_map(|file| {
                    let path = At::new(file.scalar()?.to_owned(), file.place);
                    Some(self.absent(path, "files", receivers.clone()))
                }));
            } else {
                deeper.walk(value, named, &|_| receivers.clone());
            }
        }
    }

    fn absent(self, file: At<String>, key: &str, receivers: BTreeSet<String>) -> Absent {
        let certificate = matches!(key, "ca_file" | "cert_file" | "key_file");
        let read_first = certificate && self.http && !self.oauth2;
        let without = if read_first { Without::DoesNotStart } else { Without::TellsNobody };
        Absent { file, key: key.to_owned(), receivers, without }
    }
}

/// The receivers with an integration that has what stands under `key` in `global` from there.
fn heirs(config: &Node, key: &str) -> BTreeSet<String> {
    let mut heirs = BTreeSet::new();
    for receiver in list(config.get("receivers")) {
        for (section, integrations) in entries(receiver) {
            let vendor = match section.trim_end_matches("_configs") {
                "email" => "smtp",
                vendor => vendor,
            };
            let own = match key.strip_prefix(vendor).and_then(|rest| rest.strip_prefix('_')) {
                Some(own) => own,
                None if key == "http_config" && section != "name" => key,
                None => continue,
            };
            let plain = own.trim_end_matches("_file");
            let lacks = |one: &Node| one.get(own).is_none() && one.get(plain).is_none();
            if list(Some(integrations)).iter().any(lacks) {
                heirs.extend(receiver.get("name").and_then(Node::scalar).map(str::to_owned));
            }
        }
    }
    heirs
}

/// The receivers that routes name.
fn routed(route: Option<&Node>) -> BTreeSet<String> {
    let mut all: BTreeSet<_> =
        route.and_then(|route| route.get("receiver")?.scalar()).map(str::to_owned).into_iter().collect();
    for within in list(route.and_then(|route| route.get("routes"))) {
        all.extend(routed(Some(within)));
    }
    all
}

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        Some(_) | None => &[],
    }
}

fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => &[],
    };
    entries.iter().map(|(key, value)| (key.name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml::parse;

    fn found(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        let id = sources.add("alertmanager.yml", text);
        let config = parse(id, text).unwrap().remove(0);
        let all = absent(&config, &|file| file.contains("here"));
        all.iter().map(|one| format!("{}: {} {:?}", one.finding().code, one.key, one.receivers)).collect()
    }

    #[rstest]
    #[case::secret("pagerduty_configs: [{routing_key_file: /gone}]", &["alertmanager/secret-file: routing_key_file {\"a\"}"])]
    #[case::here("pagerduty_configs: [{routing_key_file: /here}]", &[])]
    #[case::login("webhook_configs: [{http_config: {basic_auth: {password_file: gone}}}]", &["alertmanager/secret-file: password_file {\"a\"}"])]
    #[case::header("webhook_configs: [{http_config: {http_headers: {X: {files: [/gone]}}}}]", &["alertmanager/secret-file: files {\"a\"}"])]
    #[case::far_certificate("webhook_configs: [{http_config: {tls_config: {ca_file: /gone}}}]", &["alertmanager/secret-file: ca_file {\"a\"}"])]
    #[case::near_certificate("webhook_configs: [{http_config: {tls_config: {ca_file: gone.pem}}}]", &["alertmanager/unloadable: ca_file {\"a\"}"])]
    #[case::certificate_of_mail("email_configs: [{tls_config: {ca_file: gone.pem}}]", &["alertmanager/secret-file: ca_file {\"a\"}"])]
    fn a_file_that_is_not_here_is_found(#[case] integration: &str, #[case] expected: &[&str]) {
        assert_eq!(
            found(&format!("{{route: {{receiver: a}}, receivers: [{{name: a, {integration}}}]}}")),
            expected
        );
    }

    #[test]
    fn who_needs_a_file_of_global_is_known() {
        let text = "{global: {slack_api_url_file: /gone, smtp_auth_password_file: /gone}, receivers: [\
                    {name: a, slack_configs: [{channel: x}]}, {name: b, slack_configs: [{api_url: 'https://x.test'}]}, \
                    {name: c, email_configs: [{to: d}]}]}";
        let expected = [
            "alertmanager/secret-file: slack_api_url_file {\"a\"}",
            "alertmanager/secret-file: smtp_auth_password_file {\"c\"}",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn a_receiver_that_no_route_names_keeps_nobody_from_starting() {
        let text = "{route: {receiver: a}, receivers: [{name: a}, {name: b, webhook_configs: [\
                    {http_config: {tls_config: {ca_file: gone.pem}}}]}]}";
        assert_eq!(found(text), ["alertmanager/secret-file: ca_file {\"b\"}"]);
    }

    #[test]
    fn templates_that_match_nothing_are_found() {
        assert_eq!(
            found("{templates: ['gone/*.tmpl', 'here/*.tmpl']}"),
            ["alertmanager/templates: templates {}"]
        );
    }
}
