//! What a stand-in answers over HTTP.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::call::{self, Call};
use super::written::{Entries, ErrorsFile, ExpectsFile, LatencyFile, LatencyWritten, RouteFile};
use super::{Claims, Findings, Latency, PathPattern, check_holes, check_texts};
use crate::finding::{Code, Finding};
use crate::scenario::template::{Scope, Shape, Template};
use crate::source::{At, Place};
use crate::units::{Ratio, Span};
use crate::yaml::{Json, Kind, read};

/// A method, a path and what is answered there.
#[derive(Debug, Clone)]
pub struct Route {
    /// GET routes answer HEAD too.
    pub method: Method,
    /// Where.
    pub path: PathPattern,
    /// What a request must bring; without it the answer is 401.
    pub expects: Expects,
    /// Who is asked first.
    pub calls: Vec<Call>,
    /// How long an answer takes, where it takes any time.
    pub latency: Option<Latency>,
    /// How many requests are answered by an error, where any are.
    pub errors: Option<Errors>,
    /// The answer to all others.
    pub answer: Answer,
}

/// What a request must bring.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expects {
    /// The token of `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// What its JSON body must have in it.
    pub json: Option<Value>,
}

/// A share of requests that fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// How many.
    pub share: Ratio,
    /// With which status.
    pub status: StatusCode,
}

/// Status, headers and body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers beside those of the body; these win.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Body,
}

/// A body, or a WebSocket message.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Of no bytes.
    Empty,
    /// Text, which may have holes.
    Text(Template),
    /// JSON, whose texts may have holes.
    Json(Shape),
}

/// Headers that follow from the body and the connection.
const FRAMING: [HeaderName; 5] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::TRAILER];

pub(super) fn check(file: At<RouteFile>, claims: &mut Claims, findings: &mut Findings) -> Option<Route> {
    let At { value: file, place } = file;
    let methods = [
        (Method::GET, file.get),
        (Method::POST, file.post),
        (Method::PUT, file.put),
        (Method::PATCH, file.patch),
        (Method::DELETE, file.delete),
    ];
    let named = findings.take(one_method(methods, place));
    let named = named.and_then(|(method, path)| {
        let path = findings.take(claims.claim(&method, &path))?;
        Some((method, path))
    });
    let latency = file.latency.and_then(|written| findings.take_all(latency(&written)));
    let errors = file.errors.and_then(|file| findings.take(errors(&file)));
    let calls = file.calls.into_iter().filter_map(|file| call::check(file, findings)).collect();
    let body = body(file.json, file.text, findings);
    let expects = expects(file.expects, findings);
    let headers = headers(file.headers, findings);
    let status = match file.status {
        None => StatusCode::OK,
        Some(written) => {
            let status = findings.take(status(&written, 200))?;
            let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            if bodiless && body != Body::Empty {
                let title = format!("an answer of status {} has no body", status.as_u16());
                findings.add(Finding::new(Code::ProfileRoute, written.place, title));
            }
            status
        }
    };
    let (method, path) = named?;
    Some(Route { method, path, expects, calls, latency, errors, answer: Answer { status, headers, body } })
}

fn one_method(
    methods: [(Method, Option<At<String>>); 5],
    route: Place,
) -> Result<(Method, At<String>), Finding> {
    let mut named = methods.into_iter().filter_map(|(method, path)| Some((method, path?)));
    let Some(first) = named.next() else {
        let finding = Finding::new(Code::ProfileRoute, route, "this route has no method and path");
        return Err(finding.help("write `get: /items`, or `post`, `put`, `patch` or `delete`"));
    };
    match named.next() {
        None => Ok(first),
        Some((_, second)) => {
            let title = "a route has one method: write a route for each";
            Err(Finding::new(Code::ProfileRoute, second.place, title)
                .also(first.1.place, "the first is here"))
        }
    }
}

fn latency(LatencyWritten(written): &LatencyWritten) -> Result<Latency, Vec<Finding>> {
    match &written.0.kind {
        Kind::Map(_) => {
            let LatencyFile { p50, p99, max } = read(&written.0)?;
            Latency::through(p50.0, p99.0, max.map(|max| max.0)).map_err(|why| {
                let finding = Finding::new(Code::ProfileSpread, p99.place, why);
                vec![finding.also(p50.place, "the median is here")]
            })
        }
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::List(_) => {
            read::<Span>(&written.0).map(|span| Latency::fixed(span.0))
        }
    }
}

fn errors(file: &ErrorsFile) -> Result<Errors, Finding> {
    let status = match &file.status {
        None => StatusCode::SERVICE_UNAVAILABLE,
        Some(written) => status(written, 400)?,
    };
    Ok(Errors { share: file.share, status })
}

/// A status that ends a request, at least `least`.
fn status(written: &At<u16>, least: u16) -> Result<StatusCode, Finding> {
    let known = StatusCode::from_u16(written.value).ok();
    known.filter(|status| (least..600).contains(&status.as_u16())).ok_or_else(|| {
        let title = format!("a status here is between {least} and 599, not {written}");
        Finding::new(Code::ProfileRoute, written.place, title)
    })
}

/// The body that is declared by at most one of both.
pub(super) fn body(json: Option<Json>, text: Option<At<Template>>, findings: &mut Findings) -> Body {
    if let (Some(json), Some(text)) = (&json, &text) {
        let finding =
            Finding::new(Code::ProfileRoute, text.place, "`json` and `text` are two bodies for one");
        findings.add(finding.label("a second body").also(json.0.place, "the first is here"));
    }
    if let Some(Json(node)) = json {
        check_texts(&node, findings);
        return Shape::of(&node).map_or(Body::Empty, Body::Json);
    }
    if let Some(text) = text {
        check_holes(text.holes(), text.place, findings);
        return Body::Text(text.value);
    }
    Body::Empty
}

fn expects(file: ExpectsFile, findings: &mut Findings) -> Expects {
    let json = file.json.and_then(|json| findings.take(plain(&json)));
    Expects { bearer: file.bearer, json }
}

/// JSON that is compared with, and so has no holes.
pub(super) fn plain(Json(node): &Json) -> Result<Value, Finding> {
    let shape = Shape::of(node).map_err(|(node, why)| Finding::new(Code::FileValue, node.place, why))?;
    shape.value(&Scope::default()).map_err(|unset| {
        Finding::new(Code::FileValue, node.place, unset.to_string())
            .help("what is compared with has no holes")
    })
}

fn headers(written: Entries<At<String>>, findings: &mut Findings) -> Vec<(HeaderName, HeaderValue)> {
    let written = written.0.into_iter();
    written.filter_map(|(name, value)| findings.take(header(&name, &value))).collect()
}

fn header(name: &At<String>, value: &At<String>) -> Result<(HeaderName, HeaderValue), Finding> {
    let wrong = |place, title: String| Finding::new(Code::ProfileRoute, place, title);
    let known = HeaderName::try_from(name.as_str())
        .map_err(|_| wrong(name.place, format!("`{name}` is not a header name")))?;
    if FRAMING.contains(&known) {
        return Err(wrong(name.place, format!("`{name}` follows from the answer and cannot be set")));
    }
    let value = HeaderValue::try_from(value.as_str())
        .map_err(|_| wrong(value.place, "a header has no line breaks or control characters".into()))?;
    Ok((known, value))
}
