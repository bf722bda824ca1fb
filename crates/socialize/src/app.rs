//! What every handler has at hand.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use domain::labels::Dependency;
use domain::signals::Signals;
use telemetry::Telemetry;
use telemetry::health::{Health, Readiness};
use url::Url;

use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::database::Database;
use crate::gauges::GaugeSignals;
use crate::mail::Mail;
use crate::outbound::Outbound;
use crate::passwords::{PasswordHashing, Passwords};
use crate::queue::JobSignals;
use crate::quotas::QuotaSettings;
use crate::rate_limit::{RateLimitSettings, RateLimits};
use crate::schema::Schema;
use crate::token::Tokens;

/// The application's state; cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<AppState>,
}

/// See [`App`].
pub struct AppState {
    /// Everything that handlers need to know of the configuration.
    pub settings: AppSettings,
    /// The database.
    pub database: Database,
    /// Records, instruments and logs.
    pub telemetry: Telemetry,
    /// Business facts.
    pub signals: Signals,
    /// What background work reports.
    pub jobs: JobSignals,
    /// What the database holds, sampled.
    pub gauges: GaugeSignals,
    /// Hands e-mails over.
    pub mail: Mail,
    /// Keeps uploaded files.
    pub blobs: Blobs,
    /// Calls addresses that customers choose.
    pub outbound: Outbound,
    /// The time.
    pub clock: Clock,
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// What the health routes answer from.
    pub health: Health<Dependency>,
    /// Whether the database has the schema of this version.
    pub schema: Schema,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// What may happen only so often.
    pub rate_limits: RateLimits,
}

/// What handlers need to know of the configuration.
#[derive(Clone)]
pub struct AppSettings {
    /// Where users reach Socialize; links in e-mails begin with it.
    pub public_url: Url,
    /// The longest that a request may take.
    pub request_timeout: Duration,
    /// The longest that a body may take to arrive.
    pub body_timeout: Duration,
    /// The longest that an uploaded file may take to arrive.
    pub upload_timeout: Duration,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_peers: Vec<ipnet::IpNet>,
    /// Peers whose `traceparent` is continued. Everybody else's is linked to.
    pub trusted_trace_peers: Vec<ipnet::IpNet>,
    /// How passwords are hashed.
    pub password_hashing: PasswordHashing,
    /// What may happen only so often.
    pub rate_limits: RateLimitSettings,
    /// How much one user or organization may use.
    pub quotas: QuotaSettings,
    /// How long a content item may be in approval before that is too long.
    pub approval_stale_after: Duration,
}

impl AppSettings {
    /// Whether what this peer says about a request's origin is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_peers.iter().any(|network| network.contains(&peer))
    }
}

/// The largest JSON body.
pub const BODY_LIMIT: usize = 64 << 10;

impl App {
    /// Whether requests can be served now.
    pub fn is_ready(&self) -> bool {
        self.health.ready() == Readiness::Ready && self.schema.is_accepted()
    }

    /// Puts the parts together.
    pub fn new(state: AppState) -> Self {
        Self { inner: Arc::new(state) }
    }
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.inner
    }
}
