//! Rules and SLOs whose expressions and labels say what values are called in a record.

use super::Aliases;
use crate::prometheus::{Group, Rule};
use crate::source::Sources;
use crate::yaml::{self, Node};

impl Aliases {
    /// Rules as they select of a record what they selected of what was recorded.
    ///
    /// # Errors
    /// A sentence on the first that cannot.
    pub(in crate::incident) fn groups(&self, groups: &[Group]) -> Result<Vec<Group>, String> {
        let mut groups = groups.to_vec();
        if self.is_empty() {
            return Ok(groups);
        }
        for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
            self.rule(rule).map_err(|why| format!("rule `{}`: {why}", rule.name))?;
        }
        Ok(groups)
    }

    fn rule(&self, rule: &mut Rule) -> Result<(), String> {
        rule.query = self.expression(&rule.query)?;
        for (label, value) in &mut rule.labels {
            *value = self.label(label, value)?;
        }
        for text in rule.annotations.values_mut() {
            *text = self.text(text);
        }
        // What fires now is no part of the rule.
        rule.alerts.clear();
        Ok(())
    }

    /// A label that a rule gives. One that is a template has to give what it gave, and nothing hidden elsewhere.
    fn label(&self, label: &str, value: &str) -> Result<String, String> {
        if !value.contains("{{") {
            return Ok(self.value(label, value));
        }
        let whole: String = value.chars().filter(|sign| !sign.is_whitespace()).collect();
        let is_name = |text: &&str| text.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
        let same = whole.strip_prefix("{{$labels.").and_then(|rest| rest.strip_suffix("}}")).filter(is_name);
        match same {
            // The same labels' values are hashed the same way.
            Some(of) if self.hidden.hashed.contains(of) && self.hidden.hashed.contains(label) => {}
            Some(of) if of == label => {}
            Some(of) if !self.hides(of) && !self.hides(label) => {}
            None if !self.hides(label) && !self.mentions(value) => {}
            Some(_) | None => {
                return Err(format!(
                    "its label `{label}` is made of values that are to be hidden, or is to be itself: hide both, or neither"
                ));
            }
        }
        Ok(value.to_owned())
    }

    /// Whether a template may read a label that is hidden.
    fn mentions(&self, template: &str) -> bool {
        let words = template.split(|sign: char| !(sign.is_alphanumeric() || sign == '_'));
        let all = template.matches("$labels").count() != template.matches("$labels.").count();
        all || words.into_iter().any(|word| self.hides(word))
    }

    /// A file of SLOs whose queries select of a record what they selected of what was recorded.
    ///
    /// # Errors
    /// A sentence on the first query that cannot.
    pub(in crate::incident) fn slos(&self, name: &str, text: &str) -> Result<String, String> {
        if self.is_empty() {
            return Ok(text.to_owned());
        }
        let mut sources = Sources::default();
        let id = sources.add(name, text);
        // Those that do not read were refused before.
        let Ok(documents) = yaml::parse(id, text) else { return Ok(text.to_owned()) };
        let mut named = Vec::new();
        for mut document in documents {
            self.queries(&mut document).map_err(|why| format!("SLOs `{name}`: {why}"))?;
            named.push(yaml::print(&document));
        }
        Ok(named.join("---\n"))
    }

    fn queries(&self, node: &mut Node) -> Result<(), String> {
        for item in node.items_mut() {
            self.queries(item)?;
        }
        for (key, value) in node.entries_mut().into_iter().flatten() {
            match value.scalar() {
                Some(query) if key.name == "query" => {
                    let query = self.expression(query)?;
                    *value = value.text(query);
                }
                Some(_) => {}
                None => self.queries(value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::example;

    #[rstest]
    #[case::plain("user", "alice", None)]
    #[case::elsewhere("team", "shop", Some("shop"))]
    #[case::itself("user", "{{ $labels.user }}", Some("{{ $labels.user }}"))]
    #[case::other("zone", "{{ $labels.dc }}", Some("{{ $labels.dc }}"))]
    fn a_label_gives_what_it_gave(#[case] label: &str, #[case] value: &str, #[case] wanted: Option<&str>) {
        let aliases = example();
        let hashed = aliases.value("user", value);
        assert_eq!(aliases.label(label, value).unwrap(), wanted.unwrap_or(&hashed));
    }

    #[rstest]
    #[case::under_another_name("owner", "{{ $labels.user }}")]
    #[case::part_of_another("owner", "{{ $labels.user }} of {{ $labels.dc }}")]
    #[case::all_of_them("owner", "{{ $labels }}")]
    #[case::changed("user", "{{ $labels.user | toUpper }}")]
    fn what_would_leak_is_refused(#[case] label: &str, #[case] value: &str) {
        assert!(example().label(label, value).is_err());
    }

    #[test]
    fn queries_of_slos_are_named() {
        let aliases = example();
        let named = aliases.slos("a.yaml", "spec: { query: 'x{user=\"alice\"}', other: alice }").unwrap();
        assert!(named.contains(&aliases.value("user", "alice")) && named.contains("alice"), "{named}");
    }
}
