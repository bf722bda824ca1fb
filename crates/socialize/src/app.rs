//! Shared state of all handlers.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use catalogue::labels::Dependency;
use telemetry::Telemetry;
use telemetry::health::{Health, Readiness};
use url::Url;

use crate::platform::blobs::Blobs;
use crate::platform::clock::Clock;
use crate::platform::database::Database;
use crate::platform::database::requirements::Requirements;
use crate::platform::database::schema::Schema;
use crate::platform::gauges::GaugeSignals;
use crate::platform::mail::Mail;
use crate::platform::outbound::Outbound;
use crate::platform::passwords::{PasswordHashing, Passwords};
use crate::platform::quotas::QuotaSettings;
use crate::platform::rate_limit::{RateLimitSettings, RateLimits};
use crate::platform::signals::Signals;
use crate::platform::token::Tokens;
use crate::queue::Queue;

/// The application's state; cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<AppState>,
}

pub struct AppState {
    pub settings: AppSettings,
    pub database: Database,
    pub telemetry: Telemetry,
    /// Counts and logs business facts.
    pub signals: Signals,
    /// Background work.
    pub queue: Queue,
    /// Gauges sampled from the database.
    pub gauges: GaugeSignals,
    pub mail: Mail,
    /// Store of uploaded files.
    pub blobs: Blobs,
    /// Client for addresses that customers choose.
    pub outbound: Outbound,
    pub clock: Clock,
    pub tokens: Tokens,
    /// Results of the health checks, read by the health routes.
    pub health: Health<Dependency>,
    /// State of the requirements on the database.
    pub requirements: Requirements,
    /// State of the database schema relative to this version.
    pub schema: Schema,
    pub passwords: Passwords,
    pub rate_limits: RateLimits,
}

/// Settings that handlers need.
#[derive(Clone)]
pub struct AppSettings {
    /// Address of Socialize for users; links in e-mails begin with it.
    pub public_url: Url,
    /// Maximum duration of a request.
    pub request_timeout: Duration,
    /// Maximum time for a request body to arrive.
    pub body_timeout: Duration,
    /// Maximum time for an uploaded file to arrive.
    pub upload_timeout: Duration,
    /// Peers whose `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` are trusted.
    pub trusted_peers: Vec<ipnet::IpNet>,
    /// Peers whose `traceparent` is continued. Those of all others are linked to.
    pub trusted_trace_peers: Vec<ipnet::IpNet>,
    pub password_hashing: PasswordHashing,
    pub rate_limits: RateLimitSettings,
    /// Quotas of users and organizations.
    pub quotas: QuotaSettings,
    /// Time in approval after which a content item counts as stale.
    pub approval_stale_after: Duration,
}

impl AppSettings {
    /// Returns whether this peer's `X-Forwarded-For` is trusted.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_peers.iter().any(|network| network.contains(&peer))
    }
}

/// Maximum size of a JSON body.
pub const BODY_LIMIT: usize = 64 << 10;

impl App {
    /// Returns whether the process can serve requests now.
    pub fn is_ready(&self) -> bool {
        self.health.ready() == Readiness::Ready && self.requirements.are_met() && self.schema.is_accepted()
    }

    pub fn new(state: AppState) -> Self {
        Self { inner: Arc::new(state) }
    }
}

impl AsRef<Queue> for App {
    fn as_ref(&self) -> &Queue {
        &self.queue
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.inner
    }
}
