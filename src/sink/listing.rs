//! Alerts in running text, as Alertmanager's default templates list them.

use std::collections::BTreeMap;

use super::delivery::{Alert, Status};

/// A text that lists more is cut off.
const MOST: usize = 1_000;

/// Where in the list a line stands.
enum Within {
    Nothing,
    Labels,
    /// And the name of the last one, whose value may go on.
    Annotations(Option<String>),
}

/// The alerts that `text` lists.
pub(super) fn read(text: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut status = Status::Unsaid;
    let mut within = Within::Nothing;
    for line in text.lines() {
        let bare = line.trim().trim_start_matches('#').trim_start();
        if let Some(section) = section(bare) {
            (status, within) = (section, Within::Nothing);
        } else if matches!(bare, "Labels:" | "Labels") {
            if alerts.len() == MOST {
                break;
            }
            alerts.push(Alert { status, labels: BTreeMap::new(), annotations: BTreeMap::new() });
            within = Within::Labels;
        } else if matches!(bare, "Annotations:" | "Annotations") {
            within = if alerts.is_empty() { Within::Nothing } else { Within::Annotations(None) };
        } else if bare == "Source" || bare.starts_with("Source:") {
            within = Within::Nothing;
        } else if let Some(alert) = alerts.last_mut() {
            enter(alert, line, &mut within);
        }
    }
    alerts
}

/// The status a heading gives to what follows it.
fn section(line: &str) -> Option<Status> {
    // `[2] Firing` in mail.
    let counted = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let counted =
        counted.filter(|(count, _)| count.bytes().all(|byte| byte.is_ascii_digit())).map(|(_, word)| word);
    match counted.unwrap_or(line) {
        "Alerts Firing:" | "Firing" => Some(Status::Firing),
        "Alerts Resolved:" | "Resolved" => Some(Status::Resolved),
        _ => None,
    }
}

/// Takes a line into the alert it belongs to.
fn enter(alert: &mut Alert, line: &str, within: &mut Within) {
    let line = line.trim();
    let entry = line.strip_prefix("- ").unwrap_or(line).split_once(" = ");
    // A value that is empty loses the space after its sign of equality.
    let entry = entry.or_else(|| line.strip_prefix("- ")?.strip_suffix(" =").map(|name| (name, "")));
    match (&mut *within, entry) {
        (Within::Nothing, _) | (Within::Labels, None) => {}
        (Within::Labels, Some((name, value))) => {
            alert.labels.insert(name.to_owned(), value.to_owned());
        }
        (Within::Annotations(last), Some((name, value))) => {
            *last = Some(name.to_owned());
            alert.annotations.insert(name.to_owned(), value.to_owned());
        }
        (Within::Annotations(last), None) => {
            let value = last.as_ref().and_then(|name| alert.annotations.get_mut(name));
            if let Some(value) = value.filter(|_| !line.is_empty()) {
                value.push('\n');
                value.push_str(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_list_is_read_whatever_stands_around_it() {
        let text = "too many errors\n\nAlerts Firing:\nLabels:\n - alertname = Errors\n - path = /a = b\nAnnotations:\n \
                    - description = first line\nsecond line\n - empty = \nSource: http://prometheus/graph\n\n\
                    # Alerts Resolved:\n\nLabels:\n  - alertname = Down\n\nAnnotations:\n\nSource: \n\nAlertmanagerUrl:\nx = y\n";
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let firing = Alert {
            status: Status::Firing,
            labels: pairs(&[("alertname", "Errors"), ("path", "/a = b")]),
            annotations: pairs(&[("description", "first line\nsecond line"), ("empty", "")]),
        };
        let resolved = Alert {
            status: Status::Resolved,
            labels: pairs(&[("alertname", "Down")]),
            annotations: BTreeMap::new(),
        };
        assert_eq!(read(text), [firing, resolved]);
    }

    #[test]
    fn other_text_lists_nothing() {
        assert_eq!(read("Annotations:\n - a = b\nc = d\n"), []);
    }
}
