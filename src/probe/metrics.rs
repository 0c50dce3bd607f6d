//! What a metrics page must show.

use super::answer::any_of;
use super::attempt::{Breach, Seen};
use super::http::Response;
use crate::exposition::{self, Dialect, Sample};
use crate::finding::nearest;
use crate::sample::Reason;
use crate::scenario::metrics::{Family, Metrics};
use crate::scenario::subject::Subject;
use crate::scenario::template::Scope;

/// Judges a metrics page.
pub(super) fn judge(wanted: &Metrics, response: &Response, scope: &Scope, seen: &mut Seen) {
    let dialect = response
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or(Dialect::Text, Dialect::from_content_type);
    // The page is long and not what a reader of a failure wants to see.
    seen.evidence.body = None;
    let page = String::from_utf8_lossy(&response.body);
    let families = match exposition::parse(&page, dialect) {
        Ok(families) => families,
        Err(malformed) => {
            let title = format!("the page is not a metrics page: {malformed}");
            seen.breaches.push(Breach::new(Reason::Body, wanted.request.url.place, title, "served here"));
            return;
        }
    };
    let series: usize = families.iter().map(|family| family.samples.len()).sum();
    seen.evidence.state = Some(format!("{} families, {series} series", families.len()));
    for family in &wanted.families {
        judge_family(family, &families, scope, seen);
    }
}

fn judge_family(wanted: &Family, page: &[exposition::Family], scope: &Scope, seen: &mut Seen) {
    let name = wanted.name.value.as_str();
    let Some(found) = exposition::find(page, name) else {
        let title = format!("there is no metric `{name}` on the page");
        let breach = Breach::new(Reason::Body, wanted.name.place, title, "no such metric");
        seen.breaches.push(match nearest(name, page.iter().map(|family| family.name.as_str())) {
            Some(near) => breach.help(format!("the page has `{near}`")),
            None => breach,
        });
        return;
    };
    if let Some(kind) = wanted.kind.as_ref().filter(|kind| kind.value != found.kind) {
        let title = format!("`{name}` is a {}, not a {}", found.kind, kind.value);
        seen.breaches.push(Breach::new(Reason::Body, kind.place, title, format!("it is a {}", found.kind)));
    }
    let any = exposition::Labels::new();
    let (mut matching, mut unmet) = (Vec::new(), None);
    for sample in found.select(name, &any) {
        let differing = wanted.labels.iter().find_map(|(label, predicate)| {
            let subject = sample.labels.get(label).map_or(Subject::Absent, |value| Subject::Text(value));
            any_of(predicate, &[subject], scope, Reason::Body, &format!("label `{label}` of `{name}`"))
        });
        match differing {
            None => matching.push(sample),
            Some(breach) => unmet = Some(breach),
        }
    }
    let count = Subject::Number(f64::from(u32::try_from(matching.len()).unwrap_or(u32::MAX)));
    match (&wanted.series, unmet) {
        (Some(series), _) => {
            let what = format!("the number of series of `{name}`");
            seen.breaches.extend(any_of(series, &[count], scope, Reason::Body, &what));
        }
        (None, Some(unmet)) if matching.is_empty() => seen.breaches.push(unmet),
        (None, None) if matching.is_empty() => {
            let title = format!("`{name}` is declared on the page but has no series");
            seen.breaches.push(Breach::new(Reason::Body, wanted.name.place, title, "no series"));
        }
        (None, _) => {}
    }
    if let Some(value) = &wanted.value {
        let breach = matching.iter().find_map(|sample| {
            let what = format!("`{}`", describe(sample));
            any_of(value, &[Subject::Number(sample.value)], scope, Reason::Body, &what)
        });
        seen.breaches.extend(breach);
    }
}

/// `name{label="value"}`.
fn describe(sample: &Sample) -> String {
    let labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { sample.name.clone() } else { format!("{}{{{}}}", sample.name, labels.join(",")) }
}
