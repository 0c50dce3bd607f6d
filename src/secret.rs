//! Values that never print.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, RwLock};

/// What stands in a secret's place.
pub const MASKED: &str = "***";

/// A value that shows itself to nobody: `Debug` and `Display` print [`MASKED`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value out of sight.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one who sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}

/// Every secret a run has met, and its common spellings; clones share them.
///
/// A secret captured while running is masked from then on, wherever it turns up: in a body that echoes it,
/// percent-encoded in an address, escaped in JSON, in base64.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Vec<String>>>);

impl Mask {
    /// Masks `secret` from now on.
    pub fn add(&self, secret: &Secret) {
        let value = secret.expose();
        if value.is_empty() {
            return;
        }
        let mut spellings = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for spelling in spellings_of(value) {
            if !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
        // Longest first, so that a secret that contains another leaves nothing of itself.
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    }

    /// `text` without secrets.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spellings = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut masked = Cow::Borrowed(text);
        for spelling in spellings.iter() {
            if masked.contains(spelling.as_str()) {
                masked = Cow::Owned(masked.replace(spelling.as_str(), MASKED));
            }
        }
        masked
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

/// How a secret may be spelled by the time it is printed.
fn spellings_of(value: &str) -> Vec<String> {
    use base64::Engine as _;
    let json = serde_json::Value::from(value).to_string();
    let mut spellings = vec![
        value.to_owned(),
        json[1..json.len() - 1].to_owned(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        base64::engine::general_purpose::STANDARD.encode(value),
    ];
    spellings.dedup();
    spellings
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("token s3cret/& end", "token *** end")]
    #[case::in_an_address("?t=s3cret%2F%26&x=1", "?t=***&x=1")]
    #[case::in_base64("Basic czNjcmV0LyY=", "Basic ***")]
    #[case::twice("s3cret/&s3cret/&", "******")]
    #[case::absent("nothing here", "nothing here")]
    fn a_secret_is_masked_in_every_spelling(#[case] text: &str, #[case] masked: &str) {
        let mask = Mask::default();
        mask.add(&Secret::new("s3cret/&"));
        assert_eq!(mask.apply(text), masked);
    }

    #[test]
    fn a_secret_inside_another_leaves_no_trace_of_the_longer() {
        let mask = Mask::default();
        mask.add(&Secret::new("abc"));
        mask.add(&Secret::new("abcdef"));
        assert_eq!(mask.apply("x abcdef y abc"), "x *** y ***");
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
