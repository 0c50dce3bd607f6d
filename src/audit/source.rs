//! The files that are audited together, read and checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Dashboard, Subject, Surroundings, is_dashboard};
use crate::finding::{Code, Finding, Findings};
use crate::plan::is_beside;
use crate::promql::PromDuration;
use crate::route::matcher::Dialect;
use crate::route::{self, Labels};
use crate::rule;
use crate::source::{At, FileId, Sources};
use crate::yaml::{self, Kind, Node};

/// Prometheus's own interval of scrapes and evaluations.
const USUAL: Duration = Duration::from_secs(60);

/// The files that are audited together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Rule files.
    pub rules: Vec<PathBuf>,
    /// Alertmanager's configuration.
    pub alertmanager: Option<PathBuf>,
    /// Prometheus's configuration; its rule files are not read unless they are named.
    pub prometheus: Option<PathBuf>,
    /// Dashboards of Grafana's; other JSON files are passed over.
    pub dashboards: Vec<PathBuf>,
}

/// Reads and checks the files, and says which they are.
pub fn read(files: &Files, sources: &mut Sources, findings: &mut Findings) -> (Subject, Vec<FileId>) {
    let mut subject = Subject::default();
    let mut ids = Vec::new();
    for path in &files.rules {
        let Some((id, documents)) = documents(path, sources, findings) else { continue };
        ids.push(id);
        subject.rules.push(rule::check(&documents, sources, findings));
    }
    if let Some((id, documents)) =
        files.alertmanager.as_ref().and_then(|path| documents(path, sources, findings))
    {
        ids.push(id);
        match documents.first() {
            Some(first) => {
                subject.routing = route::check(first, sources, Dialect::default(), findings);
                let exists = is_beside(&sources.file(id).path);
                findings.extend(route::absent(first, &exists).iter().map(route::Absent::finding));
            }
            None => findings.add(Finding::new(Code::RouteRoot, id.place(0, 0), "the file is empty")),
        }
    }
    if let Some((id, documents)) =
        files.prometheus.as_ref().and_then(|path| documents(path, sources, findings))
    {
        ids.push(id);
        let first = documents.first().map(|first| yaml::as_elder(first.clone(), &sources.file(id).text));
        subject.prometheus = first.as_ref().map(surroundings);
    }
    for path in &files.dashboards {
        let Some((id, documents)) = documents(path, sources, findings) else { continue };
        if let Some(board) = documents.first().filter(|first| is_dashboard(first)) {
            ids.push(id);
            subject.dashboards.push(Dashboard::read(board));
        }
    }
    (subject, ids)
}

fn documents(path: &Path, sources: &mut Sources, findings: &mut Findings) -> Option<(FileId, Vec<Node>)> {
    let (id, broken) = match sources.open(path) {
        Ok(opened) => opened,
        Err(error) => {
            let place = sources.add(path, "").place(0, 0);
            let title = format!("`{}` cannot be read: {error}", path.display());
            findings.add(Finding::new(Code::FileUnreadable, place, title));
            return None;
        }
    };
    if let Some(at) = broken {
        let finding = Finding::new(Code::YamlEncoding, id.place(at, at), "the file is not UTF-8");
        findings.add(finding.label("the first byte that is not"));
        return None;
    }
    let documents = findings.take_all(yaml::parse(id, &sources.file(id).text))?;
    Some((id, documents))
}

/// What a Prometheus's configuration says of all its rules.
pub(super) fn surroundings(config: &Node) -> Surroundings {
    let global = config.get("global");
    let interval = |node: Option<&Node>, key: &str| {
        node?.get(key)?.scalar()?.parse::<PromDuration>().ok().map(|duration| duration.0)
    };
    let everywhere = interval(global, "scrape_interval").unwrap_or(USUAL);
    let jobs = items(config.get("scrape_configs")).iter();
    let scraped = jobs.map(|job| interval(Some(job), "scrape_interval").unwrap_or(everywhere)).max();
    let mut external_labels = Labels::new();
    if let Some(Kind::Map(entries)) =
        global.and_then(|global| global.get("external_labels")).map(|node| &node.kind)
    {
        let said =
            entries.iter().filter_map(|(key, value)| Some((key.name.clone(), value.scalar()?.to_owned())));
        external_labels.extend(said);
    }
    let alerting = config.get("alerting").and_then(|alerting| alerting.get("alert_relabel_configs"));
    Surroundings {
        scrape_interval: scraped.unwrap_or(everywhere),
        evaluation_interval: interval(global, "evaluation_interval").unwrap_or(USUAL),
        external_labels,
        relabels_alerts: !items(alerting).is_empty(),
        jobs: items(config.get("scrape_configs")).iter().filter_map(job).collect(),
    }
}

/// The name of what is scraped, and where it stands.
fn job(config: &Node) -> Option<At<String>> {
    let name = config.get("job_name")?;
    Some(At::new(name.scalar()?.to_owned(), name.place))
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
