//! Mail: read by the sink's other port.

use super::{Vendor, Way, nothing};
use crate::sink::request::{Answer, Request, not_found};

pub(super) const VENDOR: Vendor =
    Vendor { name: "email", section: "email_configs", way: Way::Mail, needs: &[], also: nothing, receive };

/// Mail does not come over HTTP.
fn receive(request: &Request<'_>) -> Answer {
    not_found(request)
}
