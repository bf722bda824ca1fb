//! Content and recipients of e-mails, and those that are not sent.

use std::collections::HashMap;

use catalogue::labels::{EmailResult, JobKind};
use chrono::TimeDelta;
use domain::ids::{ContentItemId, EmailTokenId, InviteId, JobId, RegistrationId, UserId, WorkspaceId};
use domain::vocabulary::{Decision, WorkspaceRole};
use mail_parser::{Message, MessageParser};
use serde_json::Value as Json;
use socialize::features::email::Email;
use socialize::platform::mail::MailTransport;
use socialize::platform::token::LinkPurpose;
use telemetry::meter::Value;
use telemetry::{ClosedSet, ErrorType, JobOutcome};
use test_support::TestApp;
use uuid::Uuid;

use crate::support::{committed, nothing_reveals, row, runs};

/// Enqueues an e-mail as handlers do, and returns its job.
pub(crate) async fn enqueue_email(test: &TestApp, email: Email) -> JobId {
    let mut transaction = test.app.database.begin().await.expect("a transaction");
    email.enqueue(&test.app, &mut transaction).await.expect("enqueued");
    committed(test, transaction).await
}

/// Number of deliveries, by the metric.
pub(crate) fn deliveries(test: &TestApp, template: &str, outcome: &str) -> i64 {
    let labels = [("template", template), ("outcome", outcome)];
    match test.metrics().value("socialize.email.deliveries", &labels) {
        Some(Value::Integer(count)) => *count,
        other => panic!("a counter, not {other:?}"),
    }
}

/// Number of e-mails by result, by the metric, without zero counts.
pub(crate) fn messages(test: &TestApp) -> Vec<(&'static str, i64)> {
    let metrics = test.metrics();
    let count = |result: &EmailResult| match metrics
        .value("socialize.email.messages", &[("result", result.as_str())])
    {
        Some(Value::Integer(count)) => *count,
        other => panic!("a counter, not {other:?}"),
    };
    let counts = EmailResult::ALL.iter().map(|result| (result.as_str(), count(result)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Log lines of deliveries since the last call.
pub(crate) fn delivery_lines(test: &TestApp) -> Vec<Json> {
    test.log_lines().into_iter().filter(|line| line["event"] == "email.delivery").collect()
}

/// A pending registration of Ada's.
pub(crate) async fn registration(test: &TestApp) -> RegistrationId {
    let id = RegistrationId::from(Uuid::now_v7());
    sqlx::query(
        "insert into pending_registrations (id, email, display_name, password_hash, created_at, expires_at)
         values ($1, 'ada@example.com', 'ada', '$argon2id$not-a-hash', $2, $3)",
    )
    .bind(id)
    .bind(test.app.clock.now())
    .bind(test.app.clock.now() + TimeDelta::days(1))
    .execute(test.pool())
    .await
    .expect("a registration");
    id
}

/// A user with the token of a password reset link.
async fn reset_link(test: &TestApp) -> (UserId, EmailTokenId) {
    let (user, id) = (test.user("ada").await, EmailTokenId::from(Uuid::now_v7()));
    sqlx::query(
        "insert into email_tokens (id, user_id, purpose, created_at, expires_at) values ($1, $2, 'reset_password', $3, \
         $4)",
    )
    .bind(id)
    .bind(user)
    .bind(test.app.clock.now())
    .bind(test.app.clock.now() + TimeDelta::days(1))
    .execute(test.pool())
    .await
    .expect("a token");
    (user, id)
}

async fn execute(test: &TestApp, statement: &'static str, id: Uuid) {
    let done = sqlx::query(statement).bind(id).execute(test.pool()).await.expect("executed");
    assert_eq!(done.rows_affected(), 1, "{statement}");
}

/// Sends an e-mail and returns its headers, text and HTML.
async fn send(test: &TestApp, email: Email) -> (HashMap<String, String>, String, String) {
    let before = test.emails().len();
    enqueue_email(test, email).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    let sent = test.emails();
    assert_eq!(sent.len(), before + 1);
    let message = MessageParser::default().parse(&sent[before]).expect("a message");
    let text = message.body_text(0).expect("a text").replace("\r\n", "\n");
    let html = message.body_html(0).expect("HTML").into_owned();
    (headers(&message), text, html)
}

fn headers(message: &Message<'_>) -> HashMap<String, String> {
    message.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Asserts that an obsolete e-mail is not sent and causes no error.
async fn is_not_sent(test: &TestApp, email: Email) {
    let before = test.emails().len();
    let id = enqueue_email(test, email).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!((row(test, id).await, test.emails().len()), (None, before));
}

#[tokio::test]
async fn an_e_mail_has_the_headers_that_it_needs_and_no_others() {
    let test = TestApp::start().await;
    let token = registration(&test).await;
    let id = enqueue_email(&test, Email::VerifyEmail { token }).await;
    test.run_due_jobs().await;
    let sent = test.emails();
    let headers = headers(&MessageParser::default().parse(&sent[0]).expect("a message"));
    let get = |name: &str| headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}")).as_str();
    assert_eq!(get("Message-ID"), format!("<{id}@socialize.example>"));
    assert_eq!(get("Date"), "Mon, 23 Nov 2026 09:00:00 +0000");
    assert_eq!(get("From"), "Socialize <socialize@socialize.example>");
    assert_eq!(get("To"), "ada@example.com");
    assert_eq!(get("Subject"), "Please confirm your e-mail address");
    assert_eq!(get("Auto-Submitted"), "auto-generated");
    assert_eq!(headers.len(), 8, "also MIME-Version and Content-Type: {headers:?}");
}

#[tokio::test]
async fn the_links_of_an_account_carry_their_tokens() {
    let test = TestApp::start().await;
    let (verify, (user, reset)) = (registration(&test).await, reset_link(&test).await);
    let link = |path: &str, purpose, id| {
        format!("https://socialize.example/{path}#token={}", test.app.tokens.link(purpose, id).expose())
    };
    let (_, text, html) = send(&test, Email::VerifyEmail { token: verify }).await;
    let expected = link("verify-email", LinkPurpose::VerifyEmail, verify.uuid());
    assert!(text.contains(&format!("\n{expected}\n")), "{text}");
    assert!(html.contains(&format!("href=\"{expected}\"")), "{html}");
    // Somebody who registers a foreign address must not be able to send their chosen name to it.
    assert!(text.starts_with("Hello,\n") && !text.contains("ada"), "{text}");

    let (_, text, _) = send(&test, Email::ResetPassword { token: reset }).await;
    let expected = link("reset-password", LinkPurpose::ResetPassword, reset.uuid());
    assert!(text.contains(&format!("\n{expected}\n")), "{text}");

    let (headers, text, _) = send(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(headers["To"], test.email_of(user).await);
    assert!(text.contains("\nhttps://socialize.example/login\n"), "{text}");
    let counted = ["verify_email", "reset_password", "already_registered"]
        .map(|template| deliveries(&test, template, "delivered"));
    assert_eq!(counted, [1, 1, 1]);
}

#[tokio::test]
async fn a_link_that_is_used_expired_or_somebodys_who_is_gone_is_not_sent() {
    let test = TestApp::start().await;
    let (_, used) = reset_link(&test).await;
    execute(&test, "update email_tokens set used_at = created_at where id = $1", used.uuid()).await;
    is_not_sent(&test, Email::ResetPassword { token: used }).await;

    let (user, token) = reset_link(&test).await;
    execute(&test, "delete from users where id = $1", user.uuid()).await;
    is_not_sent(&test, Email::ResetPassword { token }).await;
    is_not_sent(&test, Email::AlreadyRegistered { user }).await;

    let confirmed = registration(&test).await;
    execute(&test, "delete from pending_registrations where id = $1", confirmed.uuid()).await;
    is_not_sent(&test, Email::VerifyEmail { token: confirmed }).await;

    let ((_, reset), verify) = (reset_link(&test).await, registration(&test).await);
    test.app.clock.advance(TimeDelta::days(1));
    is_not_sent(&test, Email::ResetPassword { token: reset }).await;
    is_not_sent(&test, Email::VerifyEmail { token: verify }).await;
    assert_eq!(test.count("socialize.email.deliveries"), 0);
    assert_eq!(runs(&test.app, JobKind::SendEmail, JobOutcome::Ok), 6);
}

async fn invite(test: &TestApp) -> (InviteId, UserId) {
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let id = InviteId::from(Uuid::now_v7());
    sqlx::query(
        "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
         values ($1, $2, 'grace@example.com', 'reviewer', 'pending', $3, $4, $4 + interval '7 days')",
    )
    .bind(id)
    .bind(workspace)
    .bind(owner)
    .bind(test.app.clock.now())
    .execute(test.pool())
    .await
    .expect("an invite");
    (id, owner)
}

#[tokio::test]
async fn an_invite_is_sent_while_it_can_be_accepted() {
    let test = TestApp::start().await;
    let (invite, owner) = invite(&test).await;
    let rename = "update users set display_name = E'Ada <b>\"L\"</b>' where id = $1";
    execute(&test, rename, owner.uuid()).await;
    execute(&test, "update organizations set name = 'Größe & Co' where created_by = $1", owner.uuid()).await;
    // A name stored before names were checked.
    let rename = "update workspaces set name = E'X\\r\\nBcc: x@y.example' where id = (select workspace_id from \
                  workspace_invites where id = $1)";
    execute(&test, rename, invite.uuid()).await;
    let (headers, text, html) = send(&test, Email::WorkspaceInvite { invite }).await;
    assert_eq!(headers["To"], "grace@example.com");
    assert_eq!(headers.get("Bcc"), None);
    assert!(text.starts_with("Hello,\n\nsomebody invites you to a workspace on Socialize"), "{text}");
    let quoted = "\n\n\
                  > Invited by: Ada <b>\"L\"</b>\n\
                  > Workspace: (not shown here, because it contains a link or characters that cannot be seen)\n\
                  > Organization: Größe & Co\n\
                  > Your role: reviewer\n\n";
    assert!(text.contains(quoted), "{text}");
    assert!(text.contains("valid until 30 November 2026, 09:00 UTC"), "{text}");
    assert!(html.contains("Größe &#38; Co") && !html.contains("<b>"), "{html}");
    let link = test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.uuid());
    assert!(text.contains(&format!("\nhttps://socialize.example/accept-invite#token={}\n", link.expose())));

    execute(
        &test,
        "update workspace_invites set status = 'revoked', closed_at = created_at where id = $1",
        invite.uuid(),
    )
    .await;
    is_not_sent(&test, Email::WorkspaceInvite { invite }).await;
}

/// A content item in approval, its workspace, its author and a reviewer.
pub(crate) async fn item_in_approval(test: &TestApp) -> (ContentItemId, WorkspaceId, UserId, UserId) {
    let (organization, _) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
    let id = ContentItemId::from(Uuid::now_v7());
    let mut transaction = test.pool().begin().await.expect("a transaction");
    sqlx::query(
        "insert into content_items
             (id, workspace_id, channel, status, current_revision, status_entered_at, created_by, created_at,
              updated_at)
         values ($1, $2, 'linkedin', 'in_approval', 2, $4, $3, $4, $4)",
    )
    .bind(id)
    .bind(workspace)
    .bind(author)
    .bind(test.app.clock.now())
    .execute(&mut *transaction)
    .await
    .expect("an item");
    sqlx::query(
        "insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
         select $1, number, 'Title ' || number, 'Body', $2, $3 from generate_series(1, 2) number",
    )
    .bind(id)
    .bind(author)
    .bind(test.app.clock.now())
    .execute(&mut *transaction)
    .await
    .expect("revisions");
    transaction.commit().await.expect("committed");
    (id, workspace, author, reviewer)
}

#[tokio::test]
async fn reviewers_are_asked_about_the_current_revision_only() {
    let test = TestApp::start().await;
    let (content_item, workspace, author, reviewer) = item_in_approval(&test).await;
    let asked = |revision, reviewer| Email::ApprovalRequested { content_item, revision, reviewer };
    let (headers, text, _) = send(&test, asked(2, reviewer)).await;
    assert_eq!(headers["To"], test.email_of(reviewer).await);
    assert!(
        text.contains("\n\na post waits for your decision:\n\n> Workspace: Workspace\n> Post: Title 2\n\n"),
        "{text}"
    );
    assert!(text.contains(&format!("\nhttps://socialize.example/content-items/{content_item}\n")), "{text}");

    // An e-mail about a revision covers later revisions that exist on sending, but not future ones.
    send(&test, asked(1, reviewer)).await;
    is_not_sent(&test, asked(3, reviewer)).await;
    is_not_sent(&test, asked(2, author)).await;
    execute(
        &test,
        "update content_items set status = 'changes_requested' where id = $1",
        content_item.uuid(),
    )
    .await;
    is_not_sent(&test, asked(2, reviewer)).await;
    execute(&test, "update content_items set status = 'in_approval' where id = $1", content_item.uuid())
        .await;
    send(&test, asked(2, reviewer)).await;
    execute(
        &test,
        "delete from workspace_members where role = 'reviewer' and workspace_id = $1",
        workspace.uuid(),
    )
    .await;
    is_not_sent(&test, asked(2, reviewer)).await;
}

#[tokio::test]
async fn authors_hear_what_was_decided() {
    let test = TestApp::start().await;
    let (content_item, workspace, author, _) = item_in_approval(&test).await;
    let decided = |decision| Email::ApprovalDecided { content_item, author, decision };
    for (decision, subject, words) in [
        (Decision::Approve, "Your post was approved", "approved your post"),
        (Decision::RequestChanges, "Changes to your post are requested", "asks for changes to your post"),
        (Decision::Reject, "Your post was rejected", "rejected your post"),
    ] {
        let (headers, text, _) = send(&test, decided(decision)).await;
        assert_eq!(
            (headers["To"].clone(), headers["Subject"].as_str()),
            (test.email_of(author).await, subject)
        );
        assert!(text.contains(words) && text.contains("\n> Post: Title 2\n"), "{text}");
    }
    execute(
        &test,
        "delete from workspace_members where role = 'author' and workspace_id = $1",
        workspace.uuid(),
    )
    .await;
    is_not_sent(&test, decided(Decision::Approve)).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_rejected() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    execute(&test, "update users set email = 'a b@exa mple' where id = $1", user.uuid()).await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Rejected), 1);
    assert_eq!(row(&test, id).await, None);
    assert_eq!(deliveries(&test, "already_registered", "rejected"), 1);
    assert_eq!(messages(&test), [("rejected", 1)]);
    nothing_reveals(&test, &["exa mple"]).await;
}

#[tokio::test]
async fn a_repeated_delivery_into_a_directory_replaces_the_first_one() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    test.run_due_jobs().await;
    let first = test.emails();
    sqlx::query("insert into jobs (id, kind, payload, run_at, max_attempts, created_at) values ($1, 'send_email', $2, \
                 $3, 1, $3)")
        .bind(id)
        .bind(sqlx::types::Json(Email::AlreadyRegistered { user }))
        .bind(test.app.clock.now())
        .execute(test.pool())
        .await
        .expect("the same job");
    test.run_due_jobs().await;
    assert_eq!((first.len(), test.emails().len()), (1, 1));
    assert_eq!(deliveries(&test, "already_registered", "delivered"), 2);
}

#[tokio::test]
async fn a_directory_that_is_gone_defers_e_mails_until_it_is_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made/at/start");
    let test = TestApp::start_with_mail(Some(MailTransport::Directory(path.clone()))).await;
    assert_eq!(test.app.mail.check().await, Ok(()));
    assert_eq!(std::fs::read_dir(&path).expect("a directory").count(), 0, "a check leaves nothing behind");
    std::fs::remove_dir(&path).expect("removed");
    assert_eq!(test.app.mail.check().await, Err(ErrorType::NotFound));
    let user = test.user("ada").await;
    enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1);
    assert_eq!(deliveries(&test, "already_registered", "deferred"), 1);

    std::fs::create_dir(&path).expect("made");
    test.app.clock.advance(TimeDelta::seconds(10));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!(std::fs::read_dir(&path).expect("a directory").count(), 1);
}
