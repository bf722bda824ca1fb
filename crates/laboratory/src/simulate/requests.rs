//! The requests that carry out the intents of simulated people.

use domain::vocabulary::{Channel, Decision, FeedbackKind, WorkspaceRole};
use http::Method;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::json;
use socialize::platform::secret::Secret;
use telemetry::ClosedSet;
use uuid::Uuid;

use super::client::Request;
use super::intent::{Intent, ItemPosition};
use super::people::{Part, Person, Session};
use super::team::Team;
use super::words;

/// Seconds from now to a scheduled publication: soon enough to be watched, and later than the
/// request can be delayed.
const SCHEDULE_AHEAD_SECONDS: std::ops::Range<i64> = 5..15;

/// Builds the request of an intent. Returns `None` if the team lacks something that the intent refers to.
pub(super) fn request_of(intent: &Intent, team: &mut Team, person: usize) -> Option<Request> {
    if matches!(intent, Intent::CallWithoutToken) {
        return Some(Request::get("/v1/organizations"));
    }
    if matches!(intent, Intent::CallUnknownPath) {
        return Some(Request::get("/v1/followers"));
    }
    let caller = team.people.get_mut(person)?;
    if let Some(request) = account_request(intent, caller) {
        return Some(request);
    }
    let access_token = Some(caller.session()?.access_token.clone());
    let request = match intent {
        Intent::CreateOrganization => {
            Request::post("/v1/organizations", json!({"name": words::organization(&mut caller.rng)}))
        }
        Intent::AcceptInvite { token } => {
            Request::post("/v1/invites/accept", json!({"token": token.expose()}))
        }
        Intent::ReportFeedback(kind) => {
            let text = match kind {
                FeedbackKind::Bug => words::complaint(&mut caller.rng),
                _ => words::wish(&mut caller.rng),
            };
            let body = json!({"kind": kind, "body": text, "organization_id": team.organization});
            Request::post("/v1/feedback-reports", body)
        }
        Intent::AddScreenshot { report } => {
            let path = format!("/v1/feedback-reports/{report}/screenshot");
            Request::upload(Method::PUT, path, words::picture(&mut caller.rng))
        }
        Intent::ListOrganizations => Request::get("/v1/organizations"),
        Intent::CreateWorkspace => create_workspace(team, person)?,
        Intent::SetPublishingEndpoint { workspace } => set_publishing_endpoint(team, *workspace)?,
        Intent::InviteColleague { workspace, colleague } => invite(team, *workspace, *colleague)?,
        about_content => content_request(about_content, team, person)?,
    };
    Some(Request { access_token, idempotency_key: intent.creates().then(|| key(team, person)), ..request })
}

fn key(team: &mut Team, person: usize) -> Uuid {
    Uuid::from_u128(team.people[person].rng.random())
}

/// Builds requests that need no session, or only a session.
fn account_request(intent: &Intent, person: &mut Person) -> Option<Request> {
    let email = &person.email;
    Some(match intent {
        Intent::Register => {
            let password = person.password.expose();
            let body = json!({"email": email, "display_name": person.name, "password": password});
            Request::post("/v1/auth/register", body)
        }
        Intent::VerifyEmail { token } => {
            Request::post("/v1/auth/verify-email", json!({"token": token.expose()}))
        }
        Intent::LogIn => {
            let password = person.password.expose();
            Request::post("/v1/auth/login", json!({"email": email, "password": password}))
        }
        Intent::MistypePassword => {
            let password = words::mistyped(person.password.expose());
            Request::post("/v1/auth/login", json!({"email": email, "password": password}))
        }
        Intent::RequestPasswordReset => {
            Request::post("/v1/auth/request-password-reset", json!({"email": email}))
        }
        Intent::ResetPassword { token } => {
            person.password = Secret::new(words::password(&mut person.rng));
            let body = json!({"token": token.expose(), "password": person.password.expose()});
            Request::post("/v1/auth/reset-password", body)
        }
        Intent::RefreshSession | Intent::LogOut => {
            let Session { refresh_token, .. } = person.session()?;
            let path = match intent {
                Intent::LogOut => "/v1/auth/logout",
                _ => "/v1/auth/refresh",
            };
            Request::post(path, json!({"refresh_token": refresh_token.expose()}))
        }
        _ => return None,
    })
}

fn create_workspace(team: &mut Team, person: usize) -> Option<Request> {
    let path = format!("/v1/organizations/{}/workspaces", team.organization?);
    // Authors do not decide, so more approvals than reviewers could never be reached.
    let reviewers = team.people.iter().filter(|person| person.part == Part::Reviewer).count();
    let rng = &mut team.people[person].rng;
    let required_approvals = rng.random_range(1..=reviewers.clamp(1, 2));
    let body = json!({"name": words::workspace(rng), "required_approvals": required_approvals});
    Some(Request::post(path, body))
}

fn set_publishing_endpoint(team: &Team, workspace: usize) -> Option<Request> {
    let workspace = team.workspaces.get(workspace)?;
    let url = format!("{}/{}", team.publishes_to.as_ref()?, workspace.endpoint());
    Some(Request::put(format!("/v1/workspaces/{}/publishing-endpoint", workspace.id), json!({"url": url})))
}

fn invite(team: &Team, workspace: usize, colleague: usize) -> Option<Request> {
    let path = format!("/v1/workspaces/{}/invites", team.workspaces.get(workspace)?.id);
    let colleague = team.people.get(colleague)?;
    let role = match colleague.part {
        Part::Founder => WorkspaceRole::Manager,
        Part::Author => WorkspaceRole::Author,
        Part::Reviewer => WorkspaceRole::Reviewer,
    };
    Some(Request::post(path, json!({"email": colleague.email, "role": role})))
}

fn content_request(intent: &Intent, team: &mut Team, person: usize) -> Option<Request> {
    let now = team.wall_clock();
    let Team { people, workspaces, .. } = team;
    let rng = &mut people[person].rng;
    let items = |workspace: usize| {
        let workspace = workspaces.get(workspace)?;
        Some(format!("/v1/workspaces/{}/content-items", workspace.id))
    };
    let item = |position: &ItemPosition| {
        let item = workspaces.get(position.workspace)?.items.get(position.item)?;
        Some((format!("{}/{}", items(position.workspace)?, item.id), item))
    };
    Some(match intent {
        Intent::DraftContentItem { workspace } => {
            let channel = Channel::ALL.choose(rng)?;
            let body = json!({"channel": channel, "title": words::title(rng), "body": words::post(rng)});
            Request::post(items(*workspace)?, body)
        }
        Intent::ListContentItems { workspace } => Request::get(items(*workspace)?),
        Intent::EditContentItem(position) => {
            let (path, item) = item(position)?;
            let edit = Request::patch(path, json!({"title": words::title(rng), "body": words::post(rng)}));
            Request { if_match: item.etag.clone(), ..edit }
        }
        Intent::SubmitContentItem(position) => Request::act(format!("{}/submit", item(position)?.0)),
        Intent::ArchiveContentItem(position) => Request::act(format!("{}/archive", item(position)?.0)),
        Intent::ScheduleContentItem(position) => {
            let at = now + chrono::TimeDelta::seconds(rng.random_range(SCHEDULE_AHEAD_SECONDS));
            Request::post(format!("{}/schedule", item(position)?.0), json!({"scheduled_at": at}))
        }
        Intent::PublishContentItem(position) => Request::act(format!("{}/publish", item(position)?.0)),
        Intent::MarkContentItemPublished(position) => {
            Request::act(format!("{}/mark-published", item(position)?.0))
        }
        Intent::Decide(position, decision) => {
            let (path, item) = item(position)?;
            let mut body = json!({"decision": decision, "revision": item.revision});
            if *decision != Decision::Approve {
                body["note"] = json!(words::remark(rng));
            }
            Request::post(format!("{path}/decisions"), body)
        }
        Intent::Comment(position) => {
            let body = json!({"body": words::remark(rng)});
            Request::post(format!("{}/comments", item(position)?.0), body)
        }
        Intent::ListComments(position) => Request::get(format!("{}/comments", item(position)?.0)),
        Intent::ReadContentItem(position) => Request::get(item(position)?.0),
        Intent::AttachFile(position) => {
            let (path, item) = item(position)?;
            let path = format!("{path}/attachments?file_name=picture.png");
            let upload = Request::upload(Method::POST, path, words::picture(rng));
            Request { if_match: item.etag.clone(), ..upload }
        }
        Intent::DownloadAttachment(position) => {
            let (path, item) = item(position)?;
            Request::get(format!("{path}/attachments/{}", item.attachments.last()?))
        }
        _ => return None,
    })
}
