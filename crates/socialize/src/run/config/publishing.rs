//! Settings of publishing.

use super::arguments::ServeArguments;
use super::check::Mistakes;
use crate::platform::outbound::{OutboundSettings, OutboundTimeouts};

pub(super) fn publishing(mistakes: &mut Mistakes, arguments: &ServeArguments) -> OutboundSettings {
    let allowed = arguments.publishing_allowed_networks.as_deref();
    let allowed_networks = mistakes.networks("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", allowed);
    let extra_root_certificates = arguments.publishing_ca_file.as_ref().and_then(|file| {
        let read = std::fs::read(file);
        if let Err(error) = &read {
            mistakes.add("SOCIALIZE_PUBLISHING_CA_FILE", format!("{file} cannot be read: {}", error.kind()));
        }
        read.ok()
    });
    let sends_trace_context = mistakes.parse(
        "SOCIALIZE_PUBLISHING_TRACE_CONTEXT",
        arguments.publishing_trace_context.as_deref(),
        false,
        "true or false",
    );
    let timeouts = OutboundTimeouts::default();
    OutboundSettings { allowed_networks, extra_root_certificates, sends_trace_context, timeouts }
}
