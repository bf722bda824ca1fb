//! Check of the mail server, up to the point at which it would accept an e-mail. An e-mail is sent
//! only on request.

use catalogue::labels::EmailTemplate;
use domain::ids::JobId;
use telemetry::{ClosedSet, ErrorType, Telemetry, TelemetrySettings};
use url::Url;
use uuid::Uuid;

use crate::platform::clock::Clock;
use crate::platform::finding::Finding;
use crate::platform::mail::{
    Content, Fault, Letter, Mail, MailSettings, MailTransport, Prospect, Undelivered,
};
use crate::platform::text::EmailAddress;

const MAIL: &str = "mail";

/// Checks the mail server, and sends a test e-mail if there is a recipient.
pub(super) async fn check(
    settings: &MailSettings,
    public_url: &Url,
    send_to: Option<&EmailAddress>,
) -> Finding {
    let mail = match Mail::new(settings.clone(), &Telemetry::new(TelemetrySettings::default())) {
        Ok(mail) => mail,
        Err(error) => {
            return Finding::failed(
                MAIL,
                error.to_string(),
                "correct the setting, or the rights of the directory",
            );
        }
    };
    let peer = match &settings.transport {
        MailTransport::Smtp(smtp) => format!("the mail server at port {}", smtp.port),
        MailTransport::Directory(path) => format!("the directory {}", path.display()),
    };
    if let Err(error_type) = mail.check().await {
        return Finding::failed(MAIL, format!("{peer}: {}", error_type.as_str()), remedy(error_type));
    }
    let Some(recipient) = send_to else {
        return Finding::ok(
            MAIL,
            format!("{peer} is ready; no e-mail was sent (--send-to ADDRESS sends one)"),
        );
    };
    match send_test(&mail, public_url, recipient).await {
        Ok(()) => Finding::ok(MAIL, format!("{peer} took a test e-mail")),
        Err(failure) => {
            let mut detail = format!("{peer} does not take a test e-mail: {}", failure.error_type.as_str());
            if let (Some(stage), Some(code)) = (failure.stage, failure.code) {
                detail.push_str(&format!(" (reply {code} at the stage {})", stage.as_str()));
            }
            let remedy = match failure.fault {
                Fault::Ours => {
                    "see the mail server's log: it may refuse SOCIALIZE_MAIL_FROM, or the account has reached a limit"
                }
                Fault::Recipient => "look at the address, or send the test e-mail to another one",
            };
            Finding::failed(MAIL, detail, remedy)
        }
    }
}

async fn send_test(mail: &Mail, public_url: &Url, recipient: &EmailAddress) -> Result<(), Undelivered> {
    let failure = |error_type| Undelivered::new(Fault::Ours, Prospect::Never, error_type);
    let content = Content::test(public_url.to_string());
    let letter = Letter {
        job: JobId::from(Uuid::now_v7()),
        template: EmailTemplate::Test,
        date: Clock::default().now(),
        recipient: recipient.as_str().to_owned(),
        subject: content.subject,
        text: content.text().map_err(failure)?,
        html: content.html().map_err(failure)?,
    };
    mail.deliver(&letter).await
}

fn remedy(error_type: ErrorType) -> &'static str {
    match error_type {
        ErrorType::AuthenticationFailed => "correct SOCIALIZE_SMTP_USERNAME and SOCIALIZE_SMTP_PASSWORD",
        ErrorType::TlsFailure => {
            "use smtps:// for TLS from the first byte and smtp:// for STARTTLS; name a private authority in \
             SOCIALIZE_SMTP_CA_FILE"
        }
        ErrorType::ConnectionRefused | ErrorType::DnsFailure => "correct host and port in SOCIALIZE_SMTP_URL",
        ErrorType::Timeout => "see whether a firewall drops the connection: providers often close port 25",
        ErrorType::PermissionDenied | ErrorType::NotFound | ErrorType::StorageFull => {
            "let Socialize write into SOCIALIZE_MAIL_DIRECTORY"
        }
        _ => "read the mail server's log",
    }
}
