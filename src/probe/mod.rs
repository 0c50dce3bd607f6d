//! One attempt against a target: what was sent, what came back, how long each phase took.

mod answer;
pub mod attempt;
pub mod certificate;
pub mod connect;
pub mod cookies;
pub mod deadline;
pub mod dns;
pub mod exchange;
mod exec;
mod health;
pub mod http;
pub mod icmp;
pub mod kubelet;
mod metrics;
pub mod policy;
pub mod process;
mod proxy;
mod reach;
mod request;
pub mod resolve;
pub mod stream;
mod talk;
pub mod tcp;
pub mod tls;
pub mod trust;
pub mod volley;
pub mod websocket;
