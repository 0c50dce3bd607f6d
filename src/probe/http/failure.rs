//! Which reason an HTTP engine's error is.

use std::error::Error;
use std::io;

use crate::sample::{Cause, Reason};

/// The cause behind `error`, with everything it says about itself.
pub(super) fn explain(error: &hyper::Error) -> Cause {
    let reason = if error.is_parse_too_large() {
        Reason::Limit
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Reason::Closed
    } else {
        sources(error).find_map(reason_of).unwrap_or(Reason::Protocol)
    };
    let mut message = error.to_string();
    for source in sources(error).skip(1).map(ToString::to_string) {
        if !message.ends_with(&source) {
            message = format!("{message}: {source}");
        }
    }
    Cause::new(reason, message)
}

/// `error` and everything under it.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn reason_of(error: &(dyn Error + 'static)) -> Option<Reason> {
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return reason_of_stream(error);
    }
    if error.is::<rustls::Error>() {
        return Some(Reason::Tls);
    }
    let error = error.downcast_ref::<io::Error>()?;
    if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) {
        return Some(Reason::Tls);
    }
    // What the kernel reports ended the connection; other kinds are the engine's own complaints.
    let ended = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe);
    (ended || error.raw_os_error().is_some()).then_some(Reason::Closed)
}

/// What the peer ended is closed; what we had to end is a breach of protocol, or too much.
fn reason_of_stream(error: &h2::Error) -> Option<Reason> {
    if error.is_remote() {
        return Some(Reason::Closed);
    }
    match error.reason() {
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(Reason::Limit),
        Some(_) => Some(Reason::Protocol),
        None => error.get_io().and_then(|error| reason_of(error)),
    }
}
