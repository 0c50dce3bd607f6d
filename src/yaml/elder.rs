//! How Prometheus and Alertmanager read a tree: by YAML 1.1, which knows more booleans and numbers, and merges maps.

use super::tree::{Key, Kind, Node};

/// The tree as a reader of YAML 1.1 understands the same `text`: `yes` and `off` are booleans where they stand
/// without quotes, `1_000` is a number, and what `<<` names is part of the map.
#[must_use]
pub fn as_elder(node: Node, text: &str) -> Node {
    let Node { place, kind } = node;
    let kind = match kind {
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) => kind,
        Kind::Text(word) => match text.get(place.start as usize..place.end as usize) {
            // In quotes it would not be the same.
            Some(written) if written == word => resolve(word),
            Some(_) | None => Kind::Text(word),
        },
        Kind::List(items) => Kind::List(items.into_iter().map(|item| as_elder(item, text)).collect()),
        Kind::Map(entries) => Kind::Map(merge(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let merges = key.name == "<<"
                        && text.get(key.place.start as usize..).is_some_and(|t| t.starts_with("<<"));
                    (key, as_elder(value, text), merges)
                })
                .collect(),
        )),
    };
    Node { place, kind }
}

/// A word without quotes.
fn resolve(word: String) -> Kind {
    match word.as_str() {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Kind::Bool(true, word),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Kind::Bool(false, word),
        _ => {}
    }
    let digits: String = word.chars().filter(|sign| *sign != '_').collect();
    let number = match digits.strip_prefix("0b") {
        Some(binary) => i64::from_str_radix(binary, 2).ok(),
        None if digits.len() < word.len() && word.starts_with(|sign: char| sign.is_ascii_digit()) => {
            digits.parse().ok()
        }
        None => None,
    };
    match number {
        Some(number) => Kind::Int(number, word),
        None => Kind::Text(word),
    }
}

/// What is written in a map goes before what is merged into it, and of several maps the first goes before others.
fn merge(entries: Vec<(Key, Node, bool)>) -> Vec<(Key, Node)> {
    let mut own = Vec::with_capacity(entries.len());
    let mut merged = Vec::new();
    for (key, value, merges) in entries {
        match (merges, value.kind) {
            (true, Kind::Map(entries)) => merged.extend(entries),
            (true, Kind::List(maps)) => merged.extend(maps.into_iter().flat_map(|map| match map.kind {
                Kind::Map(entries) => entries,
                Kind::Null
                | Kind::Bool(..)
                | Kind::Int(..)
                | Kind::Float(..)
                | Kind::Text(_)
                | Kind::List(_) => Vec::new(),
            })),
            (_, kind) => own.push((key, Node { place: value.place, kind })),
        }
    }
    for (key, value) in merged {
        if !own.iter().any(|(other, _)| other.name == key.name) {
            own.push((key, value));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml::{parse, print};

    #[rstest]
    #[case::words("[yes, 'yes', \"off\", off, Y, nope]", "[yes,\"yes\",\"off\",off,Y,\"nope\"]")]
    #[case::numbers("[1_000, '1_000', 0b11, _1, a_b]", "[1_000,\"1_000\",0b11,\"_1\",\"a_b\"]")]
    #[case::block("a: |\n  yes\n", "{\"a\": \"yes\\n\"}")]
    #[case::merged("[&d {a: 1, b: on}, {<<: *d, b: 2}]", "[{\"a\": 1,\"b\": on},{\"b\": 2,\"a\": 1}]")]
    #[case::several("{<<: [{a: 1}, {a: 2, c: 3}]}", "{\"a\": 1,\"c\": 3}")]
    #[case::no_merge("{'<<': {a: 1}}", "{\"<<\": {\"a\": 1}}")]
    fn what_yaml_1_1_takes_it_for(#[case] text: &str, #[case] expected: &str) {
        let mut sources = Sources::default();
        let id = sources.add("a.yaml", text);
        let node = parse(id, text).unwrap().remove(0);
        let printed = print(&as_elder(node, text));
        let lines: String = printed.lines().map(str::trim_start).collect();
        assert_eq!(lines, expected);
    }
}
