//! Contents of e-mails. Each is written once, and rendered as text and as HTML from the files in
//! `templates/`.

use askama::Template;
use chrono::{DateTime, Utc};
use domain::vocabulary::{Decision, WorkspaceRole};
use telemetry::{ClosedSet, ErrorType};

use crate::platform::text::can_be_shown;

/// The content of an e-mail: an opening paragraph, optional quotations, one link, and a closing paragraph.
/// Other people's text appears only in quotations, each after a label that describes it.
pub struct Content {
    /// Never contains a customer's text, because it becomes a header.
    pub subject: &'static str,
    opening: &'static str,
    quotes: Vec<Quote>,
    /// Label of the link.
    action: &'static str,
    link: String,
    closing: String,
}

/// A text that another person wrote.
struct Quote {
    /// Description of the text.
    label: &'static str,
    text: String,
}

/// Replaces a text that cannot be shown.
const NOT_SHOWN: &str = "(not shown here, because it contains a link or characters that cannot be seen)";

impl Quote {
    /// Replaces texts that a mail program would turn into a link, or that hide or reorder the text
    /// around them. New names with such text are rejected, but old ones may exist; titles may
    /// legitimately contain links.
    fn of(label: &'static str, text: &str) -> Self {
        Self { label, text: if can_be_shown(text) { text } else { NOT_SHOWN }.to_owned() }
    }
}

#[derive(Template)]
#[template(path = "email.txt")]
struct TextTemplate<'a> {
    opening: &'a str,
    quotes: &'a [Quote],
    action: &'a str,
    link: &'a str,
    closing: &'a str,
}

#[derive(Template)]
#[template(path = "email.html")]
struct HtmlTemplate<'a> {
    opening: &'a str,
    quotes: &'a [Quote],
    action: &'a str,
    link: &'a str,
    closing: &'a str,
}

impl Content {
    /// Asks a new user to confirm the address. It does not contain the name: otherwise anybody could register
    /// a foreign address and have arbitrary text sent to it.
    pub fn verify_email(link: String) -> Self {
        Self {
            subject: "Please confirm your e-mail address",
            opening: "welcome to Socialize. Please confirm that this is your e-mail address.",
            quotes: Vec::new(),
            action: "Confirm this address",
            link,
            closing: "If you did not register, ignore this e-mail.".to_owned(),
        }
    }

    /// Shows an operator that e-mails arrive.
    pub fn test(link: String) -> Self {
        Self {
            subject: "Socialize can send e-mails",
            opening: "this is the test e-mail that `socialize doctor` was asked to send.",
            quotes: Vec::new(),
            action: "This is where users reach Socialize",
            link,
            closing: "There is nothing to do.".to_owned(),
        }
    }

    /// Tells the owner of an address that somebody tried to register it again.
    pub fn already_registered(link: String) -> Self {
        Self {
            subject: "You have an account already",
            opening: "somebody tried to register your e-mail address with Socialize, where you have an account \
                      already.",
            quotes: Vec::new(),
            action: "Log in, or ask for a new password",
            link,
            closing: "If it was not you, there is nothing to do: nobody got in, and nothing has changed."
                .to_owned(),
        }
    }

    /// Carries the link that sets a new password.
    pub fn reset_password(link: String) -> Self {
        Self {
            subject: "Set a new password",
            opening: "somebody, probably you, asked to set a new password for your account on Socialize.",
            quotes: Vec::new(),
            action: "Set a new password",
            link,
            closing: "If it was not you, ignore this e-mail: your password stays as it is.".to_owned(),
        }
    }

    /// Invites somebody into a workspace.
    pub fn workspace_invite(
        inviter: &str,
        role: WorkspaceRole,
        workspace: &str,
        organization: &str,
        expires_at: DateTime<Utc>,
        link: String,
    ) -> Self {
        let expires = expires_at.format("%-d %B %Y, %H:%M");
        Self {
            subject: "You are invited to a workspace",
            opening: "somebody invites you to a workspace on Socialize, where teams get posts approved. They call \
                      themselves and the workspace:",
            quotes: vec![
                Quote::of("Invited by", inviter),
                Quote::of("Workspace", workspace),
                Quote::of("Organization", organization),
                Quote::of("Your role", role.as_str()),
            ],
            action: "Accept the invitation",
            link,
            closing: format!(
                "The invitation is valid until {expires} UTC. If you do not know who this is, ignore this e-mail."
            ),
        }
    }

    /// Asks a reviewer for a decision.
    pub fn approval_requested(workspace: &str, title: &str, link: String) -> Self {
        Self {
            subject: "A post waits for your decision",
            opening: "a post waits for your decision:",
            quotes: post(workspace, title),
            action: "Read it and decide",
            link,
            closing: "You get this e-mail because you are a reviewer in the workspace.".to_owned(),
        }
    }

    /// Reminds a reviewer of a decision that was requested long ago.
    pub fn approval_reminder(workspace: &str, title: &str, link: String) -> Self {
        Self {
            subject: "A post still waits for your decision",
            opening: "a post has been waiting for your decision for a while:",
            quotes: post(workspace, title),
            action: "Read it and decide",
            link,
            closing:
                "You get this e-mail, at most once a day for each post, because you are a reviewer in the workspace."
                    .to_owned(),
        }
    }

    /// Tells an author the reviewers' decision.
    pub fn approval_decided(workspace: &str, title: &str, decision: Decision, link: String) -> Self {
        let (subject, opening) = match decision {
            Decision::Approve => ("Your post was approved", "a reviewer approved your post:"),
            Decision::RequestChanges => {
                ("Changes to your post are requested", "a reviewer asks for changes to your post:")
            }
            Decision::Reject => ("Your post was rejected", "a reviewer rejected your post:"),
        };
        Self {
            subject,
            opening,
            quotes: post(workspace, title),
            action: "See the post",
            link,
            closing: "You get this e-mail because you wrote the post.".to_owned(),
        }
    }

    /// Renders the plain text.
    ///
    /// # Errors
    /// Never in practice, because it writes to memory.
    pub fn text(&self) -> Result<String, ErrorType> {
        let Self { subject: _, opening, quotes, action, link, closing } = self;
        let template = TextTemplate { opening, quotes, action, link, closing };
        template.render().map_err(|_| ErrorType::Internal)
    }

    /// Renders the HTML, with customers' text escaped.
    ///
    /// # Errors
    /// Never in practice, because it writes to memory.
    pub fn html(&self) -> Result<String, ErrorType> {
        let Self { subject: _, opening, quotes, action, link, closing } = self;
        let template = HtmlTemplate { opening, quotes, action, link, closing };
        template.render().map_err(|_| ErrorType::Internal)
    }
}

fn post(workspace: &str, title: &str) -> Vec<Quote> {
    vec![Quote::of("Workspace", workspace), Quote::of("Post", title)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_text_stays_text() {
        let title = "<script>alert(1)</script> & \"more\"";
        let content = Content::approval_requested("<b>W</b>", title, "https://x.example/#a=1&b=2".to_owned());
        let html = content.html().expect("rendered");
        assert!(!html.contains("<script>") && !html.contains("<b>W"), "{html}");
        let text = content.text().expect("rendered");
        assert_eq!(
            text,
            "Hello,\n\na post waits for your decision:\n\n> Workspace: <b>W</b>\n\
             > Post: <script>alert(1)</script> & \"more\"\n\nRead it and decide:\nhttps://x.example/#a=1&b=2\n\n\
             You get this e-mail because you are a reviewer in the workspace.\n\n--\n\
             Socialize sent this e-mail by itself. Answers to it are not read."
        );
    }

    /// Includes names that were stored before they were checked, and titles, which may contain
    /// links.
    #[test]
    fn the_only_link_is_ours_and_we_speak_first() {
        let link = || "https://ours.example/x".to_owned();
        for text in [
            "https://evil.example/now",
            "Pay at evil.example",
            "a\r\nBcc: b",
            "\u{202e}live",
            "x@evil.example",
        ] {
            let time = DateTime::from_timestamp(1_795_419_660, 0).expect("a valid time");
            let role = WorkspaceRole::Author;
            for content in [
                Content::workspace_invite(text, role, text, text, time, link()),
                Content::approval_requested(text, text, link()),
                Content::approval_reminder(text, text, link()),
                Content::approval_decided(text, text, Decision::Approve, link()),
            ] {
                for rendered in [content.text().expect("rendered"), content.html().expect("rendered")] {
                    assert!(!rendered.contains("evil") && !rendered.contains("Bcc"), "{rendered}");
                    assert!(!rendered.contains('\u{202e}'), "{rendered}");
                    assert!(rendered.contains(NOT_SHOWN), "{rendered}");
                    assert_eq!(rendered.matches("://").count(), 1, "{rendered}");
                }
            }
        }
        let invite =
            Content::workspace_invite("Ada", WorkspaceRole::Author, "W", "O", DateTime::UNIX_EPOCH, link());
        let text = invite.text().expect("rendered");
        let (ours, quoted) =
            text.split_once("\n\n> Invited by: Ada\n> Workspace: W\n> Organization: O\n").expect("quotes");
        assert!(
            ours.starts_with("Hello,\n\nsomebody invites you")
                && quoted.starts_with("> Your role: author\n\n"),
            "{text}"
        );
    }

    #[test]
    fn an_e_mail_without_a_quotation_has_no_gap() {
        let text = Content::verify_email("https://x.example/".to_owned()).text().expect("rendered");
        assert_eq!(
            text,
            "Hello,\n\nwelcome to Socialize. Please confirm that this is your e-mail address.\n\n\
             Confirm this address:\nhttps://x.example/\n\nIf you did not register, ignore this e-mail.\n\n--\n\
             Socialize sent this e-mail by itself. Answers to it are not read."
        );
    }
}
