//! From a host to the one address that is asked, for probes that do not open a stream.

use std::net::SocketAddr;

use super::connect::{Authority, Deadline, Options, addresses};
use crate::sample::{Cause, Phases, Reason};

/// The first address of `to`, in resolver order, where the policy leaves it open; a literal one is not resolved.
pub(super) async fn address(
    to: &Authority,
    options: &Options,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Result<SocketAddr, Cause> {
    let found = addresses(to, options, deadline, phases).await?;
    let first = found.first().copied();
    let address = first.ok_or_else(|| Cause::new(Reason::Dns, format!("`{}` has no address", to.host)))?;
    options.policy.check(address.ip()).map(|()| address)
}
