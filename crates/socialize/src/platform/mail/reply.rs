//! Interpretation of a mail server's reply: whose fault a failure is, and whether a retry makes
//! sense.
//!
//! The code alone is ambiguous. 550 at `RCPT` means that a mailbox does not exist. At `MAIL` it means that
//! the account may not send, and with the enhanced code 5.4.5 that the account's quota is used up. So a reply
//! is judged by its stage, its code (RFC 5321) and its enhanced code (RFC 3463), and by the habits of
//! providers where they deviate. The table in `replies.md` is the specification: the test reads it.

use catalogue::labels::SmtpStage;
use telemetry::ErrorType;

use super::undelivered::{Fault, Prospect, Undelivered};

/// A reply other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) enhanced: Option<EnhancedCode>,
}

/// Subject and detail of an enhanced code. Its class is the first digit of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EnhancedCode {
    pub(super) subject: u16,
    pub(super) detail: u16,
}

impl EnhancedCode {
    /// Parses it from the beginning of a reply's text. The rest of the text is ignored.
    pub(super) fn read(text: &str) -> Option<Self> {
        let first = text.split_ascii_whitespace().next()?;
        let mut numbers = first.split('.').map(|digits| {
            let is_number =
                (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { digits.parse::<u16>().ok() } else { None }
        });
        let (class, subject, detail) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let is_failure = matches!(class, 4 | 5) && numbers.next().is_none();
        is_failure.then_some(Self { subject, detail })
    }
}

pub(super) fn judge(stage: SmtpStage, reply: Reply) -> Undelivered {
    let (fault, prospect, error_type) = match stage {
        SmtpStage::Connect => match is_permanent(reply) {
            true => needs_change(ErrorType::Rejected),
            false => passing(ErrorType::Unavailable),
        },
        SmtpStage::Authenticate => match is_permanent(reply) {
            true => needs_change(ErrorType::AuthenticationFailed),
            false => passing(ErrorType::Unavailable),
        },
        SmtpStage::Sender | SmtpStage::Recipient | SmtpStage::Message => by_code(stage, reply),
    };
    Undelivered {
        stage: Some(stage),
        code: Some(reply.code),
        ..Undelivered::new(fault, prospect, error_type)
    }
}

type Verdict = (Fault, Prospect, ErrorType);

/// A temporary failure of the sender.
fn passing(error_type: ErrorType) -> Verdict {
    (Fault::Ours, Prospect::Passing, error_type)
}

/// A failure of the sender that persists until something is changed.
fn needs_change(error_type: ErrorType) -> Verdict {
    (Fault::Ours, Prospect::NeedsChange, error_type)
}

/// A failure of the sender, temporary or permanent by the class of the code.
fn ours(reply: Reply, error_type: ErrorType) -> Verdict {
    if is_permanent(reply) { needs_change(error_type) } else { passing(error_type) }
}

/// A failure on the recipient's side, temporary or permanent.
fn recipients(reply: Reply, error_type: ErrorType) -> Verdict {
    let prospect = if is_permanent(reply) { Prospect::Never } else { Prospect::Greylisting };
    (Fault::Recipient, prospect, error_type)
}

fn is_permanent(reply: Reply) -> bool {
    reply.code >= 500
}

fn by_code(stage: SmtpStage, reply: Reply) -> Verdict {
    match reply.code {
        // The server is about to close the connection: it is busy, or it receives too much.
        421 => passing(match reply.enhanced {
            Some(EnhancedCode { subject: 7, .. } | EnhancedCode { subject: 4, detail: 5 }) => {
                ErrorType::RateLimited
            }
            _ => ErrorType::Unavailable,
        }),
        // After the log-in, Amazon SES uses this for exceeded rates and quotas.
        454 => passing(ErrorType::RateLimited),
        530 | 534 | 535 | 538 => needs_change(ErrorType::AuthenticationFailed),
        _ => match reply.enhanced.and_then(|enhanced| by_enhanced_code(stage, reply, enhanced)) {
            Some(verdict) => verdict,
            None => by_plain_code(stage, reply),
        },
    }
}

/// Judges an enhanced code. Subjects of RFC 3463: 1 addresses, 2 mailboxes, 3 the mail system, 4
/// the network and routing, 5 the protocol, 6 content, 7 policy.
fn by_enhanced_code(stage: SmtpStage, reply: Reply, enhanced: EnhancedCode) -> Option<Verdict> {
    let is_about_sender = stage == SmtpStage::Sender;
    Some(match (enhanced.subject, enhanced.detail) {
        // The sender's address.
        (1, 7 | 8) => ours(reply, ErrorType::PermissionDenied),
        // Exchange Online: the account has sent to too many recipients today.
        (1, 90) => ours(reply, ErrorType::RateLimited),
        (1, _) if is_about_sender => ours(reply, ErrorType::PermissionDenied),
        (1, _) => recipients(reply, ErrorType::Rejected),
        // Exchange Online: the account may not send as this sender.
        (2, 252) => ours(reply, ErrorType::PermissionDenied),
        (2, _) if is_about_sender => ours(reply, ErrorType::StorageFull),
        (2, 2) => recipients(reply, ErrorType::StorageFull),
        (2, _) if is_permanent(reply) => recipients(reply, ErrorType::Rejected),
        (2, _) => recipients(reply, ErrorType::Unavailable),
        (3, 1) => ours(reply, ErrorType::StorageFull),
        // The message is too large.
        (3, 4) => of_content(reply),
        (3, _) => ours(reply, ErrorType::Unavailable),
        // Gmail's daily quota, and any server that is congested.
        (4, 5) => ours(reply, ErrorType::RateLimited),
        (4, 1 | 3 | 4 | 6 | 7) if stage == SmtpStage::Recipient => recipients(reply, ErrorType::Unavailable),
        (4, _) => ours(reply, ErrorType::Unavailable),
        // Too many recipients, although every e-mail has only one.
        (5, 3) => ours(reply, ErrorType::RateLimited),
        (5, _) => ours(reply, ErrorType::Protocol),
        // The address contains letters that a server on the way does not support.
        (6, 7) => recipients(reply, ErrorType::Rejected),
        (6, _) => of_content(reply),
        (7, _) if is_permanent(reply) => needs_change(ErrorType::PermissionDenied),
        (7, _) if is_about_sender => passing(ErrorType::RateLimited),
        (7, _) => (Fault::Ours, Prospect::Greylisting, ErrorType::Unavailable),
        _ => return None,
    })
}

/// A failure because of the contents, which are the same in every attempt.
fn of_content(reply: Reply) -> Verdict {
    let prospect = if is_permanent(reply) { Prospect::Never } else { Prospect::Passing };
    (Fault::Ours, prospect, ErrorType::Rejected)
}

fn by_plain_code(stage: SmtpStage, reply: Reply) -> Verdict {
    use SmtpStage::{Message, Recipient, Sender};
    match (stage, reply.code) {
        (Recipient, 450) => recipients(reply, ErrorType::Unavailable),
        (_, 452) => passing(ErrorType::StorageFull),
        (Recipient | Message, 400..500) => (Fault::Ours, Prospect::Greylisting, ErrorType::Unavailable),
        (Recipient, 550 | 551 | 553) => recipients(reply, ErrorType::Rejected),
        (Recipient, 552) => recipients(reply, ErrorType::StorageFull),
        (Message, 552) => of_content(reply),
        (Sender, 552) => needs_change(ErrorType::StorageFull),
        (Sender, 500..) => needs_change(ErrorType::PermissionDenied),
        (_, 500..) => needs_change(ErrorType::Rejected),
        _ => passing(ErrorType::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::ClosedSet;

    const REPLIES: &str = include_str!("replies.md");

    /// Returns the rows of the table: stage, reply, party at fault, consequence for the e-mail,
    /// `error.cause`.
    fn rows() -> Vec<[&'static str; 5]> {
        let (_, table) = REPLIES.split_once("| stage | reply |").expect("the table of replies");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells = |line: &'static str| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            [cells[0], cells[1], cells[2], cells[3], cells[4]]
        };
        rows.map(cells).collect()
    }

    fn stage(text: &str) -> SmtpStage {
        let named = SmtpStage::ALL.iter().find(|stage| format!("`{}`", stage.as_str()) == text);
        *named.unwrap_or_else(|| panic!("{text} is no stage"))
    }

    fn reply(text: &str) -> Reply {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        Reply { code: code.parse().expect("a code"), enhanced: EnhancedCode::read(rest) }
    }

    fn becomes(prospect: Prospect) -> &'static str {
        match prospect {
            Prospect::Passing => "tried again, delayed after a minute",
            Prospect::Greylisting => "tried again, delayed after ten minutes",
            Prospect::NeedsChange => "tried again, delayed at once",
            Prospect::Never => "given up",
        }
    }

    #[test]
    fn replies_mean_what_the_document_says() {
        let mut seen = Vec::new();
        for [at, replies, whose, what, cause] in rows() {
            for text in replies.split(',').map(|text| text.trim().trim_matches('`')) {
                let judged = judge(stage(at), reply(text));
                let (fault, becomes) = match judged.fault {
                    Fault::Ours => ("ours", becomes(judged.prospect)),
                    Fault::Recipient if judged.prospect == Prospect::Never => ("recipient's", "rejected"),
                    Fault::Recipient => ("recipient's", "tried again, rejected after a day"),
                };
                let cause_of = format!("`{}`", judged.error_type.as_str());
                assert_eq!((fault, becomes, cause_of.as_str()), (whose, what, cause), "{text} at {at}");
                seen.push(stage(at));
            }
        }
        for stage in SmtpStage::ALL {
            assert!(seen.contains(stage), "the table says nothing of {}", stage.as_str());
        }
    }

    #[test]
    fn an_enhanced_code_stands_at_the_beginning_or_nowhere() {
        let read = |text| EnhancedCode::read(text).map(|code| (code.subject, code.detail));
        assert_eq!(read("5.1.1 <ada@example.com> unknown"), Some((1, 1)));
        assert_eq!(read("4.7.705"), Some((7, 705)));
        for none in
            ["", "no such user 5.1.1", "2.1.5 fine", "5.1", "5.1.1.1", "5.1.x", "5..1", "5.1.1000", "5.1.-1"]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
