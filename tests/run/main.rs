//! `firedrill` as a user runs it: files in, an exit code and reports out.
#![cfg(test)]

mod flow;
mod hostile;
mod http;
mod input;
mod load;
mod mutated;
mod peer;
mod report;
mod secret;
mod signal;
mod slow;
mod support;
mod trace;
mod verdict;
mod way;
