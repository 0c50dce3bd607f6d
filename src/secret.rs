//! Values that never print.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{NoExpand, Regex};

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

/// Every secret a run has met, however it is spelled; clones share them.
///
/// A secret captured while running is masked from then on, wherever it turns up: in a body that echoes it,
/// percent-encoded in an address, escaped in JSON or HTML, in base64, and where its end was cut off.
#[derive(Clone, Default)]
pub struct Mask(Arc<RwLock<Vec<Hidden>>>);

impl Mask {
    /// Masks `secret` from now on, unless it is [too short](is_too_short).
    pub fn add(&self, secret: &Secret) {
        let value = secret.expose();
        let known = |all: &[Hidden]| all.iter().any(|hidden| hidden.value == value);
        if is_too_short(value) || known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let hidden = Hidden::new(value);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known(&all) {
            all.push(hidden);
            // Longest first, so that a secret that contains another leaves nothing of itself.
            all.sort_by_key(|hidden| Reverse(hidden.value.len()));
        }
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// `text` without secrets.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut masked = Cow::Borrowed(text);
        for hidden in all.iter() {
            if let Some(less) = hidden.mask(&masked) {
                masked = Cow::Owned(less);
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

/// Secrets of fewer characters are not masked: whatever is printed holds one or two characters by chance, and would
/// be made unreadable without hiding anything.
pub const SHORTEST_MASKED: usize = 3;

/// Whether a value has too few characters to be masked.
#[must_use]
pub fn is_too_short(value: &str) -> bool {
    value.chars().nth(SHORTEST_MASKED - 1).is_none()
}

/// What stands where the end of a text was cut off.
const CUTS: [&str; 2] = ["…", "` and so on"];

/// Beginnings shorter than this, in bytes, are left before a cut.
const SHORTEST_BEGINNING: usize = 4;

/// Secrets shorter than this, in bytes, are not looked for in the middle of base64: too much would look like them.
const SHORTEST_INSIDE: usize = 6;

/// A secret and how it may be spelled by the time it is printed.
struct Hidden {
    value: String,
    /// Spelled in one way throughout, longest first.
    spellings: Vec<String>,
    /// Spelled in any way, character by character; absent where that would take too much memory.
    escaped: Option<Regex>,
}

impl Hidden {
    fn new(value: &str) -> Self {
        let json = serde_json::Value::from(value).to_string();
        let mut spellings = vec![
            value.to_owned(),
            json[1..json.len() - 1].to_owned(),
            url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        ];
        spellings.extend(in_base64(value.as_bytes()));
        spellings.sort_by_key(|spelling| Reverse(spelling.len()));
        spellings.dedup();
        let escaped = Regex::new(&value.chars().map(any_spelling).collect::<String>()).ok();
        Self { value: value.to_owned(), spellings, escaped }
    }

    /// `text` without this secret, if it was there.
    fn mask(&self, text: &str) -> Option<String> {
        let mut masked = None;
        if let Some(escaped) = &self.escaped
            && let Cow::Owned(less) = escaped.replace_all(text, NoExpand(MASKED))
        {
            masked = Some(less);
        }
        for spelling in &self.spellings {
            let now = masked.as_deref().unwrap_or(text);
            if now.contains(spelling.as_str()) {
                masked = Some(now.replace(spelling.as_str(), MASKED));
            }
        }
        for cut in CUTS {
            if let Some(less) = self.mask_before(cut, masked.as_deref().unwrap_or(text)) {
                masked = Some(less);
            }
        }
        masked
    }

    /// `text` without the beginnings of this secret that stand before a cut.
    fn mask_before(&self, cut: &str, text: &str) -> Option<String> {
        let (before, last) = text.rsplit_once(cut)?;
        let mut found = false;
        let mut masked = String::new();
        for piece in before.split(cut) {
            let beginning =
                self.spellings.iter().filter_map(|spelling| ending_with_beginning(piece, spelling)).max();
            found |= beginning.is_some();
            masked += &piece[..piece.len() - beginning.unwrap_or(0)];
            masked += beginning.map_or("", |_| MASKED);
            masked += cut;
        }
        found.then(|| masked + last)
    }
}

/// The length of the longest beginning of `spelling` that `text` ends with.
fn ending_with_beginning(text: &str, spelling: &str) -> Option<usize> {
    let lengths = spelling.char_indices().map(|(at, _)| at).rev();
    lengths
        .take_while(|length| *length >= SHORTEST_BEGINNING)
        .find(|length| text.ends_with(&spelling[..*length]))
}

/// `value` in both alphabets of base64; also as it stands there after one byte and after two of something else.
fn in_base64(value: &[u8]) -> Vec<String> {
    let mut spellings = vec![STANDARD.encode(value)];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        spellings.push(engine.encode(value));
        for before in (0..3).filter(|_| value.len() >= SHORTEST_INSIDE) {
            let encoded = engine.encode([&[0; 2][..before], value].concat());
            // The first and the last character may hold bits of what stands beside the secret.
            let first = [0, 2, 3][before];
            let last = (before + value.len()) * 8 / 6;
            spellings.push(encoded[first..last].to_owned());
        }
    }
    spellings
}

/// A pattern for one character of a secret: as it is, and as it is written in addresses, JSON and HTML.
fn any_spelling(sign: char) -> String {
    let plain = regex::escape(sign.encode_utf8(&mut [0; 4]));
    if sign.is_ascii_alphanumeric() {
        return plain;
    }
    let bytes = sign.to_string().into_bytes();
    let percent = bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let units =
        sign.encode_utf16(&mut [0; 2]).iter().map(|unit| format!(r"\\+u{unit:04x}")).collect::<Vec<_>>();
    let json = units.concat();
    let code = u32::from(sign);
    let named = match sign {
        ' ' => r"|\+",
        '\n' => r"|\\+n",
        '\r' => r"|\\+r",
        '\t' => r"|\\+t",
        '"' => r#"|\\+"|&quot;"#,
        '\'' => r"|\\+'|&apos;",
        '/' => r"|\\+/",
        '\\' => r"|\\+",
        '&' => r"|&amp;",
        '<' => r"|&lt;",
        '>' => r"|&gt;",
        _ => "",
    };
    format!("(?:(?i:{percent}|{json}|&#0*{code};|&#x0*{code:x};){named}|{plain})")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("token s3cret/& end", "token *** end")]
    #[case::in_an_address("?t=s3cret%2F%26&x=1", "?t=***&x=1")]
    #[case::in_a_path("/t/s3cret/&/%26", "/t/***/%26")]
    #[case::in_lower_case("?t=s3cret%2f%26", "?t=***")]
    #[case::in_parts("?t=s3cret/%26", "?t=***")]
    #[case::in_json(r#"{"t":"s3cret\/\u0026"}"#, r#"{"t":"***"}"#)]
    #[case::in_json_in_json(r#""{\"t\":\"s3cret\\/\\u0026\"}""#, r#""{\"t\":\"***\"}""#)]
    #[case::in_html("<b>s3cret/&amp;</b>", "<b>***</b>")]
    #[case::in_html_by_number("<b>s3cret&#x2F;&#38;</b>", "<b>***</b>")]
    #[case::in_base64("Basic czNjcmV0LyY=", "Basic ***")]
    #[case::in_base64_without_padding("czNjcmV0LyY", "***")]
    #[case::in_base64_after_a_name("Basic YWRhOnMzY3JldC8m", "Basic YWRhOn***")]
    #[case::cut_off("token s3cre… and s3c…", "token ***… and s3c…")]
    #[case::cut_off_in_a_sentence("token `s3cret` and so on", "token `***` and so on")]
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

    #[rstest]
    #[case::nothing("", "a 42 b")]
    #[case::one("a", "a 42 b")]
    #[case::two("42", "a 42 b")]
    #[case::two_of_several_bytes("éé", "a 42 b")]
    #[case::three("42 ", "a ***b")]
    fn what_is_in_everything_by_chance_is_not_masked(#[case] secret: &str, #[case] masked: &str) {
        let mask = Mask::default();
        mask.add(&Secret::new(secret));
        assert_eq!(mask.apply("a 42 b"), masked);
    }

    proptest! {
        #[test]
        fn no_secret_and_no_text_panic(secret: String, before: String, after: String) {
            let mask = Mask::default();
            mask.add(&Secret::new(secret.as_str()));
            let _ = mask.apply(&format!("{before}{secret}… {before}` and so on{after}"));
        }

        #[test]
        fn no_text_keeps_a_secret(secret in "[a-c<&]{3,6}", text in "[a-c<&%… ]{0,40}") {
            let mask = Mask::default();
            mask.add(&Secret::new(secret.as_str()));
            prop_assert!(!mask.apply(&text).contains(&secret));
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
