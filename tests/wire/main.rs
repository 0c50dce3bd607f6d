//! What talks to a target, against targets that answer, refuse, stall and misbehave.
#![cfg(test)]

mod certificate;
mod connect;
mod dns;
mod fast_path;
mod grpc;
mod hostile_http;
mod http;
mod icmp;
mod logs;
mod peer;
mod policy;
mod promql;
mod rehearsal;
mod tcp;
mod tls;
mod websocket;
