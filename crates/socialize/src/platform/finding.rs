//! Result of a check.

use serde::Serialize;

/// Result of a check, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    verdict: Verdict,
    /// Observation, without secrets and without text of a peer.
    detail: String,
    /// Remedy of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
    /// Not configured, or impossible after an earlier failure.
    Skipped,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into(), remedy: None }
    }

    pub(crate) fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, detail: detail.into(), remedy: None }
    }

    pub(crate) fn warning(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn failed(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// Turns a failure into a warning; success stays success.
    pub(crate) fn softened(mut self) -> Self {
        if self.verdict == Verdict::Failed {
            self.verdict = Verdict::Warning;
        }
        self
    }

    pub(crate) fn check(&self) -> &'static str {
        self.check
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.verdict == Verdict::Ok
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.verdict == Verdict::Failed
    }

    pub(crate) fn is_warning(&self) -> bool {
        self.verdict == Verdict::Warning
    }

    /// Detail and remedy as one sentence.
    pub(crate) fn sentence(&self) -> String {
        let remedy = self.remedy.as_ref().map(|remedy| format!(": {remedy}")).unwrap_or_default();
        format!("{}{remedy}", self.detail)
    }

    /// One line, with the remedy below it.
    pub(crate) fn text(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        let remedy = self.remedy.as_ref().map(|remedy| format!("\n{:24} → {remedy}", "")).unwrap_or_default();
        format!("{verdict:7}  {:14}  {}{remedy}", self.check, self.detail)
    }
}
