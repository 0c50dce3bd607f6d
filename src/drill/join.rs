//! Why the sides of an operator do not go together: by their labels.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{BinModifier, LabelModifier};

use crate::exposition::Labels;

/// Labels that keep every series of one side from every series of the other: those that only one side has, and
/// those that both have with no value in common.
pub(crate) fn in_the_way<'l>(
    left: impl Iterator<Item = &'l Labels>,
    right: impl Iterator<Item = &'l Labels>,
    modifier: Option<&BinModifier>,
) -> Vec<String> {
    let (left, right) = (values(left), values(right));
    let names: BTreeSet<_> = left.keys().chain(right.keys()).copied().collect();
    let matched = |name: &&&str| match modifier.and_then(|modifier| modifier.matching.as_ref()) {
        None => true,
        Some(LabelModifier::Include(on)) => on.labels.iter().any(|label| label == **name),
        Some(LabelModifier::Exclude(ignored)) => !ignored.labels.iter().any(|label| label == **name),
    };
    let empty = BTreeSet::new();
    let apart = |name: &&&str| {
        let left = left.get(**name).unwrap_or(&empty);
        let right = right.get(**name).unwrap_or(&empty);
        left.is_disjoint(right)
    };
    names
        .iter()
        .filter(|name| **name != "__name__")
        .filter(matched)
        .filter(apart)
        .map(|name| (*name).to_owned())
        .collect()
}

/// Every value of every label.
fn values<'l>(series: impl Iterator<Item = &'l Labels>) -> BTreeMap<&'l str, BTreeSet<&'l str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in series.flatten() {
        values.entry(name).or_default().insert(value);
    }
    values
}
