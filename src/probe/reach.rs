//! From a host to the one address that is asked, for probes that do not open a stream.

use std::net::SocketAddr;

use super::connect::{Authority, Deadline, resolve, timed};
use super::policy::Policy;
use crate::sample::{Cause, Phase, Phases, Reason};

/// The first address of `to`, in resolver order, where the policy leaves it open; a literal one is not resolved.
pub(super) async fn address(
    to: &Authority,
    policy: &Policy,
    deadline: &Deadline,
    phases: &mut Phases,
) -> Result<SocketAddr, Cause> {
    let address = if let Some(literal) = to.literal() {
        literal
    } else {
        let addresses = timed(phases, Phase::Resolve, deadline, resolve(to)).await?;
        let first = addresses.first().copied();
        first.ok_or_else(|| Cause::new(Reason::Dns, format!("`{}` has no address", to.host)))?
    };
    policy.check(address.ip()).map(|()| address)
}
