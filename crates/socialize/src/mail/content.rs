//! What e-mails say. Each is written once, and rendered as text and as HTML from the files in `templates/`.

use askama::Template;
use chrono::{DateTime, Utc};
use domain::vocabulary::{Decision, WorkspaceRole};
use telemetry::{ClosedSet, ErrorType};

use crate::queue::JobError;

/// What an e-mail says: a greeting, a paragraph, perhaps a quotation, one link, and a paragraph.
pub struct Content {
    /// Never a customer's text: it becomes a header.
    pub subject: &'static str,
    greeting: String,
    opening: String,
    quote: Option<String>,
    /// What the link does.
    action: &'static str,
    link: String,
    closing: String,
}

#[derive(Template)]
#[template(path = "email.txt")]
struct TextTemplate<'a> {
    greeting: &'a str,
    opening: &'a str,
    quote: Option<&'a str>,
    action: &'a str,
    link: &'a str,
    closing: &'a str,
}

#[derive(Template)]
#[template(path = "email.html")]
struct HtmlTemplate<'a> {
    greeting: &'a str,
    opening: &'a str,
    quote: Option<&'a str>,
    action: &'a str,
    link: &'a str,
    closing: &'a str,
}

impl Content {
    /// Asks a new user to confirm the address. It does not call the user by name: whoever registers an address that is not
    /// theirs could otherwise have us write to it what they like.
    pub fn verify_email(link: String) -> Self {
        Self {
            subject: "Please confirm your e-mail address",
            greeting: "Hello,".to_owned(),
            opening: "welcome to Socialize. Please confirm that this is your e-mail address.".to_owned(),
            quote: None,
            action: "Confirm this address",
            link,
            closing: "If you did not register, ignore this e-mail.".to_owned(),
        }
    }

    /// Shows an operator that e-mails arrive.
    pub fn test(link: String) -> Self {
        Self {
            subject: "Socialize can send e-mails",
            greeting: "Hello,".to_owned(),
            opening: "this is the test e-mail that `socialize doctor` was asked to send.".to_owned(),
            quote: None,
            action: "This is where users reach Socialize",
            link,
            closing: "There is nothing to do.".to_owned(),
        }
    }

    /// Tells the owner of an address that somebody tried to register it again.
    pub fn already_registered(name: &str, link: String) -> Self {
        Self {
            subject: "You have an account already",
            greeting: hello(name),
            opening: "somebody tried to register your e-mail address with Socialize, where you have an account already."
                .to_owned(),
            quote: None,
            action: "Log in, or ask for a new password",
            link,
            closing: "If it was not you, there is nothing to do: nobody got in, and nothing has changed.".to_owned(),
        }
    }

    /// Carries the link that sets a new password.
    pub fn reset_password(link: String) -> Self {
        Self {
            subject: "Set a new password",
            greeting: "Hello,".to_owned(),
            opening: "somebody, probably you, asked to set a new password for your account on Socialize."
                .to_owned(),
            quote: None,
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
        let (inviter, workspace) = (one_line(inviter), one_line(workspace));
        let (organization, role) = (one_line(organization), role.as_str());
        let expires = expires_at.format("%-d %B %Y, %H:%M");
        Self {
            subject: "You are invited to a workspace",
            greeting: "Hello,".to_owned(),
            opening: format!(
                "{inviter} invites you to Socialize, as {role} in the workspace \"{workspace}\" of \"{organization}\"."
            ),
            quote: None,
            action: "Accept the invitation",
            link,
            closing: format!(
                "The invitation is valid until {expires} UTC. If you do not know who this is, ignore this e-mail."
            ),
        }
    }

    /// Asks a reviewer for a decision.
    pub fn approval_requested(name: &str, workspace: &str, title: &str, link: String) -> Self {
        Self {
            subject: "A post waits for your decision",
            greeting: hello(name),
            opening: format!(
                "this post in the workspace \"{}\" waits for your decision:",
                one_line(workspace)
            ),
            quote: Some(one_line(title)),
            action: "Read it and decide",
            link,
            closing: "You get this e-mail because you are a reviewer in the workspace.".to_owned(),
        }
    }

    /// Reminds a reviewer of a decision that has been asked for long ago.
    pub fn approval_reminder(name: &str, workspace: &str, title: &str, link: String) -> Self {
        Self {
            subject: "A post still waits for your decision",
            greeting: hello(name),
            opening: format!(
                "this post in the workspace \"{}\" has been waiting for your decision for a while:",
                one_line(workspace)
            ),
            quote: Some(one_line(title)),
            action: "Read it and decide",
            link,
            closing: "You get this e-mail, at most once a day for each post, because you are a reviewer in the workspace."
                .to_owned(),
        }
    }

    /// Tells an author what was decided.
    pub fn approval_decided(
        name: &str,
        workspace: &str,
        title: &str,
        decision: Decision,
        link: String,
    ) -> Self {
        let decided = match decision {
            Decision::Approve => "approved your post",
            Decision::RequestChanges => "asks for changes to your post",
            Decision::Reject => "rejected your post",
        };
        Self {
            subject: match decision {
                Decision::Approve => "Your post was approved",
                Decision::RequestChanges => "Changes to your post are requested",
                Decision::Reject => "Your post was rejected",
            },
            greeting: hello(name),
            opening: format!("a reviewer in the workspace \"{}\" {decided}:", one_line(workspace)),
            quote: Some(one_line(title)),
            action: "See the post",
            link,
            closing: "You get this e-mail because you wrote the post.".to_owned(),
        }
    }

    /// As text.
    ///
    /// # Errors
    /// Never in practice: it is written into memory.
    pub fn text(&self) -> Result<String, JobError> {
        let Self { subject: _, greeting, opening, quote, action, link, closing } = self;
        let template = TextTemplate { greeting, opening, quote: quote.as_deref(), action, link, closing };
        template.render().map_err(|_| JobError::Fail(ErrorType::Internal))
    }

    /// As HTML, in which a customer's text is text.
    ///
    /// # Errors
    /// Never in practice: it is written into memory.
    pub fn html(&self) -> Result<String, JobError> {
        let Self { subject: _, greeting, opening, quote, action, link, closing } = self;
        let template = HtmlTemplate { greeting, opening, quote: quote.as_deref(), action, link, closing };
        template.render().map_err(|_| JobError::Fail(ErrorType::Internal))
    }
}

fn hello(name: &str) -> String {
    format!("Hello {},", one_line(name))
}

/// A customer's text on one line, so that it cannot pass for a paragraph or a link of ours.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_text_stays_text() {
        let title = "<script>alert(1)</script> & \"more\"\r\nBcc: victim@example.com";
        let content =
            Content::approval_requested("<b>Ada</b>", "W", title, "https://x.example/#a=1&b=2".to_owned());
        let html = content.html().expect("rendered");
        assert!(!html.contains("<script>") && !html.contains("<b>Ada"), "{html}");
        let text = content.text().expect("rendered");
        assert!(text.contains("<script>alert(1)</script> & \"more\"  Bcc: victim@example.com\n"), "{text}");
        assert!(text.contains("\nhttps://x.example/#a=1&b=2\n"), "{text}");
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
