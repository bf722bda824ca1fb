//! Every setting of `serve`, `work`, `migrate` and the commands that use the database, in the order of
//! `--help`. Groups that are declared elsewhere belong to the module that uses them.

use clap::Args;

use super::blobs::BlobArguments;
use super::database::DatabaseArguments;
use super::listen::ListenSettings;
use super::log::LogArguments;
use super::mail::MailArguments;
use super::process::ProcessSettings;
use crate::platform::outbound::OutboundSettings;
use crate::platform::passwords::PasswordHashing;
use crate::platform::quotas::QuotaSettings;
use crate::platform::rate_limit::RateLimitSettings;
use crate::platform::settings::number;

/// Settings with their types, before they are checked together.
#[derive(Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub(super) database: DatabaseArguments,

    /// File with the secret that signs tokens; at least 32 characters. The secret itself may be
    /// given in SOCIALIZE_SECRET instead (required by serve and work)
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SECRET_FILE")]
    pub(super) secret_file: Option<String>,

    #[command(flatten)]
    pub(super) listen: ListenSettings,
    /// Maximum number of concurrent uploads; others wait. Each takes up to 5 MiB of memory. One user
    /// may have a quarter of them, one organization half
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_UPLOADS_AT_ONCE", default_value = "16")]
    #[arg(value_parser = number::<usize>(1..=1_024))]
    pub(super) uploads_at_once: usize,
    #[command(flatten)]
    pub(super) rate_limits: RateLimitSettings,
    #[command(flatten)]
    pub(super) quotas: QuotaSettings,
    #[command(flatten)]
    pub(super) password_hashing: PasswordHashing,
    #[command(flatten)]
    pub(super) process: ProcessSettings,
    #[command(flatten)]
    pub(super) mail: MailArguments,
    #[command(flatten)]
    pub(super) blobs: BlobArguments,
    #[command(flatten)]
    pub(super) outbound: OutboundSettings,
    #[command(flatten)]
    pub(super) log: LogArguments,

    /// Name of this deployment in telemetry, e.g. production
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_ENVIRONMENT", default_value = "development")]
    pub(super) environment: String,
}
