//! One attempt against a target: what was sent, what came back, how long each phase took.

mod answer;
pub mod attempt;
pub mod connect;
pub mod cookies;
pub mod exchange;
mod exec;
mod health;
pub mod http;
pub mod kubelet;
mod metrics;
pub mod process;
mod request;
mod talk;
pub mod tcp;
pub mod trust;
pub mod volley;
pub mod websocket;
