//! Host names and token that admit a request to the pages.

mod hosts;
mod token;

pub use hosts::OwnHosts;
pub use token::{Token, TokenDigest};

/// Conditions for access to the pages.
pub struct Access {
    /// Accepted host names.
    pub hosts: OwnHosts,
    pub token: TokenDigest,
    /// Name of the cookie. It contains the port, because browsers share cookies among all ports of a host.
    pub cookie: String,
}
