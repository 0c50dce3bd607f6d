//! What talks to a target, against targets that answer, refuse, stall and misbehave.
#![cfg(test)]

mod certificate;
mod connect;
mod hostile_http;
mod http;
mod peer;
mod policy;
mod rehearsal;
mod tcp;
mod websocket;
