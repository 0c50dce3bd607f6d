//! `firedrill explain`: what a finding is, with an example of it.

use std::io::Write as _;

use clap::Args;

use crate::exit::Exit;
use crate::finding::{Code, nearest};

/// A section for every code, made by `tests/findings.rs`.
const PAGES: &str = include_str!("../../docs/findings.md");

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The code of a finding, as `check` prints it: `slo/unreachable-tier`. Without one, all are listed
    #[arg(value_name = "CODE", help_heading = "Input")]
    code: Option<String>,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    let mut out = std::io::stdout().lock();
    let Some(wanted) = &arguments.code else {
        let widest = Code::ALL.iter().map(|code| code.name().len()).max().unwrap_or_default();
        for code in Code::ALL {
            writeln!(out, "{:widest$}  {}", code.name(), code.about())?;
        }
        return Ok(Exit::Pass);
    };
    let wanted = wanted.trim();
    if let Some(page) = page(wanted) {
        writeln!(out, "{}", page.trim_end())?;
        return Ok(Exit::Pass);
    }
    let near = nearest(wanted, Code::ALL.iter().map(|code| code.name()));
    let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    writeln!(
        std::io::stderr(),
        "error: no finding has the code `{}`{near}\nhelp: `firedrill explain` lists them all",
        crate::report::on_one_line(wanted)
    )?;
    Ok(Exit::Usage)
}

/// The section of a code.
fn page(code: &str) -> Option<&'static str> {
    let heading = format!("\n## {code}\n");
    let start = PAGES.find(&heading)? + 1;
    let rest = &PAGES[start..];
    Some(rest.find("\n## ").map_or(rest, |end| &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_no_page_lacks_a_code() {
        let missing: Vec<_> = Code::ALL.iter().filter(|code| page(code.name()).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let pages: Vec<_> = PAGES.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(pages, Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_is_of_one_code() {
        assert_eq!(page("audit/range").map(|page| page.matches("\n## ").count()), Some(0));
        assert_eq!(page("audit"), None);
    }
}
