//! Texts of alerts that are filled in when they fire: actions that do not parse, and labels that are not there.

use std::ops::Range;

use crate::finding::{Code, Finding, Findings, nearest};
use crate::promql::{metric, selectors};
use crate::rule::{Alert, Recorded, Rule};
use crate::source::{At, Sources};
use crate::yaml::within;

/// Functions that Prometheus's templates know, and words of the language.
const KNOWN: [&str; 62] = [
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "args",
    "reReplaceAll",
    "safeHtml",
    "match",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "toTime",
    "toDuration",
    "now",
    "urlQueryEscape",
    "tmpl",
    "and",
    "or",
    "not",
    "call",
    "html",
    "index",
    "slice",
    "js",
    "len",
    "print",
    "printf",
    "println",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "break",
    "continue",
    "nil",
    "true",
    "false",
];

/// Variables that are there without being set.
const VARIABLES: [&str; 5] = ["$labels", "$value", "$externalLabels", "$externalURL", "$"];

/// Checks every text of an alert.
pub(super) fn check(
    rule: &Rule,
    alert: &Alert,
    recorded: &Recorded<'_>,
    sources: &Sources,
    findings: &mut Findings,
) {
    for (_, text) in rule.labels.iter().chain(&alert.annotations) {
        let mut set: Vec<&str> = Vec::new();
        let mut rest = 0;
        while let Some(begin) = text.value[rest..].find("{{").map(|at| rest + at) {
            let Some(action) = action(&text.value, begin + 2) else {
                let place = place(text, begin..begin + 2, sources);
                let finding = Finding::new(Code::RuleTemplate, place, "`{{` is not closed");
                findings.add(finding.help("write `}}` behind it"));
                break;
            };
            rest = action.end + 2;
            check_action(&text.value, action, &mut set, &mut |range, kind| {
                findings.extend(problem(rule, recorded, kind, place(text, range, sources)));
            });
        }
    }
}

fn place(text: &At<String>, range: Range<usize>, sources: &Sources) -> crate::source::Place {
    within(text.place, sources.text(text.place), &text.value, range)
}

/// What stands between `{{` and `}}`; `None` where it does not end.
fn action(text: &str, begin: usize) -> Option<Range<usize>> {
    let mut at = begin;
    while let Some(sign) = text[at..].chars().next() {
        if text[at..].starts_with("}}") {
            return Some(begin..at);
        }
        at += if matches!(sign, '"' | '`') { quoted(&text[at..], sign)? } else { sign.len_utf8() };
    }
    None
}

/// The length of a text in quotes, with them.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            sign if sign == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Something in an action that may not be.
#[derive(Clone, Copy)]
enum Word<'t> {
    Function(&'t str),
    Variable(&'t str),
    Label(&'t str),
}

/// Tells of each word of an action that may not be.
fn check_action<'t>(
    text: &'t str,
    action: Range<usize>,
    set: &mut Vec<&'t str>,
    tell: &mut dyn FnMut(Range<usize>, Word<'t>),
) {
    let inside = &text[action.clone()];
    if inside.trim_start_matches('-').trim_start().starts_with("/*") {
        return;
    }
    let mut at = 0;
    while let Some(sign) = inside[at..].chars().next() {
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        if matches!(sign, '"' | '`') {
            at += quoted(&inside[at..], sign).unwrap_or(inside.len() - at);
            continue;
        }
        if !(is_word(sign) || matches!(sign, '$' | '.')) {
            at += sign.len_utf8();
            continue;
        }
        let ends = |sign: char| !(is_word(sign) || matches!(sign, '$' | '.'));
        let length = inside[at..].find(ends).unwrap_or(inside.len() - at);
        let word = &inside[at..at + length];
        let begin = action.start + at;
        at += length;
        let behind = inside[at..].trim_start();
        if word.starts_with('$') {
            let (variable, fields) = word.split_once('.').unwrap_or((word, ""));
            if behind.starts_with(":=") || (behind.starts_with(',') && inside[at..].contains(":=")) {
                set.push(variable);
            } else if variable == "$labels" && !fields.is_empty() {
                tell(begin..begin + word.len(), Word::Label(fields));
            } else if !(VARIABLES.contains(&variable) || set.contains(&variable)) {
                tell(begin..begin + variable.len(), Word::Variable(variable));
            }
        } else if let Some(label) = word.strip_prefix(".Labels.") {
            tell(begin..begin + word.len(), Word::Label(label));
        } else if sign.is_alphabetic() && !KNOWN.contains(&word) {
            tell(begin..begin + word.len(), Word::Function(word));
        }
    }
}

fn problem(
    rule: &Rule,
    recorded: &Recorded<'_>,
    word: Word<'_>,
    place: crate::source::Place,
) -> Option<Finding> {
    match word {
        Word::Function(name) => {
            let finding =
                Finding::new(Code::RuleTemplate, place, format!("templates know no function `{name}`"));
            Some(match nearest(name, KNOWN) {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding.help("the label of a series is `$labels.NAME`, its value `$value`"),
            })
        }
        Word::Variable(name) => {
            let finding =
                Finding::new(Code::RuleTemplate, place, format!("the variable `{name}` is not set"));
            Some(match nearest(name, VARIABLES) {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding.help("there are `$labels`, `$value`, `$externalLabels` and `$externalURL`"),
            })
        }
        Word::Label(label) => {
            let of_alerts = || {
                let names = selectors(&rule.query.expr);
                names.iter().any(|(_, one)| metric(one).is_none_or(|name| name.starts_with("ALERTS")))
            };
            let carried = recorded.carried(&rule.query.expr);
            let there = carried.may_have(label) && (label != "alertname" || of_alerts());
            let help = match &carried {
                crate::promql::Carried::Only(labels) if !labels.is_empty() => {
                    let all: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
                    format!("it has {}", all.join(", "))
                }
                crate::promql::Carried::Only(_) => "it has no labels at all".to_owned(),
                crate::promql::Carried::AllBut(_) => {
                    "labels that the rule adds are not among `$labels`".to_owned()
                }
            };
            (!there).then(|| {
                let title = format!("what the expression gives has no label `{label}`");
                Finding::new(Code::AuditTemplate, place, title).label("always empty").help(help)
            })
        }
    }
}
