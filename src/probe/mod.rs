//! One attempt against a target: what was sent, what came back, how long each phase took.

mod answer;
pub mod attempt;
pub mod certificate;
pub mod connect;
pub mod cookies;
pub mod dns;
pub mod exchange;
mod health;
pub mod http;
pub mod icmp;
mod metrics;
mod reach;
mod request;
mod talk;
pub mod tcp;
pub mod tls;
pub mod trust;
pub mod volley;
pub mod websocket;
