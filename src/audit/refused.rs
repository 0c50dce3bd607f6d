//! Files that the tools of Prometheus and Alertmanager refuse, in those tools' own words.

use crate::finding::{Code, Finding};
use crate::source::FileId;

/// Lines of what a tool says that are kept.
const MOST_LINES: usize = 8;

/// What a tool's refusal of a file comes to. It is of the file as a whole: where in it, only the words may say.
#[must_use]
pub fn refused(file: FileId, tool: &str, said: &str) -> Finding {
    let mut why = said.lines().map(reason).filter(|line| !line.is_empty()).map(str::to_owned);
    let first = why.next().unwrap_or_else(|| "it does not say why".to_owned());
    let finding =
        Finding::new(Code::AuditRefused, file.place(0, 0), format!("`{tool}` refuses this file: {first}"));
    let rest: Vec<_> = why.take(MOST_LINES).collect();
    if rest.is_empty() { finding } else { finding.help(rest.join("\n")) }
}

/// A line of what a tool says, without what frames it: which file it looks at, and how many were wrong.
fn reason(line: &str) -> &str {
    let line = line.split_once("FAILED:").map_or(line, |(_, why)| why).trim();
    let frames = ["Checking ", "SUCCESS", "amtool: error: failed to validate"];
    if frames.iter().any(|frame| line.starts_with(frame)) { "" } else { line }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;

    #[rstest]
    #[case::alertmanager(
        "amtool: error: failed to validate 1 file(s)\n\n\nChecking 'alertmanager.yml'  FAILED: no global Slack API URL set",
        "`tool` refuses this file: no global Slack API URL set",
        None
    )]
    #[case::rules(
        "  FAILED:\nalerts.yml: 5:11: group \"x\", rule 1, \"A\": could not parse expression\nalerts.yml: and more\nChecking alerts.yml",
        "`tool` refuses this file: alerts.yml: 5:11: group \"x\", rule 1, \"A\": could not parse expression",
        Some("alerts.yml: and more")
    )]
    #[case::silent("", "`tool` refuses this file: it does not say why", None)]
    fn what_a_tool_says_is_kept_and_what_frames_it_is_not(
        #[case] said: &str,
        #[case] title: &str,
        #[case] help: Option<&str>,
    ) {
        let file = Sources::default().add("alerts.yml", "groups: []");
        let finding = refused(file, "tool", said);
        assert_eq!((finding.title.as_str(), finding.help.as_deref()), (title, help));
    }
}
