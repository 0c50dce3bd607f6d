//! Receivers, routes and inhibitions that are there for nothing.

use std::collections::BTreeSet;

use super::Subject;
use crate::finding::{Code, Finding, Findings};
use crate::promql::Carried;
use crate::route::matcher::{Matcher, Op};
use crate::route::{Alike, Certainty, Config, Labels, Route, reached};
use crate::rule::{Recorded, RuleFile};
use crate::source::{At, Place};

/// Names of receivers that are meant to tell nobody.
const NOBODY: [&str; 8] =
    ["null", "none", "blackhole", "black-hole", "devnull", "dev-null", "noop", "nobody"];

/// Checks every receiver, route and inhibition.
pub(super) fn check(config: &Config, subject: &Subject, recorded: &Recorded<'_>, findings: &mut Findings) {
    let anything = Alike { known: Labels::new(), others: Carried::any() };
    let reachable: Vec<_> = reached(&config.root, &anything).iter().map(|one| one.route).collect();
    check_receivers(config, &reachable, findings);
    let mut hidden = BTreeSet::new();
    shadowed(&config.root, &mut hidden, findings);
    let alerts = raised(subject, recorded);
    if alerts.is_empty() {
        return;
    }
    let ended: BTreeSet<Place> =
        alerts.iter().flat_map(|alert| reached(&config.root, alert)).map(|one| one.route.place).collect();
    let idle = |route: &&&Route| {
        route.routes.is_empty() && !ended.contains(&route.place) && !hidden.contains(&route.place)
    };
    for route in reachable.iter().filter(idle) {
        let finding =
            Finding::new(Code::AuditRoute, place_of(route), "no alert of these rules comes to this route");
        findings.add(finding.help(labels_of(route, &alerts)));
    }
    for inhibition in &config.inhibitions {
        for (side, matchers) in [("source", &inhibition.source), ("target", &inhibition.target)] {
            if alerts.iter().all(|alert| alert.are_taken(matchers) == Certainty::Never) {
                let place = matchers.first().map_or(inhibition.place, |matcher| matcher.place);
                let title = format!("no alert of these rules is a {side} of this inhibition");
                findings.add(Finding::new(Code::AuditInhibition, place, title));
            }
        }
    }
}

/// Receivers that nobody is told through.
fn check_receivers(config: &Config, reachable: &[&Route], findings: &mut Findings) {
    for receiver in &config.receivers {
        let name = receiver.name.value.as_str();
        if !reachable.iter().any(|route| route.receiver.value == name) {
            let title = format!("no alert can come to the receiver `{name}`");
            let finding = Finding::new(Code::AuditReceiver, receiver.name.place, title);
            let named = config.root.all().into_iter().find(|route| route.receiver.value == name);
            findings.add(match named {
                Some(route) => finding.also(route.receiver.place, "alerts are taken before they come here"),
                None => finding.label("no route names it"),
            });
        } else if receiver.integrations.is_empty() && !NOBODY.contains(&name.to_lowercase().as_str()) {
            let title = format!("the receiver `{name}` tells nobody");
            let finding = Finding::new(Code::AuditSilent, receiver.name.place, title);
            findings.add(finding.help("give it an integration, or call it `null` if that is meant"));
        }
    }
}

/// Routes whose alerts an earlier route takes, all of them; they are noted in `hidden`.
fn shadowed(route: &Route, hidden: &mut BTreeSet<Place>, findings: &mut Findings) {
    for (index, later) in route.routes.iter().enumerate() {
        let taken =
            route.routes[..index].iter().find(|earlier| !earlier.continues && takes_all_of(earlier, later));
        if let Some(earlier) = taken {
            hidden.insert(later.place);
            let finding = Finding::new(
                Code::AuditShadowed,
                place_of(later),
                "an earlier route takes all that this one would",
            );
            let finding = finding.also(place_of(earlier), "takes them first");
            findings.add(finding.help("move this route before it, or give that one `continue: true`"));
        }
        shadowed(later, hidden, findings);
    }
}

/// Whether one route takes every alert that another would.
fn takes_all_of(earlier: &Route, later: &Route) -> bool {
    let implied = |demand: &At<Matcher>| {
        demand.takes_all()
            || later.matchers.iter().any(|one| {
                one.value == demand.value
                    || (one.name == demand.name && one.op == Op::Equal && demand.takes(&one.value.value))
            })
    };
    earlier.matchers.iter().all(implied)
}

/// What is to be said of the labels that a route's matchers ask for.
fn labels_of(route: &Route, alerts: &[Alike]) -> String {
    let unknown = route
        .matchers
        .iter()
        .find(|matcher| alerts.iter().all(|alert| !alert.known.contains_key(&matcher.name)));
    if let Some(matcher) = unknown {
        return format!("no rule sets `{}`", matcher.name);
    }
    let Some(matcher) = route.matchers.first() else { return "routes before it take all alerts".to_owned() };
    let values: BTreeSet<_> = alerts.iter().filter_map(|alert| alert.known.get(&matcher.name)).collect();
    if values.iter().any(|value| matcher.takes(value)) {
        return "alerts like it are taken before, or differ in another label".to_owned();
    }
    let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
    format!("rules set `{}` to {}", matcher.name, values.join(", "))
}

fn place_of(route: &Route) -> Place {
    route.matchers.first().map_or(route.place, |matcher| matcher.place)
}

/// The alerts that the rules raise, as far as their labels are known.
fn raised(subject: &Subject, recorded: &Recorded<'_>) -> Vec<Alike> {
    let alerts = subject.rules.iter().flat_map(RuleFile::alerts);
    let alike = alerts.map(|(group, rule, _)| {
        let mut known = Labels::from([("alertname".to_owned(), rule.name.value.clone())]);
        let mut others = recorded.carried(&rule.query.expr);
        match &subject.prometheus {
            Some(one) if !one.relabels_alerts => known.extend(one.external_labels.clone()),
            // Any label may be added on the way.
            Some(_) | None => others = Carried::any(),
        }
        for (name, value) in rule.all_labels(group) {
            if value.value.contains("{{") {
                known.remove(&name.value);
                others = others.with([name.value.as_str()]);
            } else {
                known.insert(name.value.clone(), value.value.clone());
            }
        }
        Alike { known, others }
    });
    alike.collect()
}
