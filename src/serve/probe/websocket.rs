//! A module's upgrade, and what is said then.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use super::choose::{choose, host_and_port};
use super::sheet::{Sheet, truth};
use super::{Attempt, failed, secured, trace};
use crate::probe::websocket::{Act, Check, Exchange, Frame, Receive, Request, Session};
use crate::sample::{Cause, Reason};
use crate::serve::blackbox::{Turn, WebSocket};

/// Makes one attempt.
pub(super) async fn attempt(module: &WebSocket, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    status(sheet, 0.0);
    upgraded(sheet, false);
    unmatched(sheet, false);
    let url = Url::parse(at.target).map_err(|error| failed(format!("`{}`: {error}", at.target)))?;
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(failed(format!("`{url}` begins neither with `ws://` nor with `wss://`")));
    }
    let (host, port) = host_and_port(&url)?;
    let mut request = Request::new(url, Vec::new());
    request.options = at.options();
    request.options.tls = module.tls.options().await.map_err(|why| failed(why.to_string()))?;
    request.options.address = Some(choose(&host, port, module.preference, at, sheet).await.address?);
    request.headers = headers(module).await?;
    trace(&mut request.headers, sheet);
    let tls = request.options.tls.clone();
    let (exchange, session) = Session::open(&request, &at.deadline).await;
    status(sheet, exchange.status.map_or(0.0, |status| f64::from(status.as_u16())));
    secured::show(&exchange.chain, None, &tls, sheet).await;
    let Exchange { result, .. } = exchange;
    result.map_err(|failure| failure.cause)?;
    let Some(mut session) = session else { return Err(failed("the connection is gone".to_owned())) };
    upgraded(sheet, true);
    for turn in &module.turns {
        if let Err(cause) = take(&mut session, turn, at, sheet).await {
            unmatched(sheet, true);
            return Err(cause);
        }
    }
    Ok(())
}

async fn headers(module: &WebSocket) -> Result<HeaderMap, Cause> {
    let mut headers = HeaderMap::new();
    for (name, value) in &module.headers {
        let value = value.get().await.map_err(|why| failed(why.to_string()))?;
        let value =
            HeaderValue::from_str(value.expose()).map_err(|why| failed(format!("`{name}`: {why}")))?;
        headers.append(name, value);
    }
    if let Some(value) = module.auth.header().await.map_err(|why| failed(why.to_string()))? {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Waits for the message that a turn expects, the next one, and says what it says.
async fn take(session: &mut Session, turn: &Turn, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    let mut send = turn.send.clone();
    if let Some(pattern) = &turn.expect {
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (wanted, kept) = (pattern.clone(), Arc::clone(&heard));
        let matching = Check::new(move |frame: &Frame| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = frame.bytes().to_vec();
            let why = || Cause::new(Reason::Body, format!("the message does not match `{wanted}`"));
            wanted.is_match(frame.bytes()).then_some(()).ok_or_else(why)
        });
        let receive = Receive { matching, count: NonZeroU64::MIN, skip: false, within: None };
        session.perform(&Act::Receive(receive), &at.deadline).await?;
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sheet.say(format!("heard `{}`", String::from_utf8_lossy(&heard)));
        let filled = pattern.expand(&heard, &turn.send).unwrap_or_default();
        send = String::from_utf8_lossy(&filled).into_owned();
    }
    if !send.is_empty() {
        sheet.say(format!("says `{send}`"));
        session.perform(&Act::Send(Frame::Text(send)), &at.deadline).await?;
    }
    Ok(())
}

fn status(sheet: &mut Sheet, number: f64) {
    sheet.set("probe_websocket_status_code", "Response HTTP status code", number);
}

fn upgraded(sheet: &mut Sheet, so: bool) {
    let help = "Indicates if the websocket connection was successfully upgraded";
    sheet.set("probe_websocket_connection_upgraded", help, truth(so));
}

fn unmatched(sheet: &mut Sheet, so: bool) {
    sheet.set("probe_websocket_failed_due_to_regex", "Indicates if probe failed due to regex", truth(so));
}
