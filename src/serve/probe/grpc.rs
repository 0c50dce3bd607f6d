//! A module's question to `grpc.health.v1`.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;
use tokio::time::Instant;
use url::Url;

use super::choose::{authority, choose};
use super::http::with_scheme;
use super::secured;
use super::sheet::{Sheet, labels, truth};
use super::{Attempt, failed};
use crate::probe::grpc::{Question, Said, call};
use crate::sample::{Cause, Reason};
use crate::scenario::grpc::{RpcStatus, Serving};
use crate::serve::blackbox::Grpc;

const PHASES: &str = "probe_grpc_duration_seconds";
const PHASES_HELP: &str = "Duration of gRPC request by phase";

/// How we call ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("firedrill/", env!("CARGO_PKG_VERSION")));

/// Makes one attempt.
pub(super) async fn attempt(module: &Grpc, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", Duration::ZERO)]);
    status(sheet, 0.0);
    sheet.set("probe_grpc_ssl", "Indicates if SSL was used for the connection", 0.0);
    sheet.set("probe_ssl_earliest_cert_expiry", "Returns last SSL chain expiry in unixtime", 0.0);
    let text = with_scheme(at.target);
    let url = Url::parse(&text).map_err(|error| failed(format!("`{text}`: {error}")))?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().unwrap_or(if module.secure { 443 } else { 80 });
    let tls = module.tls.options().await.map_err(|why| failed(why.to_string()))?;
    let chosen = choose(&host, port, module.preference, at, sheet).await;
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", chosen.took)]);
    let mut options = at.options();
    (options.address, options.tls) = (Some(chosen.address?), tls.clone());
    let question = Question {
        to: authority(&host, port)?,
        secure: module.secure,
        options,
        service: module.service.clone(),
        metadata: HeaderMap::from_iter(module.metadata.clone()),
        agent: AGENT,
    };
    let began = Instant::now();
    let called = call(&question, &at.deadline).await;
    sheet.phases(PHASES, PHASES_HELP, &[("check", began.elapsed())]);
    let said = called.result.as_ref().ok().and_then(|answer| answer.said).and_then(Said::word);
    for one in (0..).map_while(Serving::of) {
        let name = labels([("serving_status", &one.to_string())]);
        let help = "Response HealthCheck response";
        sheet.set_with("probe_grpc_healthcheck_response", help, name, truth(said == Some(one)));
    }
    if called.trail.agreed.is_some() {
        sheet.set("probe_grpc_ssl", "Indicates if SSL was used for the connection", 1.0);
    }
    secured::show(&called.trail.chain, called.trail.agreed.as_ref(), &tls, sheet).await;
    let answer = match called.result {
        Ok(answer) => answer,
        Err(cause) => {
            let late = matches!(cause.reason, Reason::Timeout(_));
            status(sheet, number(if late { RpcStatus::DeadlineExceeded } else { RpcStatus::Unavailable }));
            return Err(cause);
        }
    };
    status(sheet, number(answer.status));
    if answer.is_serving() {
        Ok(())
    } else {
        Err(Cause::new(Reason::Status, format!("the server answers {answer}")))
    }
}

fn status(sheet: &mut Sheet, number: f64) {
    sheet.set("probe_grpc_status_code", "Response gRPC status code", number);
}

fn number(status: RpcStatus) -> f64 {
    f64::from(u8::try_from(status as usize).unwrap_or(u8::MAX))
}
