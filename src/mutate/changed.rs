//! A rule with a mistake in it, or in one of those that record what it looks at.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::Expr;

use super::assess::Case;
use super::mutant::{Mutant, renamed};
use crate::dilation::Rules;
use crate::promql::{metric, selectors};
use crate::rule::{Alert, Kind, Rule, RuleFile};

/// A rule that may have been changed.
pub(super) struct Changed {
    pub(super) rule: Rule,
    pub(super) alert: Alert,
    /// All rules, where one that records was changed, and the names of the metrics that are recorded anew.
    pub(super) others: Option<(Vec<RuleFile>, BTreeSet<String>)>,
}

impl Changed {
    /// The rules with a mistake in one that records: what it records, and what others record of that, goes by names of
    /// its own, beside what was recorded without the mistake.
    pub(super) fn recorded_wrong(
        mut self,
        case: &Case<'_>,
        wrong: &Rule,
        mutant: &Mutant,
        number: usize,
    ) -> Self {
        let mut names = BTreeMap::from([(wrong.name.value.clone(), another(&wrong.name.value, number))]);
        let of = (case.group, case.rule, case.alert);
        // Each stands behind those that it looks at.
        for one in Rules::of(case.tried.files, of, case.tried.every).recording {
            let looks = selectors(&one.rule.query.expr).into_iter().filter_map(|(_, one)| metric(one));
            if looks.into_iter().any(|name| names.contains_key(name)) {
                let name = &one.rule.name.value;
                names.insert(name.clone(), another(name, number));
            }
        }
        let mut files = case.tried.files.to_vec();
        let rules = files.iter_mut().flat_map(|file| &mut file.groups).flat_map(|group| &mut group.rules);
        for rule in rules.filter(|rule| matches!(rule.kind, Kind::Record)) {
            let Some(name) = names.get(&rule.name.value) else { continue };
            rule.name.value.clone_from(name);
            let expr = if rule.place == wrong.place { &mutant.expr } else { &rule.query.expr };
            let expr = renamed(expr, &names);
            ask(rule, expr);
        }
        let expr = renamed(&self.rule.query.expr, &names);
        ask(&mut self.rule, expr);
        self.others = Some((files, names.into_values().collect()));
        self
    }

    pub(super) fn files<'c>(&'c self, case: &Case<'c>) -> &'c [RuleFile] {
        self.others.as_ref().map_or(case.tried.files, |(files, _)| files)
    }

    /// With what it needs; `first` also evaluates what its recording rules record, which is once enough where they are
    /// not changed.
    pub(super) fn rules<'r>(&'r self, case: &Case<'r>, first: bool) -> Rules<'r> {
        let of = (case.group, &self.rule, &self.alert);
        let mut rules = Rules::of(self.files(case), of, case.tried.every);
        if !first {
            let anew = |name: &str| self.others.as_ref().is_some_and(|(_, anew)| anew.contains(name));
            rules.recording.retain(|one| anew(&one.rule.name.value));
        }
        rules
    }
}

/// The name of what a rule records that has a mistake.
fn another(name: &str, number: usize) -> String {
    format!("{name}:mistake{number}")
}

/// Gives a rule another expression.
pub(super) fn ask(rule: &mut Rule, expr: Expr) {
    (rule.query.text, rule.query.expr) = (expr.to_string(), expr);
}
