//! Who asks: what a request proves itself with, as written and as checked.

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::check_url;
use super::template::Template;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::Entries;

/// A user and a password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user.
    pub user: At<Template>,
    /// The password.
    pub password: At<Template>,
}

/// A token that is asked for with our own credentials and sent as a bearer's, RFC 6749, section 4.4.
///
/// It is asked for the way the request goes, over its `network` and with its `tls`, and kept until it expires or the
/// target answers 401 to it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Who gives tokens.
    pub token_url: At<Template>,
    /// Who we are to them.
    pub client_id: At<Template>,
    /// What proves it.
    pub client_secret: At<Template>,
    /// What the token is to be good for.
    #[serde(default)]
    pub scopes: Vec<At<Template>>,
    /// Further fields of the question, as `audience`.
    #[serde(default)]
    pub parameters: Entries<At<Template>>,
    /// Where our credentials stand in it; in the header unless said.
    #[serde(default)]
    pub credentials: Credentials,
}

/// Where credentials stand in a question for a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// `Authorization: Basic …`.
    #[default]
    Header,
    /// Fields of the form.
    Body,
}

/// What a file offers to prove who asks; a request has one of them.
#[derive(Debug)]
pub(super) struct AuthWritten {
    pub(super) bearer: Option<At<Template>>,
    pub(super) basic: Option<At<Login>>,
    pub(super) digest: Option<At<Login>>,
    pub(super) oauth2: Option<At<OAuth2>>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(At<Template>),
    /// `Authorization: Basic …`.
    Basic(Login),
    /// `Authorization: Digest …`, once the target has said what it wants digested.
    Digest(Login),
    /// `Authorization: Bearer …`, with a token that is asked for.
    OAuth2(Box<OAuth2>),
}

impl Auth {
    /// Every template, with its place.
    pub(super) fn templates(&self) -> Vec<&At<Template>> {
        match self {
            Self::Bearer(token) => vec![token],
            Self::Basic(login) | Self::Digest(login) => vec![&login.user, &login.password],
            Self::OAuth2(oauth2) => {
                let known = [&oauth2.token_url, &oauth2.client_id, &oauth2.client_secret];
                let parameters = oauth2.parameters.0.iter().map(|(_, value)| value);
                known.into_iter().chain(&oauth2.scopes).chain(parameters).collect()
            }
        }
    }
}

impl AuthWritten {
    /// Checks that there is at most one, and no other among the headers.
    pub(super) fn check(
        self,
        headers: &[(HeaderName, At<Template>)],
        findings: &mut Findings,
    ) -> Option<Auth> {
        let places: [(&str, Option<Place>); 4] = [
            ("bearer", self.bearer.as_ref().map(|at| at.place)),
            ("basic", self.basic.as_ref().map(|at| at.place)),
            ("digest", self.digest.as_ref().map(|at| at.place)),
            ("oauth2", self.oauth2.as_ref().map(|at| at.place)),
        ];
        let mut written = places.into_iter().filter_map(|(name, place)| Some((name, place?)));
        if let (Some((first, place)), Some((second, another))) = (written.next(), written.next()) {
            let title = format!("`{first}` and `{second}` exclude each other");
            let finding = Finding::new(Code::ScenarioRequest, place, title);
            findings.add(finding.also(another, "the other is given here"));
            return None;
        }
        if let Some(oauth2) = &self.oauth2 {
            findings.take(check_url(&oauth2.token_url, &["http", "https"]));
        }
        let bearer = self.bearer.map(Auth::Bearer);
        let auth = bearer
            .or(self.basic.map(|at| Auth::Basic(at.value)))
            .or(self.digest.map(|at| Auth::Digest(at.value)))
            .or(self.oauth2.map(|at| Auth::OAuth2(Box::new(at.value))));
        check_auth(auth.as_ref(), headers, findings);
        auth
    }
}

/// Sees to it that nothing else is said where a token or a digest goes.
fn check_auth(auth: Option<&Auth>, headers: &[(HeaderName, At<Template>)], findings: &mut Findings) {
    let own = headers.iter().find(|(name, _)| *name == http::header::AUTHORIZATION);
    if let (Some(Auth::Digest(_) | Auth::OAuth2(_)), Some((_, value))) = (auth, own) {
        let title = "`Authorization` is what `digest` or `oauth2` sends";
        findings.add(Finding::new(Code::ScenarioRequest, value.place, title).label("this is a second"));
    }
}
