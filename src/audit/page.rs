//! Pages that links to runbooks lead to, as they were fetched: each address once, in bounded time, number and size.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use regex::Regex;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::Subject;
use super::runbook::{headings, links};
use crate::units::Span;

/// How long one page may take, from the first address to the last byte, and how long all of them may.
const PATIENCE: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(120);

/// How many are fetched at once, and how many at all.
const AT_ONCE: usize = 4;
const MOST: usize = 500;

/// How often a page may lead to another.
const REDIRECTS: usize = 5;

/// The largest page that is searched for headings, in bytes.
const LARGEST: usize = 4 << 20;

/// Pages by their address, without what stands behind `#`.
pub type Pages = BTreeMap<String, Page>;

/// What came of asking for a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Page {
    /// It answered.
    Answered {
        /// With this status.
        status: u16,
        /// The host that did, after all redirects.
        host: String,
        /// Whether it is HTML, and no text in Markdown.
        html: bool,
        /// What it says, as far as it is read.
        text: String,
    },
    /// It did not, for this reason.
    Unseen(String),
}

impl Page {
    /// Where links to it may lead within it.
    pub(super) fn anchors(&self) -> Vec<String> {
        match self {
            Self::Answered { html: true, text, .. } => in_html(text),
            Self::Answered { html: false, text, .. } => headings(text),
            Self::Unseen(_) => Vec::new(),
        }
    }
}

/// Fetches the pages that the alerts' links lead to and that neither stand in a folder nor are there already.
///
/// # Errors
/// When this machine cannot ask anybody.
pub async fn fetch(subject: &Subject, pages: &mut Pages) -> Result<(), String> {
    let wanted = links(subject).into_iter().filter_map(|address| page_of(&address));
    let wanted: BTreeSet<String> = wanted.filter(|page| !pages.contains_key(page)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let client = client()?;
    let deadline = Instant::now() + ALL;
    let (now, never): (Vec<_>, Vec<_>) =
        wanted.into_iter().enumerate().partition(|(number, _)| *number < MOST);
    let asking = now.into_iter().map(|(_, address)| {
        let client = client.clone();
        async move {
            let page = timeout_at(deadline, ask(&client, &address)).await;
            let late = || Page::Unseen(format!("all pages together took more than {}", Span(ALL)));
            (address, page.unwrap_or_else(|_| late()))
        }
    });
    let mut asking = futures_util::stream::iter(asking).buffer_unordered(AT_ONCE);
    while let Some((address, page)) = asking.next().await {
        pages.insert(address, page);
    }
    let too_many = || Page::Unseen(format!("there are more than {MOST} pages to look at"));
    pages.extend(never.into_iter().map(|(_, address)| (address, too_many())));
    Ok(())
}

/// The page of an address, where it is one that is fetched.
pub(super) fn page_of(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let whole = matches!(url.scheme(), "http" | "https") && !address.contains("{{");
    whole.then(|| address.split('#').next().unwrap_or_default().to_owned())
}

async fn ask(client: &reqwest::Client, address: &str) -> Page {
    let answered = async {
        let mut response = client.get(address).send().await.map_err(|error| said(&error))?;
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let path = response.url().path();
        let named = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
        let html = kind.contains("html") || (!kind.starts_with("text/") && !named(&[".md", ".markdown"]));
        let (status, host) =
            (response.status().as_u16(), response.url().host_str().unwrap_or_default().to_owned());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| said(&error))? {
            bytes.extend_from_slice(&chunk[..chunk.len().min(LARGEST - bytes.len())]);
            if bytes.len() >= LARGEST {
                break;
            }
        }
        Ok(Page::Answered { status, host, html, text: String::from_utf8_lossy(&bytes).into_owned() })
    };
    let answered = timeout(PATIENCE, answered).await;
    answered
        .unwrap_or_else(|_| Err(format!("no answer within {}", Span(PATIENCE))))
        .unwrap_or_else(Page::Unseen)
}

/// What lies at the bottom of an error.
fn said(error: &reqwest::Error) -> String {
    if error.is_redirect() {
        return format!("it leads on more than {REDIRECTS} times");
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string().chars().filter(|sign| !sign.is_control()).take(200).collect()
}

fn client() -> Result<reqwest::Client, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::limited(REDIRECTS))
        .tls_backend_preconfigured(tls);
    client.build().map_err(|error| format!("pages cannot be fetched: {error}"))
}

/// The anchors of a page in HTML; what code hosts put before those of headings is left out.
fn in_html(text: &str) -> Vec<String> {
    const SAID: &str = r#"(?i)[\s"'](?:id|name)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))"#;
    static ANCHOR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SAID).ok());
    let found = ANCHOR.iter().flat_map(|anchor| anchor.captures_iter(text));
    let named =
        found.filter_map(|one| one.iter().skip(1).flatten().next().map(|said| said.as_str().to_owned()));
    named.map(|name| name.strip_prefix("user-content-").map_or(name.clone(), str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn anchors_of_html_are_ids_and_names_however_they_are_quoted() {
        let page = "<h1 id=top>A</h1><H2 ID='What'>B</H2><a class=\"x\" name = \"undo\"></a>\
                    <h2 id=\"user-content-high-errors\">C</h2><p data-id=\"none\">";
        assert_eq!(in_html(page), ["top", "What", "undo", "high-errors"]);
    }

    #[rstest]
    #[case::whole("https://books.test/a#b", Some("https://books.test/a"))]
    #[case::asked("http://books.test/?page=a#b", Some("http://books.test/?page=a"))]
    #[case::not_whole("https://books.test/{{ $labels.job }}", None)]
    #[case::no_address("see the wiki", None)]
    #[case::other_scheme("mailto:team@books.test", None)]
    fn a_page_is_what_stands_before_the_heading(#[case] address: &str, #[case] page: Option<&str>) {
        assert_eq!(page_of(address).as_deref(), page);
    }
}
