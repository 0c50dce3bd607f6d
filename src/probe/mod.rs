//! One attempt against a target: what was sent, what came back, how long each phase took.

pub mod connect;
pub mod cookies;
pub mod exchange;
pub mod http;
pub mod tcp;
pub mod trust;
pub mod websocket;
