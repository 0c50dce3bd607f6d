//! Findings put aside by a comment in the file: `# firedrill: ignore audit/owner because the whole company is on call`.
//!
//! Such a comment behind something is about that line; on a line of its own it is about what begins on the next,
//! with everything indented below it. Only findings of the audit can be put aside, and only with a reason.

use std::ops::Range;

use crate::finding::{Code, Finding, Severity};
use crate::source::{FileId, Sources};

/// How such a comment begins.
const MARK: &str = "firedrill: ignore";

/// Findings that are put aside: of which code, and in which lines, counted from 1.
#[derive(Debug)]
struct Aside {
    file: FileId,
    code: Code,
    lines: Range<usize>,
}

/// The findings that no comment puts aside, and one more for each comment that cannot.
#[must_use]
pub fn suppress(findings: Vec<Finding>, files: &[FileId], sources: &Sources) -> Vec<Finding> {
    let mut asides = Vec::new();
    let mut kept = Vec::new();
    for file in files {
        read(*file, &sources.file(*file).text, &mut asides, &mut kept);
    }
    kept.extend(findings.into_iter().filter(|finding| {
        let line = sources.position(finding.place).line;
        let put = |aside: &Aside| {
            aside.file == finding.place.file && aside.code == finding.code && aside.lines.contains(&line)
        };
        !asides.iter().any(put)
    }));
    kept
}

fn read(file: FileId, text: &str, asides: &mut Vec<Aside>, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut begin = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let start = begin;
        begin += line.len();
        let Some((at, said)) = comment(line) else { continue };
        let place = file.place(start + at, start + line.trim_end().len());
        let (code, why) = said.split_once(" because ").unwrap_or((said, ""));
        let code = code.trim().trim_end_matches(" because");
        let Some(known) = Code::ALL.iter().find(|known| known.name() == code && known.is_of_audit()) else {
            let title = format!("`{code}` is no finding that can be put aside");
            let finding = Finding::new(Code::AuditIgnore, place, title);
            findings.push(
                finding.help("write `# firedrill: ignore audit/… because …`, with the code of the finding"),
            );
            continue;
        };
        if why.trim().is_empty() {
            let finding = Finding::new(Code::AuditIgnore, place, "a finding is put aside for a reason");
            findings.push(finding.help(format!("write `# firedrill: ignore {code} because …`")));
            continue;
        }
        let lines = if line[..at].trim().is_empty() { below(&lines, index) } else { index + 1..index + 2 };
        asides.push(Aside { file, code: *known, lines });
    }
}

/// Where in a line such a comment begins, and what it says.
fn comment(line: &str) -> Option<(usize, &str)> {
    let mark = line.find(MARK)?;
    let sign = line[..mark].rfind('#')?;
    let behind_space = line[..sign].is_empty() || line[..sign].ends_with(char::is_whitespace);
    let alone = line[sign + 1..mark].trim().is_empty();
    (behind_space && alone).then(|| (sign, line[mark + MARK.len()..].trim()))
}

/// The lines, from 1, of what begins below the comment in line `index`, from 0: to the next that is indented no
/// further than it.
fn below(lines: &[&str], index: usize) -> Range<usize> {
    let is_text = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let Some(first) = (index + 1..lines.len()).find(|at| is_text(lines[*at])) else { return 0..0 };
    let depth = indentation(lines[first]);
    let end = (first + 1..lines.len()).find(|at| is_text(lines[*at]) && indentation(lines[*at]) <= depth);
    first + 1..end.unwrap_or(lines.len()) + 1
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

impl Code {
    /// Whether it is of the audit: the file can be used as it stands, and is not what it is meant to be.
    #[must_use]
    pub fn is_of_audit(self) -> bool {
        self.name().starts_with("audit/") && self != Self::AuditIgnore
    }

    /// Whether it makes a file unusable.
    #[must_use]
    pub fn makes_invalid(self) -> bool {
        self.severity() == Severity::Error && !self.name().starts_with("audit/")
    }
}
