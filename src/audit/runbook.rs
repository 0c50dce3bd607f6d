//! Links to runbooks: whether the file, or the page, is there that they lead to, and the heading in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Subject;
use super::page::{Page, page_of};
use super::said::RUNBOOKS;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::rule::{Alert, Group, Rule, RuleFile};
use crate::source::{At, Sources};

/// Where the files stand that links lead to: those whose address begins so are in that folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbooks {
    /// How addresses begin: `https://runbooks.example/`.
    pub prefix: String,
    /// The folder that they are served from.
    pub folder: PathBuf,
}

impl std::str::FromStr for Runbooks {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, folder) = text.rsplit_once('=').ok_or("this is URL-PREFIX=FOLDER")?;
        Ok(Self { prefix: prefix.to_owned(), folder: PathBuf::from(folder) })
    }
}

/// Endings under which a page may be stored, tried one after another.
const STORED: [&str; 5] = ["", ".md", ".html", "/index.md", "/README.md"];

/// The largest page that is searched for headings, in bytes.
const LARGEST: u64 = 4 << 20;

/// Checks the links of an alert: in the folder that is for them, with several that of the longest beginning, or else by
/// the page that was fetched.
pub(super) fn check(
    group: &Group,
    rule: &Rule,
    alert: &Alert,
    subject: &Subject,
    sources: &Sources,
    findings: &mut Findings,
) {
    for (link, address) in of_alert(group, rule, alert) {
        match book_of(&address, &subject.runbooks) {
            Some(book) => findings.extend(follow(&address, book, link, sources)),
            None => findings.extend(fetched(&address, subject, link, sources)),
        }
    }
}

/// The addresses of all links that no folder is for.
pub(super) fn links(subject: &Subject) -> BTreeSet<String> {
    let alerts = subject.rules.iter().flat_map(RuleFile::alerts);
    let links = alerts.flat_map(|(group, rule, alert)| of_alert(group, rule, alert));
    links
        .map(|(_, address)| address)
        .filter(|address| book_of(address, &subject.runbooks).is_none())
        .collect()
}

/// The links of an alert that are whole before it fires.
fn of_alert<'a>(
    group: &'a Group,
    rule: &'a Rule,
    alert: &'a Alert,
) -> impl Iterator<Item = (&'a At<String>, String)> {
    let texts = alert.annotations.iter().chain(rule.all_labels(group));
    let links = texts.filter(|(name, _)| RUNBOOKS.contains(&name.value.as_str()));
    // The name of the alert is known; what else is filled in is not.
    let whole =
        links.map(|(_, link)| (link, link.value.replace("{{ $labels.alertname }}", &rule.name.value)));
    whole.filter(|(_, address)| !address.contains("{{"))
}

fn book_of<'b>(address: &str, books: &'b [Runbooks]) -> Option<&'b Runbooks> {
    books.iter().filter(|book| address.starts_with(&book.prefix)).max_by_key(|book| book.prefix.len())
}

/// What is wrong with a link by the page that was fetched, where one was.
fn fetched(address: &str, subject: &Subject, link: &At<String>, sources: &Sources) -> Option<Finding> {
    let page = subject.pages.get(&page_of(address)?)?;
    let unseen = |why: &str| {
        let title = format!("the runbook cannot be looked at: {why}");
        Some(Finding::new(Code::AuditRunbookUnseen, link.place, title))
    };
    let host = match page {
        Page::Unseen(why) => return unseen(why),
        Page::Answered { status: 404 | 410, .. } => {
            let finding = Finding::new(Code::AuditRunbookLink, link.place, "there is no such page");
            return Some(finding.label("leads nowhere"));
        }
        Page::Answered { status: 200..=299, host, .. } => host,
        Page::Answered { status, .. } => return unseen(&format!("it answers with status {status}")),
    };
    let heading = address.split_once('#').map_or("", |(_, heading)| heading);
    let decoded = percent_encoding::percent_decode_str(heading).decode_utf8_lossy();
    let anchors = page.anchors();
    if leads_by_itself(&decoded) || anchors.iter().any(|one| *one == decoded || one == heading) {
        return None;
    }
    if url::Url::parse(address).ok()?.host_str() != Some(host) {
        return unseen(&format!("it leads to `{host}`, where there is no heading `{decoded}`"));
    }
    if anchors.is_empty() {
        return unseen(
            "nothing in what is sent can be linked to; if a script makes its headings, look by hand",
        );
    }
    Some(no_heading("the page", (heading, &anchors), address, link, sources))
}

/// Whether browsers, or code hosts, find what stands behind `#` without an anchor of that name.
fn leads_by_itself(heading: &str) -> bool {
    let line =
        heading.strip_prefix('L').is_some_and(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()));
    heading.is_empty() || heading.eq_ignore_ascii_case("top") || heading.starts_with(":~:") || line
}

fn follow(address: &str, book: &Runbooks, link: &At<String>, sources: &Sources) -> Option<Finding> {
    let rest = address.get(book.prefix.len()..).unwrap_or_default();
    let (path, heading) = rest.split_once('#').unwrap_or((rest, ""));
    let path = path.split('?').next().unwrap_or_default().trim_matches('/');
    let finding = |title: String| Finding::new(Code::AuditRunbookLink, link.place, title);
    if Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Some(finding(format!("`{path}` leads out of `{}`", book.folder.display())));
    }
    let stored = STORED.iter().map(|ending| book.folder.join(format!("{path}{ending}")));
    let Some(file) = stored.into_iter().find(|file| file.is_file()) else {
        let title = format!("there is no runbook `{}`", book.folder.join(path).display());
        let near = near(&book.folder.join(path));
        let one = finding(title).label("leads nowhere");
        return Some(match near {
            Some(near) => one.help(format!("did you mean `{near}`?")),
            None => one,
        });
    };
    if heading.is_empty() {
        return None;
    }
    let small = std::fs::metadata(&file).is_ok_and(|about| about.len() <= LARGEST);
    let text = std::fs::read_to_string(&file).ok().filter(|_| small)?;
    let headings = headings(&text);
    if headings.iter().any(|one| one == heading) {
        return None;
    }
    Some(no_heading(&format!("`{}`", file.display()), (heading, &headings), address, link, sources))
}

fn no_heading(
    page: &str,
    (heading, headings): (&str, &[String]),
    address: &str,
    link: &At<String>,
    sources: &Sources,
) -> Finding {
    let at = sources.text(link.place).find('#').filter(|_| link.value == address);
    let place = at.map_or(link.place, |at| {
        let begin = link.place.start as usize + at;
        link.place.file.place(begin, begin + 1 + heading.len())
    });
    let title = format!("{page} has no heading `{heading}`");
    let one = Finding::new(Code::AuditRunbookLink, place, title).label("leads to the top of the page");
    match nearest(heading, headings.iter().map(String::as_str)) {
        Some(near) => one.help(format!("did you mean `#{near}`?")),
        None if headings.is_empty() => one.help("it has no headings"),
        None => {
            let all: Vec<_> = headings.iter().take(8).map(|one| format!("`#{one}`")).collect();
            one.help(format!("it has {}", all.join(", ")))
        }
    }
}

/// The name in the same folder that was most likely meant.
fn near(path: &Path) -> Option<String> {
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let names: Vec<_> =
        entries.filter_map(Result::ok).map(|one| one.file_name().to_string_lossy().into_owned()).collect();
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    let wanted = stem(&path.file_name()?.to_string_lossy());
    let stems: Vec<_> = names.iter().map(|name| stem(name)).collect();
    let meant = nearest(&wanted, stems.iter().map(String::as_str))?;
    names.iter().find(|name| stem(name) == meant).cloned()
}

/// The anchors of a page: those of its headings in Markdown, and those that stand in HTML.
pub(super) fn headings(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if let (false, Some(title)) = (fenced, line.trim_start().strip_prefix('#')) {
            let anchor = anchor(title.trim_start_matches('#').trim());
            let before = anchors.iter().filter(|one| **one == anchor).count();
            anchors.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
        }
        for key in ["id=\"", "name=\""] {
            let said = line.match_indices(key).filter_map(|(at, _)| line[at + key.len()..].split('"').next());
            anchors.extend(said.map(str::to_owned));
        }
    }
    anchors
}

/// The anchor of a heading, as code hosts make it.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_code_hosts() {
        let text = "# High error rate\n\n```sh\n# no heading\n```\n## What to do?\n## What to do?\n<a id=\"undo\"></a>\n";
        assert_eq!(headings(text), ["high-error-rate", "what-to-do", "what-to-do-1", "undo"]);
    }
}
