//! What Alertmanager would refuse, and the routing that it would make of the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::matcher::{self, Dialect, Doubt, Matcher, Op};
use super::written::{ConfigWritten, InhibitionWritten, ReceiverWritten, RouteWritten};
use super::{Config, GroupBy, Inhibition, Integration, Receiver, Route, Times, Timing};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::promql::PromDuration;
use crate::source::{At, Place, Sources};
use crate::yaml::{Entries, Kind, Node, as_elder, read_partly};

/// Reads and checks a configuration; `None` where there is no routing in it.
pub fn check(
    document: &Node,
    sources: &Sources,
    dialect: Dialect,
    findings: &mut Findings,
) -> Option<Config> {
    let tree = as_elder(document.clone(), &sources.file(document.place.file).text).without_nothing();
    let written = read_partly::<ConfigWritten>(&tree);
    let broken = !written.findings.is_empty();
    findings.extend(written.findings);
    let written = written.value?;
    let ConfigWritten { route, inhibit_rules, receivers, mute_time_intervals, time_intervals, .. } = written;
    let receivers: Vec<Receiver> =
        receivers.into_iter().map(|receiver| check_receiver(receiver.value)).collect();
    unique(receivers.iter().map(|receiver| &receiver.name), "receiver", Code::RouteReceiver, findings);
    if let Some(first) = mute_time_intervals.first() {
        let title = "the list `mute_time_intervals` is to be dropped";
        let finding = Finding::new(Code::RouteDeprecated, first.name.place, title);
        findings.add(finding.help("write these under `time_intervals`"));
    }
    let all: Vec<_> = mute_time_intervals.into_iter().chain(time_intervals).collect();
    unique(all.iter().map(|interval| &interval.name), "time interval", Code::RouteInterval, findings);
    let mut intervals: BTreeMap<String, Vec<Times>> = BTreeMap::new();
    for interval in all {
        let times = interval.time_intervals.into_iter().map(|times| times.value.check(findings)).collect();
        intervals.insert(interval.name.value, times);
    }
    let mut reader = Reader { dialect, findings };
    let inhibitions = inhibit_rules.into_iter().map(|one| reader.inhibition(one)).collect();
    let Some(route) = route else {
        if !broken {
            let finding = Finding::new(Code::RouteRoot, document.place, "`route` is missing");
            findings.add(finding.help("write `route: { receiver: NAME }`"));
        }
        return None;
    };
    let root = reader.root(route)?;
    let config = Config { root, receivers, inhibitions, intervals };
    // Where a receiver or a time was broken, those that name it are not to blame.
    if !broken {
        check_names(&config, findings);
    }
    Some(config)
}

/// Adds a finding for each name that stands for two.
fn unique<'n>(names: impl Iterator<Item = &'n At<String>>, what: &str, code: Code, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
    for name in names {
        if let Some(first) = seen.get(name.value.as_str()) {
            let title = format!("two {what}s are called `{name}`");
            findings.add(Finding::new(code, name.place, title).also(*first, "the first of them"));
        } else {
            seen.insert(&name.value, name.place);
        }
        if name.value.is_empty() {
            findings.add(Finding::new(code, name.place, format!("a {what} has a name")));
        }
    }
}

fn check_receiver(written: ReceiverWritten) -> Receiver {
    let name = written.name.clone();
    let integrations = written.integrations().into_iter().map(|(kind, at, resolved)| {
        let says = at.value.0.get("send_resolved").map(|node| &node.kind);
        let sends_resolved = match says {
            Some(Kind::Bool(says, _)) => *says,
            Some(_) | None => resolved,
        };
        Integration { kind, place: at.place, sends_resolved }
    });
    Receiver { name, integrations: integrations.collect() }
}

struct Reader<'f> {
    dialect: Dialect,
    findings: &'f mut Findings,
}

impl Reader<'_> {
    fn root(&mut self, written: At<RouteWritten>) -> Option<Route> {
        let root = &written.value;
        let first = |list: &[At<String>]| list.first().map(|one| one.place);
        let keys = |entries: &Entries<At<String>>| entries.0.first().map(|(key, _)| key.place);
        let matchers = first(&root.matchers).or(keys(&root.matches)).or(keys(&root.match_re));
        let times = first(&root.mute_time_intervals).or(first(&root.active_time_intervals));
        for (place, title) in [
            (matchers, "the first route takes every alert and has no matchers"),
            (times, "the first route has no time intervals"),
            (
                root.continues.then_some(written.place),
                "behind the first route there is none to continue with",
            ),
        ] {
            self.findings.extend(place.map(|place| {
                Finding::new(Code::RouteRoot, place, title).help("write another route within it")
            }));
        }
        let Some(receiver) = root.receiver.clone().filter(|name| !name.value.is_empty()) else {
            let finding = Finding::new(Code::RouteRoot, written.place, "the first route has no `receiver`");
            self.findings
                .add(finding.help("write `receiver: NAME`: it is told of what no route within takes"));
            return None;
        };
        let grouping = GroupBy::Labels(BTreeSet::new());
        Some(self.route(written, &Inherited { receiver, grouping, timing: Timing::default() }))
    }

    fn route(&mut self, written: At<RouteWritten>, inherited: &Inherited) -> Route {
        let At { value: written, place } = written;
        let mut matchers = self.old_matchers(&written.matches, Op::Equal);
        matchers.extend(self.old_matchers(&written.match_re, Op::Matches));
        matchers.extend(self.matchers(&written.matchers));
        let own = Inherited {
            receiver: written
                .receiver
                .filter(|name| !name.value.is_empty())
                .unwrap_or(inherited.receiver.clone()),
            grouping: written.group_by.map_or(inherited.grouping.clone(), |by| self.group_by(&by.value)),
            timing: Timing {
                group_wait: written.group_wait.map_or(inherited.timing.group_wait, |at| at.value.0),
                group_interval: self.above_zero(written.group_interval, inherited.timing.group_interval),
                repeat_interval: self.above_zero(written.repeat_interval, inherited.timing.repeat_interval),
            },
        };
        let routes = written.routes.into_iter().map(|route| self.route(route, &own)).collect();
        Route {
            place,
            receiver: own.receiver,
            matchers,
            continues: written.continues,
            grouping: own.grouping,
            timing: own.timing,
            mute: written.mute_time_intervals,
            active: written.active_time_intervals,
            routes,
        }
    }

    fn above_zero(
        &mut self,
        written: Option<At<PromDuration>>,
        inherited: std::time::Duration,
    ) -> std::time::Duration {
        let Some(at) = written else { return inherited };
        if at.value.0.is_zero() {
            self.findings.add(Finding::new(Code::RouteTiming, at.place, "this interval is above zero"));
        }
        at.value.0
    }

    fn group_by(&mut self, labels: &[At<String>]) -> GroupBy {
        let mut by = BTreeSet::new();
        for label in labels {
            if label.value == "..." && labels.len() > 1 {
                let title = "`...` groups by every label, and stands alone";
                self.findings.add(Finding::new(Code::RouteGroupBy, label.place, title));
            }
            if !by.insert(label.value.clone()) {
                let title = format!("`{label}` stands here twice");
                self.findings.add(Finding::new(Code::RouteGroupBy, label.place, title));
            }
        }
        if by.contains("...") { GroupBy::Everything } else { GroupBy::Labels(by) }
    }

    fn inhibition(&mut self, written: At<InhibitionWritten>) -> Inhibition {
        let At { value: written, place } = written;
        let mut source = self.old_matchers(&written.source_match, Op::Equal);
        source.extend(self.old_matchers(&written.source_match_re, Op::Matches));
        source.extend(self.matchers(&written.source_matchers));
        let mut target = self.old_matchers(&written.target_match, Op::Equal);
        target.extend(self.old_matchers(&written.target_match_re, Op::Matches));
        target.extend(self.matchers(&written.target_matchers));
        Inhibition { place, source, target, equal: written.equal.into_iter().map(|at| at.value).collect() }
    }

    /// `match` and `match_re`, whose labels are keys.
    fn old_matchers(&mut self, written: &Entries<At<String>>, op: Op) -> Vec<At<Matcher>> {
        if let Some((name, value)) = written.0.first() {
            let key = if op == Op::Equal { "match" } else { "match_re" };
            let finding =
                Finding::new(Code::RouteDeprecated, name.place, format!("`{key}` is to be dropped"));
            let sign = if op == Op::Equal { "=" } else { "=~" };
            self.findings.add(finding.help(format!("write `matchers: ['{name}{sign}{:?}']`", value.value)));
        }
        let read = written.0.iter().filter_map(|(name, value)| {
            let matcher = Matcher::new(name.value.clone(), op, value.value.clone());
            let matcher = matcher.map_err(|why| Finding::new(Code::RouteMatcher, value.place, why));
            Some(At::new(self.findings.take(matcher)?, value.place))
        });
        read.collect()
    }

    fn matchers(&mut self, written: &[At<String>]) -> Vec<At<Matcher>> {
        let mut all = Vec::new();
        for text in written {
            match matcher::read(&text.value, self.dialect) {
                Ok(read) => {
                    self.findings.extend(read.doubt.as_ref().map(|doubt| ambiguous(text.place, doubt)));
                    all.extend(read.matchers.into_iter().map(|matcher| At::new(matcher, text.place)));
                }
                Err(why) => self.findings.add(Finding::new(Code::RouteMatcher, text.place, why)),
            }
        }
        all
    }
}

/// What is to be said of matchers that versions of Alertmanager read differently.
fn ambiguous(place: Place, doubt: &Doubt) -> Finding {
    let new = |title: String| Finding::new(Code::RouteAmbiguous, place, title);
    match doubt {
        Doubt::Disagreement(other) => {
            let other = other.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            new("the classic rules and those of UTF-8 read this differently".to_owned())
                .label("read by the classic rules")
                .help(format!("once the classic rules are gone it will be {other}"))
        }
        Doubt::ClassicOnly(why) => {
            new(format!("only the classic rules read this, which newer versions are to drop: {why}"))
                .help("write the value in double quotes, and a backslash as two")
        }
        Doubt::Utf8Only(why) => new(format!("Alertmanager up to 0.26 does not read this: {why}")),
    }
}

/// What a route has unless it says otherwise.
struct Inherited {
    receiver: At<String>,
    grouping: GroupBy,
    timing: Timing,
}

/// Names that nothing stands for.
fn check_names(config: &Config, findings: &mut Findings) {
    let mut unknown = BTreeSet::new();
    for route in config.root.all() {
        if config.receiver(&route.receiver.value).is_none() && unknown.insert(route.receiver.place) {
            let names = config.receivers.iter().map(|receiver| receiver.name.value.as_str());
            findings.add(no_such("receiver", Code::RouteReceiver, &route.receiver, names));
        }
        for name in route.mute.iter().chain(&route.active) {
            if !config.intervals.contains_key(&name.value) {
                let names = config.intervals.keys().map(String::as_str);
                findings.add(no_such("time interval", Code::RouteInterval, name, names));
            }
        }
    }
}

fn no_such<'n>(
    what: &str,
    code: Code,
    name: &At<String>,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Finding {
    let finding = Finding::new(code, name.place, format!("no {what} is called `{name}`"));
    if let Some(near) = nearest(&name.value, names.clone()) {
        return finding.label(format!("did you mean `{near}`?"));
    }
    let all: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if all.is_empty() { finding } else { finding.help(format!("there are {}", all.join(", "))) }
}
