//! Names of the dashboards, which links and alerts use.

/// The dashboards by their fixed UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashboardUid {
    /// Health, and progress of users through the core workflows.
    Overview,
    /// Rate, errors and duration of requests.
    Api,
    /// Adoption: the features that customers use.
    Adoption,
    /// Jobs, e-mail, files, publishing, Postgres.
    Background,
    /// Postgres's own statistics, and the host.
    Infrastructure,
    /// Completeness of telemetry itself.
    Telemetry,
    /// The trace and log lines of one request.
    Request,
    /// The runbook section of each alert.
    Runbook,
}

impl DashboardUid {
    /// The UID as in the dashboard's address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "socialize-overview",
            Self::Api => "socialize-api",
            Self::Adoption => "socialize-adoption",
            Self::Background => "socialize-background",
            Self::Infrastructure => "socialize-infrastructure",
            Self::Telemetry => "socialize-telemetry",
            Self::Request => "socialize-request",
            Self::Runbook => "socialize-runbook",
        }
    }
}
