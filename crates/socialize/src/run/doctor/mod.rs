//! `socialize doctor`: checks all dependencies once and prints remedies. It takes the same settings as
//! `serve` and runs before it.

mod blobs;
mod database;
mod disk;
mod mail;
mod open_files;
mod settings;
mod telemetry;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;

use crate::platform::finding::Finding;
use crate::platform::text::EmailAddress;
use crate::run::config::{DoctorArguments, Mistakes, Settings};

/// At least one check failed.
const EXIT_FAILED: u8 = 1;
/// The configuration has errors, so nothing else could be checked.
const EXIT_MISTAKE: u8 = 2;

/// Checks everything and prints one line for each check as soon as it is done.
///
/// # Errors
/// Fails if standard output cannot be written.
pub async fn run(arguments: &DoctorArguments, variables: &[(String, String)]) -> anyhow::Result<ExitCode> {
    let (settings, send_to) = match checked(arguments, variables) {
        Ok(checked) => checked,
        Err(mistakes) if arguments.json => {
            let mistakes = mistakes.to_string();
            let finding = Finding::failed("configuration", mistakes, "correct the settings that it names");
            print_json(&[finding])?;
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
        Err(mistakes) => return Err(mistakes.into()),
    };
    let mut report = Report { findings: Vec::new(), lines: !arguments.json };
    report.add(Finding::ok("configuration", "every setting is valid"))?;
    for finding in settings::check(&settings, variables) {
        report.add(finding)?;
    }
    report.add(open_files::check(&settings))?;
    let trusts_a_proxy = !settings.listen.trusted_peers.is_empty();
    for finding in database::check(&settings.database, trusts_a_proxy).await {
        report.add(finding)?;
    }
    report.add(blobs::check(&settings.blobs).await)?;
    report.add(mail::check(&settings.mail, &settings.public_url, send_to.as_ref()).await)?;
    for finding in telemetry::check(settings.otlp.as_ref()).await {
        report.add(finding)?;
    }
    for finding in disk::check(&settings).await {
        report.add(finding)?;
    }
    report.end()
}

fn checked(
    arguments: &DoctorArguments,
    variables: &[(String, String)],
) -> Result<(Settings, Option<EmailAddress>), Mistakes> {
    let settings = Settings::check(&arguments.settings, variables);
    let send_to = arguments.send_to.as_deref().map(EmailAddress::parse).transpose();
    match (settings, send_to) {
        (Ok(settings), Ok(send_to)) => Ok((settings, send_to)),
        (settings, send_to) => {
            let mut mistakes = settings.err().unwrap_or_default();
            if let Err(problem) = send_to {
                mistakes.add("--send-to", problem);
            }
            Err(mistakes)
        }
    }
}

/// Findings so far.
struct Report {
    findings: Vec<Finding>,
    /// True if each finding is printed at once.
    lines: bool,
}

impl Report {
    fn add(&mut self, finding: Finding) -> anyhow::Result<()> {
        if self.lines {
            print(&finding.text())?;
        }
        self.findings.push(finding);
        Ok(())
    }

    fn end(self) -> anyhow::Result<ExitCode> {
        let failed = self.findings.iter().filter(|finding| finding.is_failure()).count();
        let warned = self.findings.iter().filter(|finding| finding.is_warning()).count();
        if self.lines {
            print(&match (failed, warned) {
                (0, 0) => "\nEverything is as it should be.".to_owned(),
                (0, warned) => format!("\nNothing failed; warnings: {warned}."),
                (failed, warned) => format!("\nFailed: {failed}; warnings: {warned}."),
            })?;
        } else {
            print_json(&self.findings)?;
        }
        Ok(if failed > 0 { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
    }
}

fn print_json(findings: &[Finding]) -> anyhow::Result<()> {
    let is_healthy = !findings.iter().any(Finding::is_failure);
    let report = serde_json::json!({"healthy": is_healthy, "checks": findings});
    print(&format!("{report:#}"))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").context("standard output cannot be written")?;
    if stdout.is_terminal() { stdout.flush().context("standard output cannot be written") } else { Ok(()) }
}
