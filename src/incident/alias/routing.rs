//! Routing whose matchers ask for what values are called in a record.

use super::Aliases;
use crate::route::matcher::{self, Dialect, Op};
use crate::source::Sources;
use crate::yaml::{self, Kind, Node, as_elder};

impl Aliases {
    /// An Alertmanager's configuration that leads alerts where it led them before their labels had other names.
    ///
    /// # Errors
    /// A sentence on the first matcher that cannot.
    pub(in crate::incident) fn routing(&self, text: &str) -> Result<String, String> {
        if self.is_empty() {
            return Ok(text.to_owned());
        }
        let mut sources = Sources::default();
        let id = sources.add("alertmanager.yml", text);
        let read = yaml::parse(id, text).ok().and_then(|documents| documents.into_iter().next());
        let Some(document) = read else {
            return Err("Alertmanager's configuration cannot be read".to_owned());
        };
        let mut document = as_elder(document, text);
        if let Some(route) = document.get_mut("route") {
            self.route(route)?;
        }
        for rule in document.get_mut("inhibit_rules").map(Node::items_mut).unwrap_or_default() {
            for side in ["source_", "target_"] {
                self.demands(rule, side)?;
            }
        }
        for receiver in document.get_mut("receivers").map(Node::items_mut).unwrap_or_default() {
            for (_, value) in
                receiver.entries_mut().into_iter().flatten().filter(|(key, _)| key.name != "name")
            {
                self.texts(value);
            }
        }
        Ok(yaml::print(&document))
    }

    fn route(&self, route: &mut Node) -> Result<(), String> {
        self.demands(route, "")?;
        route
            .get_mut("routes")
            .map(Node::items_mut)
            .unwrap_or_default()
            .iter_mut()
            .try_for_each(|one| self.route(one))
    }

    /// The matchers of a route, or of one side of an inhibition.
    fn demands(&self, of: &mut Node, side: &str) -> Result<(), String> {
        for (key, op) in [("match", Op::Equal), ("match_re", Op::Matches)] {
            let entries = of.get_mut(&format!("{side}{key}")).and_then(Node::entries_mut);
            for (label, value) in entries.into_iter().flatten() {
                if let Some(text) = value.scalar() {
                    *value = value.text(self.demand(&label.name, op, text)?);
                }
            }
        }
        let all = of.get_mut(&format!("{side}matchers")).map(Node::items_mut).unwrap_or_default();
        for written in all {
            let Some(Ok(read)) = written.scalar().map(|text| matcher::read(text, Dialect::Both)) else {
                continue;
            };
            if !read.matchers.iter().any(|one| self.hides(&one.name)) {
                continue;
            }
            let mut named = Vec::new();
            for mut one in read.matchers {
                one.value = self.demand(&one.name, one.op, &one.value)?;
                named.push(one.to_string());
            }
            written.kind = Kind::Text(named.join(","));
        }
        Ok(())
    }

    fn demand(&self, label: &str, op: Op, value: &str) -> Result<String, String> {
        match op {
            _ if !self.hides(label) => Ok(value.to_owned()),
            Op::Equal | Op::NotEqual => Ok(self.value(label, value)),
            Op::Matches | Op::MatchesNot => self.pattern(label, value).ok_or_else(|| {
                format!(
                    "the routing matches `{label}` by a pattern, and its values are to be hidden: only a list of whole values can be"
                )
            }),
        }
    }

    /// Texts of receivers.
    fn texts(&self, node: &mut Node) {
        if let Kind::Text(text) = &node.kind {
            *node = node.text(self.text(text));
        }
        node.items_mut().iter_mut().for_each(|item| self.texts(item));
        node.entries_mut().into_iter().flatten().for_each(|(_, value)| self.texts(value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;

    #[test]
    fn routes_and_inhibitions_match_what_they_matched() {
        let mut aliases = example();
        aliases.learn("user", "alice");
        let routing = "
route:
  receiver: alice
  routes: [{ match: { user: alice }, receiver: alice }, { matchers: ['user=~\"alice|bob\"', team=a], receiver: alice }]
inhibit_rules: [{ source_match_re: { host: 'db:1' }, target_matchers: [user!=alice], equal: [user] }]
receivers: [{ name: alice, webhook_configs: [{ url: 'http://x/', title: for alice }] }]
";
        let named = aliases.routing(routing).unwrap();
        let alice = aliases.value("user", "alice");
        assert!(!named.contains("for alice") && named.contains("\"receiver\": \"alice\""), "{named}");
        assert_eq!(named.matches(&alice).count(), 4, "match, pattern, target and text: {named}");
        assert!(named.contains("\"host\": \"one\""), "{named}");
        let why = aliases.routing(&routing.replace("alice|bob", "al.*")).unwrap_err();
        assert!(why.starts_with("the routing matches `user` by a pattern"), "{why}");
    }
}
