//! Jira: issues are searched for by a label, opened, and moved along by named transitions.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Address, Vendor, Way, nothing};
use crate::sink::delivery::Status;
use crate::sink::line::{spell, unspell};
use crate::sink::message::Message;
use crate::sink::request::{Answer, Request, at, bare_reply, json_reply, message, not_found};
use crate::yaml::Node;

pub(super) const VENDOR: Vendor = Vendor {
    name: "jira",
    section: "jira_configs",
    way: Way::Url(Address {
        key: "api_url",
        global: Some("jira_api_url"),
        built_in: false,
        tail,
        by_token: None,
    }),
    needs: &[],
    also: nothing,
    receive,
};

/// Issues that are remembered; the oldest are forgotten.
const MOST: usize = 1_000;

/// Issues by their number.
#[derive(Debug, Default)]
pub(super) struct Issues {
    last: u64,
    known: BTreeMap<u64, Issue>,
}

#[derive(Debug)]
struct Issue {
    /// Whose it is, and under which label of Alertmanager's it is found again.
    label: (String, String),
    done: bool,
}

/// The names of the transitions, which the sink is asked for, and the version at the end of the address, by which
/// Alertmanager chooses how it writes.
fn tail(integration: &Node, address: Option<&str>) -> String {
    let name = |key| integration.get(key).and_then(Node::scalar).unwrap_or_default();
    let names = ["resolve_transition", "reopen_transition"].map(|key| format!("/t{}", spell(name(key))));
    let path = address.and_then(|address| url::Url::parse(address).ok()).map(|url| url.path().to_owned());
    let path = path.filter(|path| path.contains("/rest/api/")).unwrap_or_else(|| "/rest/api/2".to_owned());
    format!("{}{}", names.concat(), &path[path.find("/rest/api/").unwrap_or(0)..])
}

fn receive(request: &Request<'_>) -> Answer {
    let Some((names, path)) = request.rest.split_once("/rest/api/") else { return not_found(request) };
    let names: Vec<_> = names.split('/').filter_map(|name| unspell(name.strip_prefix('t')?)).collect();
    let value = request.json().unwrap_or(Value::Null);
    let mut segments = path.trim_end_matches('/').split('/').skip(1);
    match (request.method, segments.next(), segments.next(), segments.next()) {
        (&Method::POST, Some("search"), _, _) => search(request, &at(&value, "/jql")),
        (&Method::POST, Some("issue"), None, _) => open(request, &value),
        (&Method::PUT, Some("issue"), Some(key), None) => change(request, key, &value),
        (&Method::GET, Some("issue"), Some(_), Some("transitions")) => {
            let all = names
                .iter()
                .zip(1..)
                .map(|(name, id): (_, u32)| json!({ "id": id.to_string(), "name": name }));
            Answer::aside(json_reply(StatusCode::OK, json!({ "transitions": all.collect::<Vec<_>>() })))
        }
        (&Method::POST, Some("issue"), Some(key), Some("transitions")) => {
            step(request, key, at(&value, "/transition/id") == "1")
        }
        _ => not_found(request),
    }
}

/// The label in a query: `… labels="ALERT{…}" order by …`.
fn search(request: &Request<'_>, query: &str) -> Answer {
    let label = query
        .split_once("labels=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(label, _)| label);
    let open_only = query.contains("statusCategory != Done");
    let issues = request.memory.issues();
    let found = issues.known.iter().filter(|(_, issue)| issue.label == (place(request), label.to_owned()));
    let found = found.filter(|(_, issue)| !(open_only && issue.done)).take(2).map(|(number, issue)| {
        let (name, category) = if issue.done { ("Done", "done") } else { ("To Do", "new") };
        let status = json!({ "name": name, "statusCategory": { "key": category } });
        json!({ "id": number.to_string(), "key": format!("FIRE-{number}"), "fields": { "status": status } })
    });
    Answer::aside(json_reply(StatusCode::OK, json!({ "issues": found.collect::<Vec<_>>() })))
}

fn open(request: &Request<'_>, value: &Value) -> Answer {
    let message = read(value, None, Status::Firing);
    if message.title.is_empty() {
        let body = json!({ "errorMessages": [], "errors": { "summary": "You must specify a summary of the issue." } });
        return Answer::aside(json_reply(StatusCode::BAD_REQUEST, body));
    }
    let mut issues = request.memory.issues();
    issues.last += 1;
    let number = issues.last;
    let label = (place(request), message.vendor_key.clone().unwrap_or_default());
    issues.known.insert(number, Issue { label, done: false });
    if issues.known.len() > MOST {
        issues.known.pop_first();
    }
    let body = json!({ "id": number.to_string(), "key": format!("FIRE-{number}"), "self": request.rest });
    Answer::delivered(message, json_reply(StatusCode::CREATED, body))
}

/// Other words for an issue; what becomes of it, a transition says.
fn change(request: &Request<'_>, key: &str, value: &Value) -> Answer {
    let issues = request.memory.issues();
    let Some(issue) = find(&issues.known, key) else { return no_issue() };
    let message = Message { told: None, ..read(value, Some(issue), Status::Firing) };
    Answer::delivered(message, bare_reply(StatusCode::NO_CONTENT))
}

fn step(request: &Request<'_>, key: &str, done: bool) -> Answer {
    let mut issues = request.memory.issues();
    let number = number(key);
    let Some(issue) = number.and_then(|number| issues.known.get_mut(&number)) else { return no_issue() };
    issue.done = done;
    let status = if done { Status::Resolved } else { Status::Firing };
    let message = Message { wordless: true, ..read(&Value::Null, Some(issue), status) };
    Answer::delivered(message, bare_reply(StatusCode::NO_CONTENT))
}

fn read(value: &Value, issue: Option<&Issue>, status: Status) -> Message {
    let labels = value.pointer("/fields/labels").and_then(Value::as_array);
    let label =
        labels.into_iter().flatten().filter_map(Value::as_str).find(|label| label.starts_with("ALERT{"));
    let label = label.or_else(|| issue.map(|issue| issue.label.1.as_str())).unwrap_or_default();
    let description = match value.pointer("/fields/description") {
        // Version 3 has a document there.
        Some(document @ Value::Object(_)) => crate::sink::message::strings(document).join("\n"),
        Some(_) | None => at(value, "/fields/description"),
    };
    Message {
        told: Some(status),
        vendor_key: Some(label.to_owned()),
        to: Some(at(value, "/fields/project/key")),
        title: at(value, "/fields/summary"),
        text: description.trim().to_owned(),
        ..message(value)
    }
    .listed()
}

fn number(key: &str) -> Option<u64> {
    key.strip_prefix("FIRE-")?.parse().ok()
}

fn find<'i>(issues: &'i BTreeMap<u64, Issue>, key: &str) -> Option<&'i Issue> {
    issues.get(&number(key)?)
}

/// Issues of one integration are no affair of another.
fn place(request: &Request<'_>) -> String {
    request.line.path()
}

fn no_issue() -> Answer {
    let body = json!({ "errorMessages": ["Issue does not exist or you do not have permission to see it."] });
    Answer::aside(json_reply(StatusCode::NOT_FOUND, body))
}
