//! Pieces that pages are made of. Whatever came from outside stands in them by [`in_html`].

use std::time::Duration;

use jiff::Timestamp;

use crate::event::Conclusion;
use crate::report::in_html;
use crate::units::{Reading, Span};

/// How the pages look.
const STYLE: &str = include_str!("style.css");

/// A whole page; `refresh` has it asked for again after so many seconds.
pub(super) fn page(title: &str, refresh: Option<u64>, content: &str) -> String {
    let again = refresh
        .map_or_else(String::new, |after| format!("<meta http-equiv=\"refresh\" content=\"{after}\">\n"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{again}\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         {content}</body>\n</html>\n",
        in_html(title)
    )
}

/// The sign and the colour of a conclusion, which no colour says alone.
pub(super) fn sign(conclusion: Option<Conclusion>) -> (&'static str, &'static str, &'static str) {
    match conclusion {
        Some(Conclusion::Pass) => ("✓", "good", "passes"),
        Some(Conclusion::Fail) => ("✗", "bad", "fails"),
        Some(Conclusion::Inconclusive) => ("?", "warn", "is inconclusive"),
        Some(Conclusion::NotMeasured) => ("?", "warn", "could not be measured"),
        None => ("…", "soft", "has not run yet"),
    }
}

/// A moment, as long ago as it is; the moment itself is in its title.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let since = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    format!("<time datetime=\"{at:.0}\" title=\"{at:.0}\">{} ago</time>", about(since))
}

/// A time in its largest unit, as people say it.
pub(super) fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds}\u{a0}s"),
        120..=7_199 => format!("{}\u{a0}min", seconds / 60),
        7_200..=172_799 => format!("{}\u{a0}h", seconds / 3600),
        _ => format!("{}\u{a0}d", seconds / 86_400),
    }
}

/// How often: in the units a file would say it in.
pub(super) fn every(period: Duration) -> String {
    Span(period).to_string()
}

/// A measured time.
pub(super) fn took(time: Duration) -> String {
    Reading(time).to_string()
}

/// A share in percent, with as many digits as tell it from all and from nothing.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let short = format!("{percent:.1}");
    if short == "100.0" && percent < 100.0 {
        let digits =
            (1..=5).map(|digits| format!("{percent:.digits$}")).find(|text| !text.starts_with("100"));
        return format!("{}%", digits.unwrap_or_else(|| "99.9999…".to_owned()));
    }
    format!("{}%", short.strip_suffix(".0").unwrap_or(&short))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all(1.0, "100%")]
    #[case::nearly_all(0.99996, "99.996%")]
    #[case::much(0.9987, "99.9%")]
    #[case::nothing(0.0, "0%")]
    #[case::overspent(-0.25, "-25%")]
    fn nearly_all_is_not_all(#[case] share: f64, #[case] shown: &str) {
        assert_eq!(percent(share), shown);
    }
}
