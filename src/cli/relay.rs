//! `firedrill relay`: the relay of stacks by itself, between a port and a service.

use std::io::Write as _;
use std::net::SocketAddr;

use clap::Args;

use super::runtime;
use crate::exit::Exit;
use crate::fault::relay::Relay;

/// Arguments of `relay`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", help_heading = "Run")]
    listen: SocketAddr,

    /// Where what comes is handed on to
    #[arg(long, value_name = "ADDRESS", help_heading = "Run")]
    to: SocketAddr,
}

pub(super) fn execute(arguments: &Arguments) -> std::io::Result<Exit> {
    runtime()?.block_on(async {
        // Before anybody can read that it listens, and stop it.
        let signalled = super::run::signalled();
        let relay = match Relay::start(arguments.listen, arguments.to, rand::random()).await {
            Ok(relay) => relay,
            Err(error) => {
                writeln!(std::io::stderr(), "error: cannot listen on {}: {error}", arguments.listen)?;
                return Ok(Exit::NotMeasured);
            }
        };
        writeln!(std::io::stdout(), "{} is handed on to {}", relay.address(), arguments.to)?;
        signalled.await;
        relay.close().await;
        Ok(Exit::Pass)
    })
}
