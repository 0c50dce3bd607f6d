//! What one probe of a pod asks, as a kubelet asks it.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::pod::Verdict;
use super::{Made, get};
use crate::probe::attempt::Session;
use crate::probe::connect::{self, Authority, Deadline, Options};
use crate::probe::exchange::Excerpt;
use crate::probe::{exec, grpc, process, request};
use crate::sample::{Cause, Reason};
use crate::scenario::http::Tls;
use crate::scenario::kubelet::{Action, Kubelet, Probe, Scheme};
use crate::scenario::network::Network;
use crate::scenario::template::{Scope, Unset};

/// A probe that could not be made is tried so often at once.
const TRIES: usize = 3;

/// What is asked by a probe, every variable filled in; or why it cannot be.
pub(super) enum Target {
    Get { url: Url, headers: Vec<(HeaderName, HeaderValue)>, options: Options },
    Connect(Authority, Options),
    Ask(Box<grpc::Question>),
    Run(process::Request),
    Nowhere(Cause),
}

/// Fills every hole of a probe.
pub(super) fn fill(
    kubelet: &Kubelet,
    probe: &Probe,
    scope: &Scope,
    session: &Session,
) -> Result<Target, Unset> {
    let address = |port: &str, host: Option<String>| -> Result<String, Unset> {
        // A host of its own is not the pod, whose ports are reached elsewhere.
        let (Some(to), None) = (kubelet.place_of_port(port), &host) else {
            let pod = kubelet.address.as_ref().map(|at| at.fill(scope)).transpose()?;
            let host = host.or(pod).unwrap_or_else(|| "127.0.0.1".to_owned());
            let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
            let number = kubelet.number(port).map_or_else(|| port.to_owned(), |number| number.to_string());
            return Ok(format!("{host}:{number}"));
        };
        to.fill(scope)
    };
    // As a kubelet has it: no proxy, no resolver but the system's.
    let network = Network::default();
    let filled = match &probe.action {
        Action::HttpGet(get) => {
            let host = get.host.as_ref().map(|at| at.fill(scope)).transpose()?;
            let to = address(&get.port.fill(scope)?, host)?;
            let path = get.path.as_ref().map(|at| at.fill(scope)).transpose()?.unwrap_or_default();
            let headers = get.headers.iter().map(|(name, value)| Ok((name.clone(), value.fill(scope)?)));
            let headers = headers.collect::<Result<Vec<_>, Unset>>()?;
            let tls = Tls { skip_verify: true, ..Tls::default() };
            let options = request::options(Some(&tls), &network, scope, session)?;
            options.map_err(|cause| cause.message).and_then(|options| {
                let (url, headers) = page(get.scheme, &to, &path, headers)?;
                Ok(Target::Get { url, headers, options })
            })
        }
        Action::TcpSocket { port, host } => {
            let host = host.as_ref().map(|at| at.fill(scope)).transpose()?;
            let to = address(&port.fill(scope)?, host)?;
            let options = request::options(None, &network, scope, session)?;
            options.map_err(|cause| cause.message).and_then(|options| {
                let to = to.parse().map_err(|why: connect::NotAnAuthority| why.to_string())?;
                Ok(Target::Connect(to, options))
            })
        }
        Action::Grpc { port, service } => {
            let to = address(&port.to_string(), None)?;
            let service = service.as_ref().map(|at| at.fill(scope)).transpose()?.unwrap_or_default();
            let options = request::options(None, &network, scope, session)?;
            options.map_err(|cause| cause.message).and_then(|options| ask(&to, service, options))
        }
        Action::Exec(exec) => Ok(Target::Run(exec::fill(exec, scope)?)),
    };
    Ok(filled.unwrap_or_else(|why| Target::Nowhere(Cause::new(Reason::Policy, why))))
}

/// A page's address, and the headers it is asked with.
type Page = (Url, Vec<(HeaderName, HeaderValue)>);

fn page(scheme: Scheme, to: &str, path: &str, headers: Vec<(HeaderName, String)>) -> Result<Page, String> {
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = format!("{scheme}://{to}{slash}{path}");
    let url = Url::parse(&text).map_err(|error| format!("`{text}` is not an address: {error}"))?;
    let headers = headers.into_iter().map(|(name, value)| {
        let unfit = || format!("the value of header `{name}` holds characters that no header may hold");
        let value = HeaderValue::from_str(&value).map_err(|_| unfit())?;
        Ok((name, value))
    });
    Ok((url, headers.collect::<Result<_, String>>()?))
}

/// A question as a kubelet asks it: in the clear, with nothing to prove itself.
fn ask(to: &str, service: String, options: Options) -> Result<Target, String> {
    let to = to.parse().map_err(|why: connect::NotAnAuthority| why.to_string())?;
    let (metadata, agent) = (HeaderMap::new(), get::AGENT);
    let question = grpc::Question { to, secure: false, options, service, metadata, agent };
    Ok(Target::Ask(Box::new(question)))
}

/// Makes one probe.
pub(super) async fn make(target: &Target, timeout: Duration) -> Made {
    let mut made = Made::new(Verdict::Void, "");
    for _ in 0..TRIES {
        let deadline = Deadline::after(timeout);
        made = match target {
            Target::Get { url, headers, options } => get::get(url, headers, options, &deadline).await,
            Target::Connect(to, options) => match connect::open(to, false, options, &deadline).await {
                Ok(_) => Made::new(Verdict::Success, "connected"),
                Err(failure) => Made::lost(failure.cause),
            },
            Target::Ask(question) => match grpc::call(question, &deadline).await.result {
                Ok(answer) if answer.is_serving() => Made::new(Verdict::Success, "SERVING"),
                Ok(answer) => Made::new(Verdict::Failure, format!("the service is {answer}")),
                Err(cause) => Made::lost(cause),
            },
            Target::Run(request) => run(request, &deadline).await,
            Target::Nowhere(cause) => Made::new(Verdict::Void, cause.message.clone()),
        };
        if made.verdict != Verdict::Void {
            break;
        }
    }
    made
}

async fn run(request: &process::Request, deadline: &Deadline) -> Made {
    let exchange = process::run(request, deadline).await;
    match exchange.result {
        Ok(status) if status.success() => Made::new(Verdict::Success, "exited with 0"),
        Ok(status) => {
            let text =
                if exchange.stderr.total > 0 { exchange.stderr.text() } else { exchange.stdout.text() };
            let last = text.lines().last().map(|line| Excerpt::of(line.as_bytes()).text);
            let last = last.map(|line| format!(": {line}")).unwrap_or_default();
            Made::new(Verdict::Failure, format!("the program {}{last}", exec::told(status)))
        }
        // What does not run at all is a fault of the runtime, not of the container.
        Err(cause) if matches!(cause.reason, Reason::Connect | Reason::Policy) => {
            Made::new(Verdict::Void, cause.message)
        }
        Err(cause) => Made::new(Verdict::Failure, cause.message),
    }
}
