//! From a request as a file describes it to one that can be sent.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use url::Url;

use super::attempt::Session;
use super::connect::{Options, TlsOptions};
use super::http::{Credentials, Request, Version};
use super::multipart::{self, Field};
use super::resolve::Resolver;
use super::trust::Identity;
use crate::sample::{Cause, Reason};
use crate::scenario::auth::{Auth, Login};
use crate::scenario::body::{Body, Content, Part};
use crate::scenario::http::{self as written, Http, Tls};
use crate::scenario::network::{Addresses, Nameserver, Network, Proxy};
use crate::scenario::template::{Scope, Template, Unset};
use crate::source::At;

/// Fills every hole of a request.
///
/// # Errors
/// When a name has no value; inside, when what came of filling cannot be sent.
pub(super) fn fill(http: &Http, scope: &Scope, session: &Session) -> Result<Result<Request, Cause>, Unset> {
    let mut url = match address(&http.url, &["http", "https"], scope)? {
        Ok(url) => url,
        Err(cause) => return Ok(Err(cause)),
    };
    if !http.query.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, value) in &http.query {
            query.append_pair(name, &value.fill(scope)?);
        }
    }
    let mut headers = HeaderMap::new();
    let body = match body(&http.body, scope, &mut headers)? {
        Ok(body) => body,
        Err(cause) => return Ok(Err(cause)),
    };
    if let Err(cause) = authorize(http.auth.as_ref(), scope, &mut headers)? {
        return Ok(Err(cause));
    }
    if let Err(cause) = add_headers(&http.headers, scope, &mut headers)? {
        return Ok(Err(cause));
    }
    let options = match options(Some(&http.tls), &http.network, scope, session)? {
        Ok(options) => options,
        Err(cause) => return Ok(Err(cause)),
    };
    let version = match http.version {
        None => Version::Auto,
        Some(written::Version::Http1) => Version::Http1,
        Some(written::Version::Http2) => Version::Http2,
    };
    Ok(Ok(Request {
        headers,
        body,
        version,
        redirects: http.redirects,
        same_host: http.same_host,
        digest: digest(http.auth.as_ref(), scope)?,
        limit: http.limit,
        decompress: http.compression,
        options,
        ..Request::new(http.method.clone(), url)
    }))
}

/// A filled address.
pub(super) fn address(
    template: &At<Template>,
    schemes: &[&str],
    scope: &Scope,
) -> Result<Result<Url, Cause>, Unset> {
    let text = template.fill(scope)?;
    Ok(match Url::parse(&text) {
        Ok(url) if url.host().is_some() && schemes.contains(&url.scheme()) => Ok(url),
        Ok(_) => {
            let message =
                format!("`{text}` is not an address that begins with `{}://`", schemes.join("://` or `"));
            Err(Cause::new(Reason::Policy, message))
        }
        Err(error) => Err(Cause::new(Reason::Policy, format!("`{text}` is not an address: {error}"))),
    })
}

fn body(body: &Body, scope: &Scope, headers: &mut HeaderMap) -> Result<Result<Bytes, Cause>, Unset> {
    let (content, kind) = match body {
        Body::Empty => return Ok(Ok(Bytes::new())),
        Body::Text(text) => (text.fill(scope)?.into(), "text/plain; charset=utf-8".to_owned()),
        Body::Json(shape) => (shape.value.value(scope)?.to_string().into(), "application/json".to_owned()),
        Body::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &value.fill(scope)?);
            }
            (form.finish().into(), "application/x-www-form-urlencoded".to_owned())
        }
        Body::File(file) => (file.bytes.clone(), "application/octet-stream".to_owned()),
        Body::Multipart(parts) => {
            let fields = parts.iter().map(|part| field(part, scope));
            let fields = match fields.collect::<Result<Result<Vec<_>, _>, _>>()? {
                Ok(fields) => fields,
                Err(cause) => return Ok(Err(cause)),
            };
            let boundary = multipart::boundary(rand::random());
            (multipart::encode(&fields, &boundary), format!("multipart/form-data; boundary={boundary}"))
        }
    };
    Ok(header_value("content-type", &kind).map(|kind| {
        headers.insert(CONTENT_TYPE, kind);
        content
    }))
}

fn field(part: &Part, scope: &Scope) -> Result<Result<Field, Cause>, Unset> {
    let filled = |text: &Option<At<Template>>| text.as_ref().map(|text| text.fill(scope)).transpose();
    let (filename, media) = (filled(&part.filename)?, filled(&part.media)?);
    if let Some(Err(cause)) = media.as_ref().map(|media| header_value("content-type", media)) {
        return Ok(Err(cause));
    }
    let name = part.name.fill(scope)?;
    Ok(Ok(match &part.content {
        Content::Text(text) => Field { name, filename, media, content: text.fill(scope)?.into() },
        Content::File(file) => Field {
            name,
            filename: Some(filename.unwrap_or_else(|| file.name().to_owned())),
            media: Some(media.unwrap_or_else(|| "application/octet-stream".to_owned())),
            content: file.bytes.clone(),
        },
    }))
}

/// Adds who asks.
pub(super) fn authorize(
    auth: Option<&Auth>,
    scope: &Scope,
    headers: &mut HeaderMap,
) -> Result<Result<(), Cause>, Unset> {
    let value = match auth {
        // What these prove themselves with is not known yet.
        None | Some(Auth::Digest(_) | Auth::OAuth2(_)) => return Ok(Ok(())),
        Some(Auth::Bearer(token)) => format!("Bearer {}", token.fill(scope)?),
        Some(Auth::Basic(Login { user, password })) => {
            let pair = format!("{}:{}", user.fill(scope)?, password.fill(scope)?);
            let encoded = base64::engine::general_purpose::STANDARD.encode(&pair);
            scope.mask().add(&crate::secret::Secret::new(encoded.as_str()));
            format!("Basic {encoded}")
        }
    };
    Ok(header_value("authorization", &value).map(|mut value| {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }))
}

/// What is digested once the target asks for it.
fn digest(auth: Option<&Auth>, scope: &Scope) -> Result<Option<Credentials>, Unset> {
    Ok(match auth {
        Some(Auth::Digest(Login { user, password })) => {
            let password = crate::secret::Secret::new(password.fill(scope)?);
            scope.mask().add(&password);
            Some(Credentials { user: user.fill(scope)?, password })
        }
        None | Some(Auth::Bearer(_) | Auth::Basic(_) | Auth::OAuth2(_)) => None,
    })
}

/// Adds headers, over those that are there.
pub(super) fn add_headers(
    written: &[(HeaderName, At<Template>)],
    scope: &Scope,
    headers: &mut HeaderMap,
) -> Result<Result<(), Cause>, Unset> {
    for (name, value) in written {
        match header_value(name.as_str(), &value.fill(scope)?) {
            Ok(value) => headers.insert(name, value),
            Err(cause) => return Ok(Err(cause)),
        };
    }
    Ok(Ok(()))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(value).map_err(|_| {
        Cause::new(
            Reason::Policy,
            format!("the value of header `{name}` holds characters that no header may hold"),
        )
    })
}

/// How a connection is made. The only way to options for what files ask: the policy is always among them.
pub(super) fn options(
    tls: Option<&Tls>,
    network: &Network,
    scope: &Scope,
    session: &Session,
) -> Result<Result<Options, Cause>, Unset> {
    let tls = tls.map(|tls| spoken(tls, scope, session)).transpose()?.unwrap_or_default();
    let resolver = network.resolver.as_ref().map(|text| text.fill(scope)).transpose()?;
    let proxy = network.proxy.as_ref().map(|text| text.fill(scope)).transpose()?;
    let (resolver, proxy) = match (read::<Nameserver>(resolver), read::<Proxy>(proxy)) {
        (Ok(resolver), Ok(proxy)) => (resolver, proxy),
        (Err(cause), _) | (_, Err(cause)) => return Ok(Err(cause)),
    };
    if let Some((_, password)) = proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref()) {
        scope.mask().add(password);
    }
    Ok(Ok(Options {
        tls,
        address: session.address,
        policy: Arc::clone(&session.policy),
        family: network.family,
        first: network.addresses == Addresses::First,
        resolver: resolver.map(|at| Resolver { at, ca: certificates(network.resolver_ca.as_ref(), session) }),
        proxy,
    }))
}

/// What a filled text is.
fn read<T: FromStr<Err: fmt::Display>>(text: Option<String>) -> Result<Option<T>, Cause> {
    text.map(|text| text.parse().map_err(|why: T::Err| Cause::new(Reason::Policy, why.to_string())))
        .transpose()
}

fn spoken(written: &Tls, scope: &Scope, session: &Session) -> Result<TlsOptions, Unset> {
    let server_name = written.server_name.as_ref().map(|name| name.fill(scope)).transpose()?;
    let key = written.key_file().and_then(|file| session.keyring.key(file));
    let chain = certificates(written.certificate.as_ref(), session);
    Ok(TlsOptions {
        ca: certificates(written.ca.as_ref(), session),
        server_name,
        skip_verify: written.skip_verify,
        identity: chain.zip(key).map(|(chain, key)| Identity { chain, key }),
        min_version: written.min_version,
        alpn: Vec::new(),
    })
}

fn certificates(file: Option<&At<Template>>, session: &Session) -> Option<Arc<[CertificateDer<'static>]>> {
    session.keyring.certificates(file?)
}
