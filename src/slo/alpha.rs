//! OpenSLO v1alpha, brought into the words of v1 before it is read.
//!
//! The elder version has no `SLI` and no `metricSource`: an SLO's threshold stands in its `indicator`, its ratios
//! stand in its objectives, each with a query of its own. What had to be assumed is a finding, once a document.

use super::VERSION;
use crate::finding::{Code, Finding, Findings};
use crate::yaml::{Key, Kind, Node};

/// The version that is brought over.
pub(super) const ELDER: &str = "openslo/v1alpha";

/// The length of a time slice, which v1alpha cannot say.
const SLICE: &str = "1m";

/// A document of v1alpha as documents of v1: an SLO whose objectives have a ratio each becomes one SLO for each.
///
/// What neither version knows is left where it stands, so that reading it finds it.
pub(super) fn as_v1(document: &Node, findings: &mut Findings) -> Vec<Node> {
    let mut node = document.clone();
    let place = node.get("apiVersion").map_or(node.place, |version| version.place);
    node.set("apiVersion", Kind::Text(VERSION.to_owned()));
    let mut assumed = Vec::new();
    let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::scalar);
    let name = name.unwrap_or("indicator").to_owned();
    let nodes = match node.get_mut("spec") {
        Some(spec) => {
            window(spec, findings);
            threshold(spec, &name);
            let ratios = ratios(spec, &name, &mut assumed);
            one_each(&node, &name, ratios, &mut assumed)
        }
        None => vec![node],
    };
    let title = format!("`{ELDER}` is read as `{VERSION}`");
    let finding = Finding::new(Code::SloAssumed, place, title);
    findings.add(match assumed.as_slice() {
        [] => finding,
        some => finding.help(format!("assumed: {}", some.join("; "))),
    });
    nodes
}

/// `timeWindows: [{ unit: Day, count: 28 }]` as `timeWindow: [{ duration: 28d }]`.
fn window(spec: &mut Node, findings: &mut Findings) {
    let Some(mut windows) = spec.take("timeWindows") else { return };
    for window in windows.items_mut() {
        let (Some(count), Some(unit)) = (window.take("count"), window.take("unit")) else { continue };
        let written = (count.scalar().unwrap_or_default().to_owned(), unit.scalar().unwrap_or_default());
        let duration = match (written.0.parse::<u64>(), written.1) {
            (Ok(count), "Second") if count % 60 == 0 => format!("{}m", count / 60),
            (Ok(_), "Second") => {
                let title = "a window is of whole minutes";
                findings.add(Finding::new(Code::SloWindow, count.place, title));
                "1m".to_owned()
            }
            (_, "Minute") => written.0 + "m",
            (_, "Hour") => written.0 + "h",
            (_, "Day") => written.0 + "d",
            (_, "Week") => written.0 + "w",
            (_, "Month") => written.0 + "M",
            (_, "Quarter") => written.0 + "Q",
            (_, "Year") => written.0 + "Y",
            // Not a period of v1 either, and refused as such.
            (_, other) => format!("{} {other}", written.0),
        };
        put(window, "duration", count.text(duration));
    }
    put(spec, "timeWindow", windows);
}

/// The threshold metric of the whole SLO.
fn threshold(spec: &mut Node, name: &str) {
    let Some(indicator) = spec.get_mut("indicator") else { return };
    let Some(metric) = indicator.take("thresholdMetric") else { return };
    let inline = inline(name, "thresholdMetric", source(metric));
    if let (Some(entries), Kind::Map(inline)) = (indicator.entries_mut(), inline.kind) {
        entries.extend(inline);
    }
}

/// Takes the ratio of each objective out of it, as an indicator of v1; and says what was assumed of the objectives.
fn ratios(spec: &mut Node, name: &str, assumed: &mut Vec<String>) -> Vec<Option<Node>> {
    let sliced = spec.get("budgetingMethod").and_then(Node::scalar) == Some("Timeslices");
    let Some(objectives) = spec.get_mut("objectives") else { return Vec::new() };
    let mut all = Vec::new();
    for objective in objectives.items_mut() {
        if sliced && objective.get("timeSliceWindow").is_none() {
            objective.set("timeSliceWindow", Kind::Text(SLICE.to_owned()));
            say(assumed, &format!("a time slice is {SLICE} long"));
        }
        // Both names stand in the text of v1alpha.
        let ratio = objective.take("ratioMetrics").or_else(|| objective.take("ratioMetric"));
        all.push(ratio.map(|mut ratio| {
            match ratio.take("incremental") {
                Some(incremental) => put(&mut ratio, "counter", incremental),
                None if ratio.get("counter").is_none() => {
                    say(assumed, "what does not say `incremental: true` is no counter");
                }
                None => {}
            }
            for side in ["good", "bad", "total"] {
                if let Some(metric) = ratio.take(side) {
                    put(&mut ratio, side, source(metric));
                }
            }
            inline(name, "ratioMetric", ratio)
        }));
    }
    all
}

/// The document with the ratio as its indicator; where there are several, one document for each.
fn one_each(node: &Node, name: &str, ratios: Vec<Option<Node>>, assumed: &mut Vec<String>) -> Vec<Node> {
    let several = ratios.len() > 1 && ratios.iter().any(Option::is_some);
    if several {
        say(
            assumed,
            &format!("each objective is an SLO of its own: `{name}-1` to `{name}-{}`", ratios.len()),
        );
    }
    let count = if several { ratios.len() } else { 1 };
    let mut ratios = ratios.into_iter();
    let with = |number: usize| {
        let mut node = node.clone();
        let ratio = ratios.next().flatten();
        if let (Some(spec), Some(ratio)) = (node.get_mut("spec"), ratio) {
            put(spec, "indicator", ratio);
        }
        if several {
            only(&mut node, number);
            if let Some(called) = node.get_mut("metadata").and_then(|metadata| metadata.get_mut("name")) {
                *called = called.text(format!("{name}-{}", number + 1));
            }
        }
        node
    };
    (0..count).map(with).collect()
}

/// Leaves one objective of a document.
fn only(node: &mut Node, number: usize) {
    let objectives = node.get_mut("spec").and_then(|spec| spec.get_mut("objectives"));
    if let Some(objectives) = objectives
        && let Some(kept) = objectives.items_mut().get(number).cloned()
    {
        objectives.kind = Kind::List(vec![kept]);
    }
}

/// `{ source, queryType, query, metadata }` as `{ metricSource: { type, spec } }`.
fn source(mut metric: Node) -> Node {
    let place = metric.place;
    let source_type = metric.take("source");
    metric.take("queryType");
    let mut whole = Node { place, kind: Kind::Map(Vec::new()) };
    if let Some(source_type) = source_type {
        put(&mut whole, "type", source_type);
    }
    put(&mut whole, "spec", metric);
    around("metricSource", whole)
}

/// An indicator that is written where it is used.
fn inline(name: &str, metric: &str, said: Node) -> Node {
    let called = around("name", said.text(name));
    let spec = around(metric, said);
    let mut indicator = around("metadata", called);
    put(&mut indicator, "spec", spec);
    indicator
}

/// A map of one key.
fn around(key: &str, value: Node) -> Node {
    let place = value.place;
    let key = Key { name: key.to_owned(), place };
    Node { place, kind: Kind::Map(vec![(key, value)]) }
}

/// Adds an entry to a map, which stands where its value does.
fn put(map: &mut Node, key: &str, value: Node) {
    if let Some(entries) = map.entries_mut() {
        entries.retain(|(other, _)| other.name != key);
        entries.push((Key { name: key.to_owned(), place: value.place }, value));
    }
}

/// Keeps what was assumed, once.
fn say(assumed: &mut Vec<String>, what: &str) {
    if !assumed.iter().any(|known| known == what) {
        assumed.push(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{check, resolve};
    use crate::finding::Findings;
    use crate::source::Sources;
    use crate::yaml::parse;

    /// What the SLOs of a text promise, and what was found.
    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut sources = Sources::default();
        let file = sources.add("elder.yaml", text);
        let mut findings = Findings::default();
        let documents = check(&parse(file, text).unwrap(), &mut findings);
        let slos = resolve(&documents, &mut findings);
        let told = slos.iter().flat_map(|slo| {
            slo.objectives.iter().map(move |objective| {
                let counting = objective.measure.over(std::time::Duration::from_secs(3600)).unwrap();
                let asked = format!("{} of {}", counting.counted, counting.total);
                format!("{} over {}: {objective}; {asked}", slo.name, slo.window)
            })
        });
        let said = findings.in_reading_order().into_iter().map(|finding| {
            let help = finding.help.as_deref().unwrap_or_default();
            format!("{}: {} {help}", finding.code, finding.title)
        });
        (told.collect(), said.collect())
    }

    #[test]
    fn an_elder_ratio_is_read() {
        let (slos, findings) = read(
            "apiVersion: openslo/v1alpha\nkind: SLO\nmetadata: { name: foo }\nspec:\n  service: shop\n  \
             timeWindows: [{ unit: Day, count: 28, isRolling: true }]\n  budgetingMethod: Occurrences\n  \
             objectives:\n    - displayName: Foo\n      target: 0.98\n      ratioMetrics:\n        incremental: true\n        \
             good: { source: prometheus, queryType: promql, query: 'http_ok_total' }\n        \
             total: { source: prometheus, queryType: promql, query: 'http_all_total' }\n",
        );
        insta::assert_debug_snapshot!((slos, findings));
    }

    #[test]
    fn several_elder_ratios_are_several_slos() {
        let (slos, findings) = read(
            "apiVersion: openslo/v1alpha\nkind: SLO\nmetadata: { name: foo }\nspec:\n  service: shop\n  \
             timeWindows: [{ unit: Second, count: 3600, isRolling: true }]\n  budgetingMethod: Timeslices\n  \
             objectives:\n    - target: 0.98\n      timeSliceTarget: 0.9\n      ratioMetric:\n        \
             good: { source: prometheus, query: 'a' }\n        total: { source: prometheus, query: 'b' }\n    \
             - target: 0.99\n      timeSliceTarget: 0.9\n      ratioMetric:\n        \
             good: { source: prometheus, query: 'c' }\n        total: { source: prometheus, query: 'd' }\n",
        );
        insta::assert_debug_snapshot!((slos, findings));
    }

    #[test]
    fn an_elder_threshold_by_the_calendar_is_read() {
        let (slos, findings) = read(
            "apiVersion: openslo/v1alpha\nkind: SLO\nmetadata: { name: foo }\nspec:\n  service: shop\n  \
             indicator: { thresholdMetric: { source: prometheus, queryType: promql, query: 'queue_length' } }\n  \
             timeWindows:\n    - unit: Month\n      count: 1\n      \
             calendar: { startTime: 2026-01-01 00:00:00, timeZone: UTC }\n  budgetingMethod: Occurrences\n  \
             objectives: [{ op: lte, value: 100, target: 0.98 }]\n",
        );
        insta::assert_debug_snapshot!((slos, findings));
    }

    #[test]
    fn what_neither_version_knows_is_found() {
        let (slos, findings) = read(
            "apiVersion: openslo/v1alpha\nkind: SLO\nmetadata: { name: foo }\nspec:\n  service: shop\n  \
             timeWindows: [{ unit: Fortnight, count: 1, isRolling: true }]\n  budgetingMethod: Occurrences\n  \
             objectives: [{ target: 0.98, ratioMetrics: { good: { source: prometheus } } }]\n",
        );
        insta::assert_debug_snapshot!((slos, findings));
    }
}
