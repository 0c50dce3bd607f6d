//! The W3C trace that a request belongs to: taken from it, and carried on.

use http::{HeaderMap, HeaderName};

use crate::units::Ratio;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The trace that a request belongs to, and the span that answering it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    id: u128,
    flags: u8,
    span: u64,
}

impl Trace {
    /// The one that its header names, or a new one, of which this share is recorded.
    pub(super) fn of(headers: &HeaderMap, sampling: Ratio) -> Self {
        let carried = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(Self::parse);
        carried.unwrap_or_else(|| {
            let sampled = rand::random::<f64>() < sampling.share();
            Self { id: rand::random::<u128>().max(1), flags: u8::from(sampled), span: span() }
        })
    }

    /// `00-TRACE-PARENT-FLAGS`, all of them lower-case hexadecimal digits; a trace and a parent are not zero.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, parent, flags, further @ ..] = parts.as_slice() else { return None };
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shaped = digits(version, 2) && digits(trace, 32) && digits(parent, 16) && digits(flags, 2);
        if !shaped || *version == "ff" || (*version == "00" && !further.is_empty()) {
            return None;
        }
        let id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
        Some(Self { id, flags: u8::from_str_radix(flags, 16).ok()?, span: span() })
    }

    /// The header of what is asked for it: this span is the parent there.
    pub(super) fn onward(self) -> String {
        format!("00-{}-{}-{:02x}", self.id(), self.span(), self.flags)
    }

    /// The trace's id.
    pub(super) fn id(self) -> String {
        format!("{:032x}", self.id)
    }

    /// The id of the span that answering the request is.
    pub(super) fn span(self) -> String {
        format!("{:016x}", self.span)
    }

    /// Whether it is recorded.
    pub(super) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

fn span() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[rstest]
    #[case::as_it_is("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some("00"))]
    #[case::recorded("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("01"))]
    #[case::a_later_version("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some("01"))]
    #[case::too_much("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None)]
    #[case::capitals("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None)]
    #[case::no_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None)]
    #[case::no_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)]
    #[case::no_such_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::nothing("", None)]
    fn a_trace_is_carried_on_under_another_span(#[case] header: &str, #[case] flags: Option<&str>) {
        let carried =
            Trace::parse(header).map(|trace| Trace { span: 0xb7ad_6b71_6920_3331, ..trace }.onward());
        assert_eq!(carried, flags.map(|flags| format!("00-{TRACE}-b7ad6b7169203331-{flags}")));
    }
}
