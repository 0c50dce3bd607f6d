//! stub
pub mod window;
