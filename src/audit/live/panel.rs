//! Queries of a dashboard that return nothing, and the part of them that is to blame.

use super::{Asked, Live};
use crate::audit::dashboard::{Dashboard, Gives, PanelQuery, Values, Variable, fill};
use crate::drill::unfiltered;
use crate::finding::{Code, Finding, Findings};
use crate::prometheus::Error;
use crate::promql::{Query, metric, selectors};
use crate::rule::Recorded;
use crate::source::Sources;

/// Values of one variable that are filled in for all of them.
const MOST_VALUES: usize = 50;

/// Checks every query of a dashboard.
pub(super) async fn check(
    live: &Live,
    board: &Dashboard,
    recorded: &Recorded<'_>,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut values = Values::new();
    for variable in &board.variables {
        let value = resolve(live, variable, &values, sources, findings).await?;
        values.insert(variable.name.value.clone(), value);
    }
    for one in &board.queries {
        // What does not read is found without asking.
        let Ok(query) = one.read(&values, sources) else { continue };
        check_query(live, one, &query, recorded, sources, findings).await?;
    }
    Ok(())
}

async fn check_query(
    live: &Live,
    one: &PanelQuery,
    query: &Query,
    recorded: &Recorded<'_>,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<(), Error> {
    let asked = Asked::filled(query, &one.written);
    let mut whole = true;
    for (way, selector) in selectors(&query.expr) {
        if metric(selector).is_some_and(|name| recorded.has(name)) {
            whole = false;
            continue;
        }
        let finding = live.unmatched(asked, &way, selector, sources).await?;
        whole &= finding.is_none();
        findings.extend(finding.map(|finding| match finding.help {
            None => finding.help(format!("panel `{}`", one.panel)),
            Some(_) => finding,
        }));
    }
    // A panel of what is wrong now is empty while all is well.
    if !whole || live.gives(&unfiltered(&query.expr).to_string()).await? {
        return Ok(());
    }
    let partners = super::join::check(live, asked, sources).await?;
    if partners.is_empty() {
        let title = format!("the panel `{}` shows nothing: its query returns no series", one.panel);
        findings.add(Finding::new(Code::AuditDashboardEmpty, one.written.place, title));
    }
    findings.extend(partners);
    Ok(())
}

/// What a variable is, by what is there.
async fn resolve(
    live: &Live,
    variable: &Variable,
    values: &Values,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<String, Error> {
    let Gives::LabelValues { of, label, written } = &variable.gives else { return Ok(variable.saved()) };
    let selector = of.as_deref().unwrap_or("{__name__!=\"\"}");
    let Ok(selector) = fill(selector, values) else { return Ok(variable.saved()) };
    let query = format!("count by ({label}) (last_over_time({selector}[{}]))", super::RECENTLY);
    let found = live.series(&query).await?;
    let found: Vec<_> = found.into_iter().filter_map(|one| one.labels.get(label).cloned()).collect();
    let Some(first) = found.first() else {
        let title = format!("the variable `{}` has no values", variable.name);
        let finding = Finding::new(Code::AuditDashboardVariable, written.place, title);
        let read = Query::read(&selector, written.place).ok();
        let mut help = None;
        if let Some(query) = &read {
            for (way, selector) in selectors(&query.expr) {
                let why = live.unmatched(Asked::filled(query, written), &way, selector, sources).await?;
                help = help.or(why.map(|why| why.title));
            }
        }
        let help = help.unwrap_or_else(|| format!("no series has a label `{label}`"));
        findings.add(finding.label("returns nothing").help(help));
        return Ok(variable.saved());
    };
    if variable.several {
        return Ok(found[..found.len().min(MOST_VALUES)].join("|"));
    }
    Ok(variable.current.clone().filter(|current| found.contains(current)).unwrap_or_else(|| first.clone()))
}
