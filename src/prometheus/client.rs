//! Asks a Prometheus, within limits, and again where that may help.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use url::Url;

use super::access::{Access, Auth, Limits};
use super::answer::{self, Answer, Data};
use super::failure::{Error, Setup, Tries, distrust, innermost, no_answer, refusal, shown};
use super::state::{Alertmanagers, Alerts, Families, Groups, Metadata, Runtime, Targets};
use crate::exposition::Labels;
use crate::secret::Secret;

/// The longest pause between two tries, whatever the other side wishes.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Asks one Prometheus; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Option<HeaderValue>,
    limits: Limits,
}

/// What is asked.
struct Ask<'a> {
    method: Method,
    /// Below the address: `api/v1/query`.
    path: &'a str,
    parameters: &'a [(&'a str, String)],
    tried: String,
}

/// Why a try brought nothing, and whether another one may.
struct Setback {
    error: Error,
    again: bool,
    /// How long the other side wants to be left alone.
    pause: Option<Duration>,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none, or a certificate or header cannot be made of what was given.
    pub fn new(access: &Access) -> Result<Self, Setup> {
        let (base, auth) = access.resolve()?;
        Ok(Self { http: access.http(&base)?, base, auth: header(&auth)?, limits: access.limits })
    }

    /// The address, without user and password.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// What a query is at a moment: now, unless one is given.
    ///
    /// # Errors
    /// As each of these: when there is no answer.
    pub async fn instant(&self, query: &str, at: Option<Timestamp>) -> Result<Answer<Data>, Error> {
        let mut parameters = vec![("query", query.to_owned())];
        parameters.extend(at.map(|at| ("time", seconds(at))));
        self.query("query", query, &parameters).await
    }

    /// What a query was from a moment to another, one point each `step`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Answer<Data>, Error> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", seconds(from)),
            ("end", seconds(to)),
            ("step", step.as_secs_f64().to_string()),
        ];
        self.query("query_range", query, &parameters).await
    }

    /// The series that match one of `selectors` in some time.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn series(
        &self,
        selectors: &[&str],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Answer<Vec<Labels>>, Error> {
        let mut parameters = vec![("start", seconds(from)), ("end", seconds(to))];
        parameters.extend(selectors.iter().map(|selector| ("match[]", (*selector).to_owned())));
        self.post("api/v1/series", &parameters, shown(&selectors.join(", "))).await
    }

    /// The names of all labels.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn labels(&self) -> Result<Answer<Vec<String>>, Error> {
        self.get("api/v1/labels", &[]).await
    }

    /// Every value of a label; of `__name__`, the name of every metric.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn label_values(&self, label: &str) -> Result<Answer<Vec<String>>, Error> {
        let label = percent_encoding::utf8_percent_encode(label, percent_encoding::NON_ALPHANUMERIC);
        self.get(&format!("api/v1/label/{label}/values"), &[]).await
    }

    /// What is known of each metric family, or of one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn metadata(
        &self,
        metric: Option<&str>,
    ) -> Result<Answer<BTreeMap<String, Vec<Metadata>>>, Error> {
        let parameters: Vec<_> = metric.map(|name| ("metric", name.to_owned())).into_iter().collect();
        self.get::<Families>("api/v1/metadata", &parameters).await
    }

    /// What is scraped.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn targets(&self) -> Result<Answer<Targets>, Error> {
        self.get("api/v1/targets", &[("state", "active".to_owned())]).await
    }

    /// Every group of rules, with alerts.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn rules(&self) -> Result<Answer<Groups>, Error> {
        self.get("api/v1/rules", &[]).await
    }

    /// What is pending and firing.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn alerts(&self) -> Result<Answer<Alerts>, Error> {
        self.get("api/v1/alerts", &[]).await
    }

    /// Who is told of alerts.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn alertmanagers(&self) -> Result<Answer<Alertmanagers>, Error> {
        self.get("api/v1/alertmanagers", &[]).await
    }

    /// How it runs.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn runtime(&self) -> Result<Answer<Runtime>, Error> {
        self.get("api/v1/status/runtimeinfo", &[]).await
    }

    /// Makes it read its configuration and rules again, where `--web.enable-lifecycle` lets us.
    ///
    /// # Errors
    /// When it does not, or could not read them.
    pub async fn reload(&self) -> Result<(), Error> {
        self.send(&self.ask(Method::POST, "-/reload", &[], "")).await.map(drop)
    }

    /// Forgets every sample it has, where `--web.enable-admin-api` lets us.
    ///
    /// # Errors
    /// When it does not.
    pub async fn forget(&self) -> Result<(), Error> {
        let all = [("match[]", "{__name__!=\"\"}".to_owned())];
        self.send(&self.ask(Method::POST, "api/v1/admin/tsdb/delete_series", &all, "")).await.map(drop)
    }

    /// The time by its own clock, which stamps everything that is compared with it.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn time(&self) -> Result<Timestamp, Error> {
        let foreign = |data: &Data| Error::Foreign {
            tried: format!("{}/api/v1/query for `time()`", self.address()),
            why: format!("the time is a scalar, and this is a {}", data.name()),
        };
        match self.instant("time()", None).await?.data {
            Data::Scalar(point) => Ok(point.at),
            other @ (Data::Vector(_) | Data::Matrix(_) | Data::String(_)) => Err(foreign(&other)),
        }
    }

    /// Whether it answers queries.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<(), Error> {
        self.send(&self.ask(Method::GET, "-/ready", &[], "")).await.map(drop)
    }

    /// A page below its address, as it is: what is no part of Prometheus's API, or Alertmanager's.
    ///
    /// # Errors
    /// When there is no such page.
    pub async fn page(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.send(&self.ask(Method::GET, path, &[], "")).await
    }

    /// Posts a JSON document below its address, once: what is no part of Prometheus's API, or Alertmanager's.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn submit(&self, path: &str, json: String) -> Result<(), Error> {
        self.post_bytes(path, &[(CONTENT_TYPE, "application/json")], json.into_bytes()).await
    }

    /// Posts bytes as they are, once.
    pub(super) async fn post_bytes(
        &self,
        path: &str,
        headers: &[(HeaderName, &'static str)],
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let ask = self.ask(Method::POST, path, &[], "");
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        // They replace those that a form has.
        let request = self.request(&ask).headers(headers.collect()).body(bytes);
        let once = Tries(1);
        let response = request.send().await.map_err(|error| self.setback(&error, &ask, once).error)?;
        let status = response.status();
        let body = self.body(response, &ask, once).await.map_err(|setback| setback.error)?;
        if status.is_success() { Ok(()) } else { Err(refusal(ask.tried, once, status, &body, None)) }
    }

    async fn query(
        &self,
        kind: &str,
        query: &str,
        parameters: &[(&str, String)],
    ) -> Result<Answer<Data>, Error> {
        let path = format!("api/v1/{kind}");
        let (body, tried) = self.post_or_get(&path, parameters, &shown(query)).await?;
        answer::read_query(&body).map_err(|error| no_answer(tried, error))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        about: String,
    ) -> Result<Answer<T>, Error> {
        let (body, tried) = self.post_or_get(path, parameters, &about).await?;
        answer::read(&body).map_err(|error| no_answer(tried, error))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> Result<Answer<T>, Error> {
        let ask = self.ask(Method::GET, path, parameters, "");
        let body = self.send(&ask).await?;
        answer::read(&body).map_err(|error| no_answer(ask.tried, error))
    }

    /// Long queries fit no address, so they are posted; what allows only reading is asked the other way.
    async fn post_or_get(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        about: &str,
    ) -> Result<(Vec<u8>, String), Error> {
        let mut ask = self.ask(Method::POST, path, parameters, about);
        let answered = self.send(&ask).await;
        let unwilling = |status: &u16| [405, 501].contains(status);
        let body = match answered {
            Err(Error::Status { status, .. }) if unwilling(&status) => {
                ask.method = Method::GET;
                self.send(&ask).await?
            }
            other => other?,
        };
        Ok((body, ask.tried))
    }

    fn ask<'a>(
        &self,
        method: Method,
        path: &'a str,
        parameters: &'a [(&'a str, String)],
        about: &str,
    ) -> Ask<'a> {
        let about = if about.is_empty() { String::new() } else { format!(" for `{about}`") };
        Ask { method, path, parameters, tried: format!("{}/{path}{about}", self.address()) }
    }

    /// The body of the first good answer.
    async fn send(&self, ask: &Ask<'_>) -> Result<Vec<u8>, Error> {
        let mut pause = self.limits.pause;
        let mut tries = Tries(0);
        loop {
            tries.0 += 1;
            let setback = match self.attempt(ask, tries).await {
                Ok(body) => return Ok(body),
                Err(setback) => setback,
            };
            if !setback.again || tries.0 > self.limits.retries {
                return Err(setback.error);
            }
            tokio::time::sleep(setback.pause.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(2);
        }
    }

    async fn attempt(&self, ask: &Ask<'_>, times: Tries) -> Result<Vec<u8>, Setback> {
        let response = self.request(ask).send().await.map_err(|error| self.setback(&error, ask, times))?;
        let (status, headers) = (response.status(), response.headers());
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let pause = text(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let to = text(LOCATION).map(shown);
        let body = self.body(response, ask, times).await?;
        if status.is_success() {
            return Ok(body);
        }
        let again = matches!(status.as_u16(), 429 | 500 | 502..=504 | 520..=599);
        Err(Setback { error: refusal(ask.tried.clone(), times, status, &body, to), again, pause })
    }

    fn request(&self, ask: &Ask<'_>) -> RequestBuilder {
        let mut url = self.url(ask);
        let form = || {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(ask.parameters).finish()
        };
        let mut request = if ask.method == Method::POST {
            let kind = "application/x-www-form-urlencoded";
            self.http.post(url).header(CONTENT_TYPE, kind).body(form())
        } else {
            url.set_query((!ask.parameters.is_empty()).then(form).as_deref());
            self.http.get(url)
        };
        if let Some(auth) = &self.auth {
            request = request.header(AUTHORIZATION, auth.clone());
        }
        request
    }

    /// Where it is asked, without parameters.
    fn url(&self, ask: &Ask<'_>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), ask.path));
        url
    }

    /// The whole body, unless it is larger than is read.
    async fn body(&self, mut response: Response, ask: &Ask<'_>, times: Tries) -> Result<Vec<u8>, Setback> {
        let limit = self.limits.body.bytes();
        let too_large = || Setback {
            error: Error::TooLarge { tried: ask.tried.clone(), limit },
            again: false,
            pause: None,
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.setback(&error, ask, times))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn setback(&self, error: &reqwest::Error, ask: &Ask<'_>, times: Tries) -> Setback {
        let tried = ask.tried.clone();
        if let Some(why) = distrust(error) {
            return Setback { error: Error::Distrusted { tried, why }, again: false, pause: None };
        }
        let error = if error.is_timeout() {
            Error::TimedOut { tried, tries: times, limit: self.limits.timeout }
        } else if error.is_connect() {
            Error::Unreachable { tried, tries: times, why: innermost(error) }
        } else {
            Error::Broken { tried, tries: times, why: innermost(error) }
        };
        Setback { error, again: true, pause: None }
    }
}

/// The header that says who asks.
fn header(auth: &Auth) -> Result<Option<HeaderValue>, Setup> {
    use base64::Engine as _;
    let text = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { user, password } => {
            let pair = Secret::new(format!("{user}:{}", password.expose()));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.expose()))
        }
        Auth::Bearer(token) => format!("Bearer {}", token.expose().trim()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| Setup::Unsendable)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Seconds since 1970 with milliseconds, which everything that speaks like a Prometheus reads.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millisecond();
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000)
}

#[cfg(test)]
mod tests;
