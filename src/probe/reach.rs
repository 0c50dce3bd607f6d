//! From a host to the one address that is asked, for probes that do not open a stream.

use std::net::SocketAddr;

use super::connect::{Authority, Deadline, resolve, timed};
use super::policy::Policy;
use crate::sample::{Cause, Phase, Phases, Reason};

/// The first address of `to`, in resolver order; a literal one is not resolved.
pub(super) async fn address(
    to: &Authority,
    policy: &Policy,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Result<SocketAddr, Cause> {
    if let Some(literal) = to.literal() {
        policy.check(literal.ip())?;
        return Ok(literal);
    }
    let addresses = timed(phases, Phase::Resolve, deadline, resolve(to)).await?;
    let first = addresses.first().copied();
    let first = first.ok_or_else(|| Cause::new(Reason::Dns, format!("`{}` has no address", to.host)))?;
    policy.check(first.ip())?;
    Ok(first)
}
