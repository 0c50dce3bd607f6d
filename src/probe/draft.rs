//! A request written beforehand but for what differs from one time to the next, so that filling it is copying.
//!
//! It is written as it is sent, with marks where its holes are, and the marks are looked up in what came of that. So
//! whatever is done to a request on its way (percent-encoding, JSON, forms, lengths) is done by the one who does it
//! always. What would be changed on its way, a space in a path for one, is not filled in here: such a request is made
//! whole.

use std::collections::BTreeSet;

use http::header::HeaderValue;
use memchr::memmem;
use serde_json::Value;
use url::{Host, Url};

use super::attempt::Session;
use super::connect::Authority;
use super::errand::Errand;
use super::http::Written;
use crate::scenario::body::Body;
use crate::scenario::http::Http;
use crate::scenario::template::{Scope, Template, Unset};

/// A request, written but for its holes.
#[derive(Debug)]
pub struct Draft {
    head: Vec<Piece>,
    body: Vec<Piece>,
    /// Whether the request names cookies itself.
    own_cookies: bool,
    written: Written,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(Box<[u8]>),
    Hole(Box<str>, Within),
    /// How long the body is.
    Length,
}

/// Where a hole is, which decides what can be filled in as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Address,
    Header,
    /// All of a JSON text, quotes included: what fills it keeps its type.
    JsonValue,
    /// A part of a JSON text.
    JsonText,
    Form,
    Raw,
}

/// What stands for values that are not known yet.
struct Marks {
    /// What every mark begins with, and nothing else does.
    begin: String,
    names: Vec<String>,
}

impl Marks {
    fn new(names: &BTreeSet<String>) -> Self {
        // Lowercase, for hosts are; letters and digits alone, which nothing changes.
        Self { begin: format!("q{:032x}q", rand::random::<u128>()), names: names.iter().cloned().collect() }
    }

    fn mark(&self, number: usize) -> String {
        format!("{}{number:08}", self.begin)
    }

    fn len(&self) -> usize {
        self.begin.len() + 8
    }

    /// The scope with a mark for every name.
    fn scope(&self, scope: &Scope) -> Scope {
        let mut marked = scope.clone();
        for (number, name) in self.names.iter().enumerate() {
            marked.set(name.as_str(), self.mark(number));
        }
        marked
    }

    /// The name whose mark begins there.
    fn name(&self, bytes: &[u8]) -> Option<&str> {
        let digits = str::from_utf8(bytes.get(self.begin.len()..self.len())?).ok()?;
        self.names.get(digits.parse::<usize>().ok()?).map(String::as_str)
    }
}

impl Draft {
    /// The draft of a request of which the names in `varying` have another value each time; `None` where it has to
    /// be made whole each time.
    ///
    /// # Errors
    /// When another name that it needs has no value.
    pub fn of(
        http: &Http,
        varying: &BTreeSet<String>,
        scope: &Scope,
        session: &Session,
    ) -> Result<Option<Self>, Unset> {
        let marks = Marks::new(varying);
        let errand = Errand::fill(http, &marks.scope(scope), session)?;
        let (Ok(errand), false) = (errand, http.trace) else { return Ok(None) };
        let Some(Ok(written)) = errand.written() else { return Ok(None) };
        let holes = http.holes().filter(|(hole, _)| varying.contains(&hole.name)).count();
        Ok(Self::read(written, &marks, holes, &http.body))
    }

    fn read(written: Written, marks: &Marks, holes: usize, body: &Body) -> Option<Self> {
        let end = memmem::find(&written.bytes, b"\r\n\r\n")? + 4;
        let (head, content) = written.bytes.split_at(end);
        let line = memchr::memchr(b'\n', head)?;
        let in_body = |before: &[u8], after: &[u8]| match body {
            Body::Json(_) => {
                // Quotes that belong to the text itself have a backslash before them.
                let alone = before.ends_with(b"\"") && !before.ends_with(b"\\\"") && after.starts_with(b"\"");
                if alone { Within::JsonValue } else { Within::JsonText }
            }
            Body::Form(_) => Within::Form,
            Body::Empty | Body::Text(_) | Body::File(_) | Body::Multipart(_) => Within::Raw,
        };
        let in_head = |before: &[u8], _: &[u8]| {
            if before.len() < line { Within::Address } else { Within::Header }
        };
        let (mut head_pieces, in_heads) = pieces(head, marks, in_head);
        let (body, in_bodies) = pieces(content, marks, in_body);
        // A mark that something was made of, a digest or a host to connect to, is not among the bytes.
        if in_heads + in_bodies != holes || marks_host(&written, marks) {
            return None;
        }
        if in_bodies > 0 {
            head_pieces = with_length(head_pieces)?;
        }
        let own_cookies = memmem::find(head, b"\r\ncookie: ").is_some();
        Some(Self { head: head_pieces, body, own_cookies, written })
    }

    /// How it is sent, and where to; not its bytes.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Fills it into `bytes`, with `cookies` where there are some; whether that could be done.
    pub fn fill(&self, scope: &Scope, cookies: Option<&HeaderValue>, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        if cookies.is_some() && self.own_cookies {
            return false;
        }
        if !self.body.iter().all(|piece| piece.fill(scope, 0, bytes)) {
            return false;
        }
        let len = bytes.len();
        if !self.head.iter().all(|piece| piece.fill(scope, len, bytes)) {
            return false;
        }
        if let Some(cookies) = cookies {
            bytes.truncate(bytes.len() - 2);
            bytes.extend_from_slice(b"cookie: ");
            bytes.extend_from_slice(cookies.as_bytes());
            bytes.extend_from_slice(b"\r\n\r\n");
        }
        bytes.rotate_left(len);
        true
    }
}

/// Whether a mark is in what decides where to connect, and as whom.
fn marks_host(written: &Written, marks: &Marks) -> bool {
    let named = written.options.tls.server_name.as_deref().unwrap_or_default();
    written.to.to_string().contains(&marks.begin) || named.contains(&marks.begin)
}

/// What stands between marks, and the holes in their places; how many there are.
fn pieces(bytes: &[u8], marks: &Marks, within: impl Fn(&[u8], &[u8]) -> Within) -> (Vec<Piece>, usize) {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut begins, mut holes) = (0, 0);
    for at in memmem::find_iter(bytes, marks.begin.as_bytes()) {
        let Some(name) = marks.name(&bytes[at..]) else { continue };
        let ends = at + marks.len();
        let place = within(&bytes[..at], &bytes[ends..]);
        // The quotes around a value belong to it.
        let quote = usize::from(place == Within::JsonValue);
        pieces.push(Piece::Text(bytes[begins..at - quote].into()));
        pieces.push(Piece::Hole(name.into(), place));
        begins = ends + quote;
        holes += 1;
    }
    pieces.push(Piece::Text(bytes[begins..].into()));
    (pieces, holes)
}

/// The pieces of a head, with a hole for the body's length.
fn with_length(head: Vec<Piece>) -> Option<Vec<Piece>> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let mut found = false;
    let mut pieces = Vec::new();
    for piece in head {
        let Piece::Text(text) = &piece else {
            pieces.push(piece);
            continue;
        };
        let Some(at) = memmem::find(text, NAME).filter(|_| !found) else {
            pieces.push(piece);
            continue;
        };
        let begins = at + NAME.len();
        let digits = text[begins..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        pieces.push(Piece::Text(text[..begins].into()));
        pieces.push(Piece::Length);
        pieces.push(Piece::Text(text[begins + digits..].into()));
        found = true;
    }
    found.then_some(pieces)
}

impl Piece {
    /// Writes it; whether that could be done.
    fn fill(&self, scope: &Scope, length: usize, bytes: &mut Vec<u8>) -> bool {
        match self {
            Self::Text(text) => bytes.extend_from_slice(text),
            Self::Length => write_number(length, bytes),
            Self::Hole(name, within) => {
                return scope.get(name).is_some_and(|value| within.fill(value, bytes));
            }
        }
        true
    }
}

fn write_number(number: usize, bytes: &mut Vec<u8>) {
    use std::io::Write as _;
    // A vector takes all that is written to it.
    let _ = write!(bytes, "{number}");
}

impl Within {
    /// Writes a value as it is written there; whether that is known.
    fn fill(self, value: &Value, bytes: &mut Vec<u8>) -> bool {
        let text = match (self, value) {
            (Self::JsonValue, _) => return serde_json::to_writer(bytes, value).is_ok(),
            (_, Value::String(text)) => text,
            (_, Value::Null) => "",
            (_, Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => &value.to_string(),
        };
        match self {
            Self::Address | Self::Form if !is_plain(text) => return false,
            Self::Header if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => return false,
            Self::JsonText => {
                let begins = bytes.len();
                if serde_json::to_writer(&mut *bytes, text).is_err() {
                    return false;
                }
                bytes.remove(begins);
                bytes.pop();
            }
            Self::Address | Self::Form | Self::Header | Self::Raw | Self::JsonValue => {
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        true
    }
}

/// Whether nothing changes a text on its way into an address or a form; what begins with a dot may be a way upward.
fn is_plain(text: &str) -> bool {
    !text.starts_with('.') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The host that is asked at an address; an error where it differs from one time to the next.
///
/// # Errors
/// When a name has no value; inside, when the host is not known beforehand, or the address is none.
pub fn host(at: &Template, varying: &BTreeSet<String>, scope: &Scope) -> Result<Result<Host, NoHost>, Unset> {
    let marks = Marks::new(varying);
    let text = at.fill(&marks.scope(scope))?;
    let host = match Url::parse(&text) {
        Ok(url) if url.has_host() => url.host().map(|host| host.to_owned()),
        Ok(_) | Err(_) => text.parse::<Authority>().ok().map(|to| to.host),
    };
    Ok(match host {
        Some(host) if host.to_string().contains(&marks.begin) => Err(NoHost::Varies),
        Some(host) => Ok(host),
        None => Err(NoHost::Unclear(text)),
    })
}

/// Why a host is not known beforehand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoHost {
    /// It differs from one time to the next.
    #[error("which host it goes to differs from one attempt to the next, and nobody could have agreed to it")]
    Varies,
    /// It is not an address.
    #[error("`{0}` names no host")]
    Unclear(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::scenario::step::{Step, StepWritten};
    use crate::source::Sources;

    /// The request of a step, as written.
    fn step(text: &str) -> Step {
        let mut findings = crate::finding::Findings::default();
        let file = Sources::default().add("step.yaml", text);
        let nodes = crate::yaml::parse(file, text).unwrap();
        let written: StepWritten = crate::yaml::read(&nodes[0]).unwrap();
        written.check(file.place(0, 0), &mut findings).unwrap()
    }

    const REQUESTS: [&str; 7] = [
        "http: { get: 'http://127.0.0.1:80/${a}/x?y=${b}' }",
        "http: { get: 'http://127.0.0.1/', query: { q: '${a}' }, headers: { X-Note: 'n ${b}' } }",
        "http: { post: 'http://127.0.0.1/', json: { a: '${a}', text: 'say \"${a}\"', list: ['${b}', 1] } }",
        "http: { post: 'http://127.0.0.1/', form: { a: '${a}', b: 'x${b}' }, bearer: '${b}' }",
        "http: { put: 'http://127.0.0.1/', body: 'a=\"${a}\" ${b}' }",
        "http: { post: 'http://127.0.0.1/', body: '', headers: { Cookie: 'own=${a}' } }",
        "http: { get: 'http://127.0.0.1/same', basic: { user: u, password: p } }",
    ];

    fn varying() -> BTreeSet<String> {
        ["a", "b"].map(str::to_owned).into()
    }

    fn whole(http: &Http, scope: &Scope) -> Option<Vec<u8>> {
        let errand = Errand::fill(http, scope, &Session::default()).unwrap().ok()?;
        Some(errand.written()?.ok()?.bytes.to_vec())
    }

    /// Header lines in an order of their own, the rest as it is.
    fn sorted(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
        let end = memmem::find(bytes, b"\r\n\r\n").unwrap();
        let mut lines: Vec<_> =
            String::from_utf8_lossy(&bytes[..end]).split("\r\n").map(str::to_owned).collect();
        lines.sort();
        (lines, bytes[end..].to_vec())
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<String>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
            "[a-zA-Z0-9._-]{0,8}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            Just(json!({ "k": [1, "two"] })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_filled_in_is_what_would_be_made_whole(a in value(), b in value(), which in 0..REQUESTS.len()) {
            let step = step(REQUESTS[which]);
            let http = step.http().unwrap();
            let (mut scope, session) = (Scope::default(), Session::default());
            let draft = Draft::of(http, &varying(), &scope, &session).unwrap().unwrap();
            scope.set("a", a);
            scope.set("b", b);
            let mut filled = Vec::new();
            if draft.fill(&scope, None, &mut filled) {
                let whole = whole(http, &scope).unwrap();
                prop_assert_eq!(sorted(&filled), sorted(&whole));
            }
        }
    }

    #[test]
    fn plain_values_are_filled_in_everywhere() {
        for text in REQUESTS {
            let step = step(text);
            let (mut scope, session) = (Scope::default(), Session::default());
            let draft = Draft::of(step.http().unwrap(), &varying(), &scope, &session).unwrap().unwrap();
            scope.set("a", "ada-1");
            scope.set("b", 7);
            assert!(draft.fill(&scope, None, &mut Vec::new()), "{text}");
        }
    }

    #[test]
    fn cookies_go_into_the_head() {
        let step = step(REQUESTS[0]);
        let (mut scope, session) = (Scope::default(), Session::default());
        let draft = Draft::of(step.http().unwrap(), &varying(), &scope, &session).unwrap().unwrap();
        scope.set("a", "x");
        scope.set("b", "y");
        let mut filled = Vec::new();
        assert!(draft.fill(&scope, Some(&HeaderValue::from_static("sid=1")), &mut filled));
        let text = String::from_utf8(filled).unwrap();
        assert!(text.starts_with("GET /x/x?y=y HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with("\r\ncookie: sid=1\r\n\r\n"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_beforehand_has_no_draft() {
        for text in [
            "http: { get: 'http://${a}/' }",
            "http: { get: 'http://127.0.0.1/', basic: { user: '${a}', password: p } }",
            "http: { get: 'http://127.0.0.1/${a}', redirects: 3 }",
            "http: { get: 'http://127.0.0.1/${a}', trace: true }",
        ] {
            let step = step(text);
            let draft = Draft::of(step.http().unwrap(), &varying(), &Scope::default(), &Session::default());
            assert!(draft.unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn a_host_that_varies_is_nobody_s() {
        let host = |text: &str| host(&Template::parse(text).unwrap(), &varying(), &Scope::default()).unwrap();
        assert_eq!(host("http://127.0.0.1/${a}"), Ok(Host::Ipv4([127, 0, 0, 1].into())));
        assert!(matches!(host("nothing"), Err(NoHost::Unclear(_))));
        assert_eq!(host("db:5432"), Ok(Host::Domain("db".to_owned())));
        assert_eq!(host("wss://${a}.test/"), Err(NoHost::Varies));
    }
}
