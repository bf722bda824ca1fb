//! Settings of e-mail.

use std::path::PathBuf;

use clap::Args;
use lettre::message::Mailbox;
use url::Url;

use super::check::Mistakes;
use crate::platform::mail::{MailSettings, MailTransport, SmtpEncryption, SmtpSettings, SmtpTimeouts};
use crate::platform::settings::{FileContent, file_content};

const URL: &str = "SOCIALIZE_SMTP_URL";
const DIRECTORY: &str = "SOCIALIZE_MAIL_DIRECTORY";
const FROM: &str = "SOCIALIZE_MAIL_FROM";
const USERNAME: &str = "SOCIALIZE_SMTP_USERNAME";
const PASSWORD: &str = "SOCIALIZE_SMTP_PASSWORD";

/// Settings of e-mail, as they are given.
#[derive(Args)]
pub(super) struct MailArguments {
    /// Mail server: smtps://HOST, or smtp://HOST, which requires STARTTLS; add ?tls=none only for a
    /// server on this machine
    #[arg(long, value_name = "URL", env = "SOCIALIZE_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// User name for the mail server
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_SMTP_USERNAME")]
    smtp_username: Option<String>,
    /// File with the password for the mail server. The password itself may be given in
    /// SOCIALIZE_SMTP_PASSWORD instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_PASSWORD_FILE")]
    smtp_password_file: Option<String>,
    /// PEM file with additional trusted certificates for the mail server, besides those that the
    /// machine trusts
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_CA_FILE", value_parser = file_content)]
    smtp_ca_file: Option<FileContent>,
    /// Write e-mails into this directory instead of sending them
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_MAIL_DIRECTORY")]
    mail_directory: Option<String>,
    /// Sender of e-mails, e.g. "Socialize <socialize@example.com>" (required by serve and work)
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_MAIL_FROM")]
    mail_from: Option<String>,
}

/// Checks the settings. `password` is the one from the environment.
pub(super) fn mail(
    mistakes: &mut Mistakes,
    arguments: &MailArguments,
    password: Option<String>,
) -> Option<MailSettings> {
    let from = from(mistakes, arguments.mail_from.as_deref());
    let transport = match (&arguments.smtp_url, &arguments.mail_directory) {
        (Some(url), None) => smtp(mistakes, arguments, url, password).map(MailTransport::Smtp),
        (None, Some(directory)) => Some(MailTransport::Directory(PathBuf::from(directory))),
        (Some(_), Some(_)) => {
            mistakes.add(URL, format!("is given as well as {DIRECTORY}: remove one of them"));
            None
        }
        (None, None) => {
            let right = format!("is required, e.g. smtps://mail.example.com, or else {DIRECTORY}");
            mistakes.add(URL, right);
            None
        }
    };
    from.zip(transport).map(|(from, transport)| MailSettings { from, transport })
}

fn from(mistakes: &mut Mistakes, value: Option<&str>) -> Option<Mailbox> {
    let right = "e.g. \"Socialize <socialize@example.com>\"";
    let Some(value) = value else {
        mistakes.add(FROM, format!("is required, {right}"));
        return None;
    };
    let from = value.parse().ok();
    if from.is_none() {
        mistakes.add(FROM, format!("{value:?} is not an address, {right}"));
    }
    from
}

fn smtp(
    mistakes: &mut Mistakes,
    arguments: &MailArguments,
    url: &str,
    password: Option<String>,
) -> Option<SmtpSettings> {
    let password = mistakes.secret(PASSWORD, password.as_deref(), arguments.smtp_password_file.as_deref());
    let credentials = match (&arguments.smtp_username, password) {
        (Some(name), Some(password)) => Some((name.clone(), password)),
        (None, None) => None,
        (Some(_), None) => {
            mistakes.add(PASSWORD, format!("is required where {USERNAME} is given"));
            None
        }
        (None, Some(_)) => {
            mistakes.add(USERNAME, format!("is required where {PASSWORD} is given"));
            None
        }
    };
    let extra_root_certificates = arguments.smtp_ca_file.clone();
    // Do not quote the URL, which may contain a password.
    let Some((host, port, encryption)) = server(url) else {
        let right = "is none of smtps://HOST, smtp://HOST (which requires STARTTLS) and smtp://HOST?tls=none, each \
                     with or without a port";
        mistakes.add(URL, format!("{right}; name and password belong into {USERNAME} and {PASSWORD}"));
        return None;
    };
    let timeouts = SmtpTimeouts::default();
    Some(SmtpSettings { host, port, encryption, credentials, extra_root_certificates, timeouts })
}

fn server(url: &str) -> Option<(String, u16, SmtpEncryption)> {
    let url = Url::parse(url).ok()?;
    let (encryption, default_port) = match (url.scheme(), url.query()) {
        ("smtps", None) => (SmtpEncryption::Tls, 465),
        ("smtp", None) => (SmtpEncryption::StartTls, 587),
        ("smtp", Some("tls=none")) => (SmtpEncryption::None, 25),
        _ => return None,
    };
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.fragment().is_none();
    // An IPv6 address has brackets in a URL and nowhere else.
    let host = url.host_str().filter(|host| is_bare && !host.is_empty())?.trim_matches(['[', ']']);
    Some((host.to_owned(), url.port().unwrap_or(default_port), encryption))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_how_the_connection_is_encrypted() {
        let server = |url: &str| server(url);
        let some = |host: &str, port, encryption| Some((host.to_owned(), port, encryption));
        assert_eq!(server("smtps://mail.example.com"), some("mail.example.com", 465, SmtpEncryption::Tls));
        assert_eq!(
            server("smtp://mail.example.com"),
            some("mail.example.com", 587, SmtpEncryption::StartTls)
        );
        assert_eq!(server("smtp://localhost:1025?tls=none"), some("localhost", 1025, SmtpEncryption::None));
        assert_eq!(server("smtp://[::1]:25/?tls=none"), some("::1", 25, SmtpEncryption::None));
        for wrong in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://mail.example.com?tls=maybe",
            "smtps://mail.example.com?tls=none",
            "smtp://name:password@mail.example.com",
            "smtp://mail.example.com/inbox",
            "",
        ] {
            assert_eq!(server(wrong), None, "{wrong}");
        }
    }
}
