//! Rules as a Prometheus has loaded them, written down as a rule file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::prometheus::{Group, Rule};
use crate::promql::PromDuration;

/// Rule files by name, in the order in which they are loaded.
pub(super) fn files(groups: &[Group]) -> Vec<(String, String)> {
    let mut names: Vec<&str> = Vec::new();
    let mut of_file: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for group in groups {
        if !names.contains(&group.file.as_str()) {
            names.push(&group.file);
        }
        of_file.entry(&group.file).or_default().push(group);
    }
    let file = |(number, name): (usize, &&str)| {
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        let fit: String =
            stem.chars().filter(|sign| sign.is_ascii_alphanumeric() || "-_".contains(*sign)).collect();
        let fit = if fit.is_empty() { "rules".to_owned() } else { fit };
        let groups = of_file.get(name).map(Vec::as_slice).unwrap_or_default();
        (format!("{number:03}-{fit}.yml"), text(groups))
    };
    names.iter().enumerate().map(file).collect()
}

fn text(groups: &[&Group]) -> String {
    let mut text = String::from("# As Prometheus had loaded it.\ngroups:\n");
    for group in groups {
        let _ = write!(
            text,
            "  - name: {}\n    interval: {}\n    rules:\n",
            quoted(&group.name),
            time(group.interval)
        );
        for rule in &group.rules {
            text += &of_rule(rule);
        }
    }
    text
}

fn of_rule(rule: &Rule) -> String {
    let kind = if rule.state.is_some() { "alert" } else { "record" };
    let mut text = format!("      - {kind}: {}\n        expr: {}\n", quoted(&rule.name), quoted(&rule.query));
    for (key, seconds) in [("for", rule.duration), ("keep_firing_for", rule.keep_firing_for)] {
        if seconds > 0.0 {
            let _ = writeln!(text, "        {key}: {}", time(seconds));
        }
    }
    for (key, entries) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
        if !entries.is_empty() {
            let _ = writeln!(text, "        {key}:");
        }
        for (name, value) in entries {
            let _ = writeln!(text, "          {}: {}", quoted(name), quoted(value));
        }
    }
    text
}

fn time(seconds: f64) -> String {
    PromDuration(Duration::try_from_secs_f64(seconds).unwrap_or_default()).to_string()
}

/// A text as YAML reads it, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Findings;
    use crate::source::Sources;

    #[test]
    fn what_was_loaded_loads_again() {
        let loaded = r#"{ "groups": [{ "name": "a", "file": "/etc/prometheus/web: 1.yml", "interval": 15, "rules": [
            { "name": "Down", "query": "up{job=\"web\"} == 0", "state": "inactive", "duration": 300,
              "labels": { "severity": "critical" }, "annotations": { "summary": "{{ $labels.instance }}: down # yes" } },
            { "name": "a:b", "query": "sum(x)" }] }] }"#;
        let groups: crate::prometheus::Groups = serde_json::from_str(loaded).unwrap();
        let files = files(&groups.groups);
        let (name, text) = &files[0];
        assert_eq!(name, "000-web1.yml");
        let (mut sources, mut findings) = (Sources::default(), Findings::default());
        let id = sources.add(name, text);
        let file = crate::rule::check(&crate::yaml::parse(id, text).unwrap(), &sources, &mut findings);
        assert!(findings.is_empty(), "{text}");
        let (group, rule, alert) = file.alerts().next().unwrap();
        assert_eq!(group.interval.unwrap().value, Duration::from_secs(15));
        assert_eq!(
            (rule.query.text.as_str(), alert.holds.unwrap().value.as_secs()),
            ("up{job=\"web\"} == 0", 300)
        );
        assert_eq!(alert.annotations[0].1.value, "{{ $labels.instance }}: down # yes");
        assert_eq!(file.rules().count(), 2);
    }
}
