//! Paths that a stand-in answers.

use std::fmt;

/// A path, in which a segment like `{id}` stands for any one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    /// Whether there is such a segment.
    open: bool,
}

impl PathPattern {
    /// Reads a path.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("a path begins with `/`: write `/{text}`"));
        }
        if text.contains(['?', '#']) {
            return Err("a path ends before `?` and `#`: routes do not look at queries".into());
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
            return Err(
                "a path is written as it is sent: without blanks, other characters as `%C3%A9`".into()
            );
        }
        let braced = |segment: &&str| segment.contains(['{', '}']);
        if let Some(segment) = text.split('/').filter(braced).find(|segment| !is_open(segment)) {
            return Err(format!(
                "`{segment}` is not a segment: braces stand around all of it, like `{{id}}`"
            ));
        }
        Ok(Self { text: text.to_owned(), open: text.split('/').any(is_open) })
    }

    /// A path that is known to be one, without open segments.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), open: false }
    }

    /// Whether `path`, without its query, is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        if !self.open {
            return self.text == path;
        }
        let (mut wanted, mut got) = (self.text.split('/'), path.split('/'));
        loop {
            match (wanted.next(), got.next()) {
                (None, None) => return true,
                (Some(wanted), Some(got)) if wanted == got || (is_open(wanted) && !got.is_empty()) => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    }

    /// Whether other paths than its own text match.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same text for all paths that differ in the names of open segments only.
    pub(super) fn shape(&self) -> String {
        let segments = self.text.split('/').map(|segment| if is_open(segment) { "{}" } else { segment });
        segments.collect::<Vec<_>>().join("/")
    }
}

fn is_open(segment: &str) -> bool {
    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself("/items", "/items", true)]
    #[case::longer("/items", "/items/1", false)]
    #[case::root("/", "/", true)]
    #[case::open("/items/{id}", "/items/7", true)]
    #[case::open_is_not_empty("/items/{id}", "/items/", false)]
    #[case::open_is_one("/items/{id}", "/items/7/8", false)]
    #[case::open_within("/items/{id}/price", "/items/7/price", true)]
    fn a_path_matches_or_not(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected);
    }

    proptest! {
        #[test]
        fn no_path_panics(pattern in "/?[a-z{}/? ]{0,12}", path: String) {
            if let Ok(pattern) = PathPattern::parse(&pattern) {
                prop_assert!(pattern.matches(pattern.as_str()) || pattern.is_open());
                let _ = pattern.matches(&path);
            }
        }
    }
}
