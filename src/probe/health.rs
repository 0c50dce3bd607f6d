//! What a health or readiness endpoint says of its service.

use serde_json::{Map as Object, Value};

use super::attempt::{Breach, Seen};
use super::http::Response;
use crate::sample::Reason;
use crate::scenario::health::{Health, Map, State};

/// How well something is, whatever it is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wellness {
    Well,
    Partly,
    Not,
}

/// What an endpoint said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    wellness: Wellness,
    /// Components in the order of their names, with how each is and what was said of it.
    components: Vec<(String, Wellness, String)>,
}

/// Judges what an endpoint answered.
pub(super) fn judge(wanted: &Health, response: &Response, seen: &mut Seen) {
    let place = wanted.request.url.place;
    let said = match read(response.status.as_u16(), &response.body, wanted.map.as_ref()) {
        Ok(said) => said,
        Err(why) => {
            let breach = Breach::new(Reason::Json, place, why, "the answer is not understood");
            let help = "say how it is read: `map: { state: $.state, well: [UP], components: $.components }`";
            seen.breaches.push(breach.help(help));
            return;
        }
    };
    let state = said.state(wanted.wanted, response.status.is_success());
    let description = said.describe(state);
    seen.evidence.state = Some(description.clone());
    let well = matches!(wanted.wanted, State::Healthy | State::Ready);
    if state != wanted.wanted {
        let title = format!("the service is {description}; expected {}", wanted.wanted);
        seen.breaches.push(Breach::new(Reason::Status, place, title, format!("it is {state}")));
    } else if well && !response.status.is_success() {
        let title = format!("the service says {state}, with status {}", response.status);
        seen.breaches.push(Breach::new(Reason::Status, place, title, "a success was expected"));
    }
}

impl Said {
    /// The state, in the words of what was asked about.
    fn state(&self, wanted: State, success: bool) -> State {
        match (wanted, self.wellness) {
            (State::Healthy | State::Degraded | State::Down, Wellness::Well) => State::Healthy,
            (State::Healthy | State::Degraded | State::Down, Wellness::Partly) => State::Degraded,
            (State::Healthy | State::Degraded | State::Down, Wellness::Not) => State::Down,
            (State::Ready | State::NotReady, Wellness::Well) => State::Ready,
            // Degraded is no word about readiness: there the status decides, as it does for a kubelet.
            (State::Ready | State::NotReady, Wellness::Partly) if success => State::Ready,
            (State::Ready | State::NotReady, Wellness::Partly | Wellness::Not) => State::NotReady,
        }
    }

    /// `degraded: cache is error (timeout)`, or `healthy: cache ok, database ok`.
    fn describe(&self, state: State) -> String {
        let unwell: Vec<_> =
            self.components.iter().filter(|(_, wellness, _)| *wellness > Wellness::Well).collect();
        let named = if unwell.is_empty() {
            self.components.iter().map(|(name, _, said)| format!("{name} {said}")).collect::<Vec<_>>()
        } else {
            unwell.iter().map(|(name, _, said)| format!("{name} is {said}")).collect()
        };
        if named.is_empty() { state.to_string() } else { format!("{state}: {}", named.join(", ")) }
    }
}

/// Reads an answer; where the body says nothing of its state, the HTTP status does.
fn read(status: u16, body: &[u8], map: Option<&Map>) -> Result<Said, String> {
    let by_status = if (200..400).contains(&status) { Wellness::Well } else { Wellness::Not };
    let document: Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) if map.is_some() => return Err(format!("the body is not JSON: {error}")),
        Err(_) => return Ok(Said { wellness: by_status, components: Vec::new() }),
    };
    if let Some(map) = map {
        return mapped(&document, map);
    }
    let Value::Object(fields) = &document else {
        return Ok(Said { wellness: by_status, components: Vec::new() });
    };
    let components =
        ["checks", "services", "components", "dependencies"].iter().find_map(|key| fields.get(*key));
    let stated =
        ["status", "state", "health", "ready", "healthy", "alive"].iter().find_map(|key| fields.get(*key));
    let wellness = match stated {
        None => by_status,
        Some(stated) => wellness(stated).ok_or_else(|| format!("the state {stated} is not a known word"))?,
    };
    Ok(Said { wellness, components: components.map(|value| list(value, component)).unwrap_or_default() })
}

/// Reads an answer as a file says it is read.
fn mapped(document: &Value, map: &Map) -> Result<Said, String> {
    let word = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        match () {
            () if map.well.contains(&text) => Wellness::Well,
            () if map.degraded.contains(&text) => Wellness::Partly,
            () => Wellness::Not,
        }
    };
    let state =
        map.state.query(document).first().ok_or_else(|| format!("there is nothing at `{}`", map.state))?;
    let components = map.components.as_ref().and_then(|path| path.query(document).first());
    let one = |value: &Value| {
        let state = match &map.component_state {
            Some(path) => path.query(value).first().unwrap_or(&Value::Null),
            None => value.get("status").unwrap_or(value),
        };
        (word(state), plain(state))
    };
    Ok(Said {
        wellness: word(state),
        components: components.map(|value| list(value, one)).unwrap_or_default(),
    })
}

/// Components of an object or a list.
fn list(value: &Value, one: impl Fn(&Value) -> (Wellness, String)) -> Vec<(String, Wellness, String)> {
    /// More than this many are not named one by one.
    const MOST: usize = 64;
    let named: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => {
            let name = |item: &Value| item.get("name").map_or_else(|| "?".to_owned(), plain);
            items.iter().map(|item| (name(item), item)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let read = named.into_iter().take(MOST).map(|(name, value)| {
        let (wellness, said) = one(value);
        (name, wellness, said)
    });
    read.collect()
}

fn component(value: &Value) -> (Wellness, String) {
    let Value::Object(fields) = value else {
        return (wellness(value).unwrap_or(Wellness::Not), plain(value));
    };
    let stated = ["status", "state", "healthy", "ready"].iter().find_map(|key| fields.get(*key));
    let wellness = stated.and_then(wellness).unwrap_or(Wellness::Not);
    (wellness, stated.map_or_else(|| "unknown".to_owned(), plain) + &reason(fields))
}

/// What a component adds in its own words, in parentheses.
fn reason(fields: &Object<String, Value>) -> String {
    ["message", "error", "reason", "detail"]
        .iter()
        .find_map(|key| fields.get(*key))
        .map(|text| format!(" ({})", plain(text)))
        .unwrap_or_default()
}

/// Words that services use for how they are.
fn wellness(value: &Value) -> Option<Wellness> {
    let word = match value {
        Value::Bool(true) => return Some(Wellness::Well),
        Value::Bool(false) => return Some(Wellness::Not),
        Value::String(word) => word.trim().to_lowercase().replace(['_', ' '], "-"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match word.as_str() {
        "healthy" | "ok" | "okay" | "up" | "pass" | "passing" | "ready" | "alive" | "live" | "connected"
        | "available" | "running" | "green" | "serving" | "success" | "operational" | "true" => {
            Some(Wellness::Well)
        }
        "degraded" | "warn" | "warning" | "yellow" | "partial" => Some(Wellness::Partly),
        "down" | "error" | "fail" | "failed" | "failing" | "failure" | "unhealthy" | "critical" | "red"
        | "not-ready" | "notready" | "unready" | "disconnected" | "unavailable" | "dead" | "stopped"
        | "starting" | "not-serving" | "out-of-service" | "false" => Some(Wellness::Not),
        _ => None,
    }
}

/// A value as a word in a sentence, cut short.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::monkeytown(
        200,
        r#"{"status":"degraded","checks":{"redis":{"status":"error","latency_ms":9,"message":"timeout"},"ws":{"status":"ok"}}}"#,
        State::Healthy,
        "degraded: redis is error (timeout)"
    )]
    #[case::monkeytown_well(
        200,
        r#"{"status":"healthy","checks":{"redis":{"status":"ok"}}}"#,
        State::Healthy,
        "healthy: redis ok"
    )]
    #[case::ready_flag(200, r#"{"ready":true}"#, State::Ready, "ready")]
    #[case::not_ready_flag(503, r#"{"ready":false}"#, State::Ready, "not-ready")]
    #[case::bakhmach_ready(
        200,
        r#"{"status":"ready","services":{"database":"connected","cache":"disconnected"}}"#,
        State::Ready,
        "ready: cache is disconnected"
    )]
    #[case::bakhmach_alive(200, r#"{"status":"alive","uptime_seconds":864000}"#, State::Healthy, "healthy")]
    #[case::plain_text(200, "Prometheus Server is Ready.\n", State::Ready, "ready")]
    #[case::plain_text_unwell(503, "Service Unavailable", State::Ready, "not-ready")]
    #[case::empty(204, "", State::Healthy, "healthy")]
    #[case::moai(
        200,
        r#"{"healthy":false,"checks":{"memory":{"healthy":false,"message":"93% used"}}}"#,
        State::Healthy,
        "down: memory is false (93% used)"
    )]
    fn a_known_shape_is_understood(
        #[case] status: u16,
        #[case] body: &str,
        #[case] asked: State,
        #[case] description: &str,
    ) {
        let said = read(status, body.as_bytes(), None).unwrap();
        assert_eq!(said.describe(said.state(asked, status < 400)), description);
    }

    #[test]
    fn an_unknown_word_is_not_guessed_at() {
        assert_eq!(
            read(200, br#"{"status":"purple"}"#, None).unwrap_err(),
            "the state \"purple\" is not a known word"
        );
    }
}
