//! One attempt against a target: what was sent, what came back, how long each phase took.

mod answer;
pub mod attempt;
pub mod connect;
pub mod cookies;
pub mod deadline;
pub mod exchange;
mod health;
pub mod http;
mod metrics;
pub mod policy;
mod proxy;
mod request;
pub mod resolve;
pub mod stream;
mod talk;
pub mod tcp;
pub mod trust;
pub mod volley;
pub mod websocket;
