//! The constant part of the live view of a run.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Behaviour;

/// Constant part of the view.
#[derive(Clone)]
pub(super) struct About {
    pub version: &'static str,
    pub behaviour: Behaviour,
    pub duration: Option<Duration>,
    pub console_url: Option<String>,
    pub documentation_url: String,
    pub health_url: String,
    pub metrics_url: String,
    pub mail_directory: PathBuf,
    pub log_file: PathBuf,
}
