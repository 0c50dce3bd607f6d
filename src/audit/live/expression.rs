//! One rule's expression against what is there: its selectors first, then what is made of them.

use super::{Asked, Live};
use crate::finding::{Code, Finding, Findings};
use crate::prometheus::Error;
use crate::promql::{metric, selectors};
use crate::rule::Recorded;
use crate::source::Sources;

/// Signs of an error that are shown.
const LONGEST_ERROR: usize = 300;

/// Checks an expression. What cannot be evaluated because of a part is told of that part alone.
pub(super) async fn check(
    live: &Live,
    asked: Asked<'_>,
    recorded: &Recorded<'_>,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut whole = true;
    for (way, selector) in selectors(&asked.query.expr) {
        // What rules record may not be here yet; its own rule is checked.
        if metric(selector).is_some_and(|name| recorded.has(name)) {
            whole = false;
            continue;
        }
        let finding = live.unmatched(asked, &way, selector, sources).await?;
        whole &= finding.is_none();
        findings.extend(finding);
    }
    if !whole {
        return Ok(());
    }
    let partners = super::join::check(live, asked, sources).await?;
    if partners.is_empty()
        && let Err(said) = live.ask(&asked.query.expr.to_string()).await?
    {
        let said: String = said.chars().filter(|sign| !sign.is_control()).take(LONGEST_ERROR).collect();
        let place = asked.place_of(&[], sources);
        findings.add(Finding::new(Code::AuditEvaluation, place, "this cannot be evaluated").label(said));
    }
    findings.extend(partners);
    findings.extend(super::top::check(live, asked, sources).await?);
    Ok(())
}
