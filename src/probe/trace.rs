//! W3C Trace Context: the trace that an attempt begins, so that what it caused can be found.

use std::borrow::Cow;
use std::fmt;

use http::HeaderName;
use http::header::HeaderValue;

use crate::scenario::capture::Traced;
use crate::scenario::template::Scope;

/// The header that a trace travels in.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace and the span in it that is ours. It says that it is recorded: who asks for it wants to find it. The span has
/// the last half of the trace's id, so that whoever knows the trace knows the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traceparent {
    trace: u128,
    span: u64,
}

impl Traceparent {
    /// A new trace.
    pub(crate) fn begin() -> Self {
        let trace: u128 = rand::random();
        Self::of(trace, Self::low(trace))
    }

    fn low(trace: u128) -> u64 {
        u64::try_from(trace & u128::from(u64::MAX)).unwrap_or_default()
    }

    /// The id of the span that began a trace of this id.
    pub(crate) fn span_of(id: &str) -> &str {
        id.get(16..).unwrap_or(id)
    }

    /// Zero is no id.
    fn of(trace: u128, span: u64) -> Self {
        Self { trace: trace.max(1), span: span.max(1) }
    }

    /// The trace's id, as tracing systems are asked for it.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// `scope` with the trace by its names, where there is one.
    pub(super) fn within(trace: Option<Self>, scope: &Scope) -> Cow<'_, Scope> {
        let Some(trace) = trace else { return Cow::Borrowed(scope) };
        let mut scope = scope.clone();
        trace.told().into_iter().for_each(|(name, value)| scope.set(name, value));
        Cow::Owned(scope)
    }

    /// What is known of it, each by its name.
    pub(super) fn told(&self) -> [(&'static str, String); 2] {
        Traced::ALL.map(|traced| (traced.name(), self.get(traced)))
    }

    /// What is kept of it.
    pub(super) fn get(&self, traced: Traced) -> String {
        match traced {
            Traced::Id => self.id(),
            Traced::Traceparent => self.to_string(),
        }
    }

    /// The header's value.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.to_string()).ok()
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn a_trace_prints_as_the_recommendation_has_it() {
        let trace = Traceparent::of(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(trace.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.header().unwrap(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    }

    #[test]
    fn the_span_is_known_by_its_trace() {
        let trace = Traceparent::begin();
        assert_eq!(
            trace.to_string(),
            format!("00-{0}-{1}-01", trace.id(), Traceparent::span_of(&trace.id()))
        );
    }

    #[test]
    fn traces_differ() {
        assert_ne!(Traceparent::begin().id(), Traceparent::begin().id());
    }

    proptest! {
        #[test]
        fn every_trace_is_valid(trace: u128, span: u64) {
            let shape = Regex::new("^00-[0-9a-f]{32}-[0-9a-f]{16}-01$").unwrap();
            let printed = Traceparent::of(trace, span).to_string();
            prop_assert!(shape.is_match(&printed));
        }

        #[test]
        fn nothing_is_no_id(trace in 0..2_u128, span in 0..2_u64) {
            let printed = Traceparent::of(trace, span).to_string();
            prop_assert!(!printed.contains(&"0".repeat(32)) && !printed.contains("-0000000000000000-"));
        }
    }
}
