//! Settings of the listeners.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::check::Mistakes;
use crate::platform::settings::{
    HostNames, Networks, TIME_LIMIT, duration, host_names, networks, number, parsed, web_url,
};

/// Minimum number of client connections.
pub(crate) const FEWEST_CONNECTIONS: usize = 16;
const CONNECTIONS: RangeInclusive<u64> = FEWEST_CONNECTIONS as u64..=1_000_000;
/// Longer uploads would be treated as abandoned and deleted.
const UPLOAD_TIME_LIMIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(20);
const ADDRESS: &str = "an address such as 127.0.0.1:8080";

/// Addresses and limits of the listeners.
#[derive(Args)]
pub struct ListenSettings {
    /// Address of the public listener
    #[arg(
        long = "listen",
        value_name = "ADDRESS",
        env = "SOCIALIZE_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    #[arg(value_parser = parsed::<SocketAddr>(ADDRESS))]
    pub public: SocketAddr,
    /// Address of the private operations listener: health details, metrics, log level
    #[arg(long = "operations-listen", value_name = "ADDRESS", env = "SOCIALIZE_OPERATIONS_LISTEN")]
    #[arg(default_value = "127.0.0.1:9464", value_parser = parsed::<SocketAddr>(ADDRESS))]
    pub operations: SocketAddr,
    /// Additional host names of the operations listener, e.g. api,socialize.internal. Requests with
    /// other Host headers are rejected, which protects against web pages; localhost, loopback
    /// addresses and its own address are always accepted [default: none]
    #[arg(long, value_name = "NAMES", env = "SOCIALIZE_OPERATIONS_HOSTS")]
    #[arg(default_value = "", hide_default_value = true, value_parser = host_names)]
    pub operations_hosts: HostNames,
    /// URL at which users reach Socialize; links in e-mails begin with it [default:
    /// http://localhost and the port of --listen]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_PUBLIC_URL", value_parser = web_url)]
    pub(super) public_url: Option<Url>,
    /// Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted, e.g.
    /// 10.0.0.0/8,127.0.0.1 [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_TRUSTED_PEERS")]
    #[arg(default_value = "", hide_default_value = true, value_parser = networks)]
    pub trusted_peers: Networks,
    /// Networks of proxies whose traceparent is continued, so that they choose ids and sampling. Name only
    /// proxies that start traces themselves or remove the client's header; other traces are linked, not
    /// continued [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_TRUSTED_TRACE_PEERS")]
    #[arg(default_value = "", hide_default_value = true, value_parser = networks)]
    pub trusted_trace_peers: Networks,
    /// Maximum duration of a request
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_REQUEST_TIMEOUT", default_value = "15s")]
    #[arg(value_parser = duration(TIME_LIMIT))]
    pub request_timeout: Duration,
    /// Maximum time for a request body to arrive
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_BODY_TIMEOUT", default_value = "10s")]
    #[arg(value_parser = duration(TIME_LIMIT))]
    pub body_timeout: Duration,
    /// Maximum time for an uploaded file to arrive, at most 20m
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_UPLOAD_TIMEOUT", default_value = "5m")]
    #[arg(value_parser = duration(UPLOAD_TIME_LIMIT))]
    pub upload_timeout: Duration,
    /// Maximum number of client connections. For one more, the longest idle one is closed [default:
    /// 2000, or fewer where the limit of open files is low]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_CONNECTIONS")]
    #[arg(value_parser = number::<usize>(CONNECTIONS))]
    pub connections: Option<usize>,
    /// Maximum number of connections of one client network; trusted proxies have no limit of their
    /// own [default: a quarter of all]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_CONNECTIONS_OF_ONE_CLIENT")]
    #[arg(value_parser = number::<usize>(CONNECTIONS))]
    pub connections_of_one_client: Option<usize>,
}

impl ListenSettings {
    /// Reports equal addresses.
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        if self.public == self.operations && self.public.port() != 0 {
            mistakes.add("SOCIALIZE_OPERATIONS_LISTEN", "must differ from SOCIALIZE_LISTEN: it is private");
        }
    }

    /// Returns the URL at which users reach the public listener.
    pub(super) fn public_url(&self) -> Option<Url> {
        let default = || Url::parse(&format!("http://localhost:{}", self.public.port())).ok();
        self.public_url.clone().or_else(default)
    }
}
