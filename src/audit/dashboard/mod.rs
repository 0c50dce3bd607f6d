//! Grafana's dashboards: the queries of their panels, and the variables that stand in them.

mod variable;

use std::collections::BTreeMap;

pub(super) use self::variable::fill;
pub use self::variable::{Gives, Unknown, Variable};
use crate::finding::{Code, Finding, Findings};
use crate::promql::Query;
use crate::source::{At, FileId, Sources};
use crate::yaml::{Kind, Node, within};

/// Panels that stand within panels, this deep.
const DEEPEST: usize = 8;

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Its file.
    pub file: FileId,
    /// Its name.
    pub title: String,
    /// Every query of its panels.
    pub queries: Vec<PanelQuery>,
    /// Its variables, in the order in which they are filled in.
    pub variables: Vec<Variable>,
}

/// A query of a panel.
#[derive(Debug, Clone)]
pub struct PanelQuery {
    /// The panel's name.
    pub panel: String,
    /// What is asked, with variables.
    pub written: At<String>,
}

/// What variables are, by name.
pub(super) type Values = BTreeMap<String, String>;

/// Whether a document is a dashboard, as Grafana exports them.
#[must_use]
pub fn is_dashboard(document: &Node) -> bool {
    let own = document.get("dashboard").unwrap_or(document);
    ["panels", "rows"].iter().any(|key| matches!(own.get(key).map(|node| &node.kind), Some(Kind::List(_))))
}

impl Dashboard {
    /// Reads a dashboard.
    #[must_use]
    pub fn read(document: &Node) -> Self {
        let own = document.get("dashboard").unwrap_or(document);
        let mut queries = Vec::new();
        for row in items(own.get("rows")) {
            panels(row, 0, &mut queries);
        }
        panels(own, 0, &mut queries);
        let variables = own.get("templating").and_then(|templating| templating.get("list"));
        Self {
            file: document.place.file,
            title: text(own, "title"),
            queries,
            variables: items(variables).iter().filter_map(Variable::read).collect(),
        }
    }

    /// What each variable is as the dashboard was saved; those that ask a Prometheus stand for anything.
    pub(super) fn saved(&self) -> Values {
        self.variables.iter().map(|one| (one.name.value.clone(), one.saved())).collect()
    }
}

/// The queries of the panels in a node.
fn panels(node: &Node, depth: usize, queries: &mut Vec<PanelQuery>) {
    if depth > DEEPEST {
        return;
    }
    for panel in items(node.get("panels")) {
        for target in items(panel.get("targets")) {
            let foreign = [target, panel].iter().any(|one| is_foreign(one.get("datasource")));
            let Some(expr) = target.get("expr").filter(|_| !foreign) else { continue };
            let Some(written) = expr.scalar().filter(|text| !text.trim().is_empty()) else { continue };
            let written = At::new(written.to_owned(), expr.place);
            queries.push(PanelQuery { panel: text(panel, "title"), written });
        }
        panels(panel, depth + 1, queries);
    }
}

/// Whether a source of data is named that is no Prometheus. A variable or an identifier may be one.
fn is_foreign(source: Option<&Node>) -> bool {
    const OTHERS: [&str; 6] = ["loki", "tempo", "elasticsearch", "influxdb", "graphite", "cloudwatch"];
    let Some(source) = source else { return false };
    let named = source.scalar().or_else(|| source.get("type").and_then(Node::scalar));
    named.is_some_and(|name| OTHERS.iter().any(|other| name.to_lowercase().contains(other)))
}

fn text(node: &Node, key: &str) -> String {
    node.get(key).and_then(Node::scalar).unwrap_or_default().to_owned()
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        Some(
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_),
        )
        | None => &[],
    }
}

impl PanelQuery {
    /// The query with its variables filled in.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&self, values: &Values, sources: &Sources) -> Result<Query, Finding> {
        let at =
            |range| within(self.written.place, sources.text(self.written.place), &self.written.value, range);
        let filled = variable::fill(&self.written.value, values).map_err(|unknown| {
            let title = format!("the dashboard has no variable `{}`", unknown.name);
            let near = crate::finding::nearest(&unknown.name, values.keys().map(String::as_str));
            let finding = Finding::new(Code::AuditDashboardVariable, at(unknown.range), title);
            finding.label(near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
        })?;
        Query::read(&filled, self.written.place).map_err(|malformed| {
            let place = if filled == self.written.value { at(malformed.range) } else { self.written.place };
            Finding::new(Code::AuditDashboardQuery, place, malformed.why)
        })
    }
}

/// Checks that every query reads.
pub(super) fn check(board: &Dashboard, sources: &Sources, findings: &mut Findings) {
    let values = board.saved();
    for query in &board.queries {
        findings.extend(query.read(&values, sources).err());
    }
}

#[cfg(test)]
mod tests;
