//! Simulated people: who they are, and how far each has come with the account.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::action::{Action, Judgement};
use super::client::Answer;
use super::mailbox::Link;
use super::plan::Intent;
use super::words;
use crate::secret::Secret;

/// How long before its end an access token is renewed.
const RENEW_BEFORE_END: Duration = Duration::from_secs(120);
/// Nobody waits longer than this, whatever `Retry-After` says: the team is given up before.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Time since the simulation began. Nothing here looks at a clock.
pub(super) type Time = Duration;

/// What somebody is in every workspace of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Owns the organization and manages its workspaces.
    Founder,
    /// Writes.
    Author,
    /// Decides.
    Reviewer,
}

/// How far somebody has come.
pub(super) enum Stage {
    /// Has no account.
    Stranger,
    /// Waits for the link that confirms the address.
    AwaitsVerification,
    /// Has got it.
    HasVerificationLink(Secret),
    /// Has an account.
    LoggedOut,
    /// Waits for the link that sets a new password.
    AwaitsReset,
    /// Has got it.
    HasResetLink(Secret),
    /// Is at work.
    LoggedIn(Session),
}

/// Tokens.
#[derive(Clone)]
pub(super) struct Session {
    /// Goes with every request.
    pub access_token: Secret,
    /// Gets the next two.
    pub refresh_token: Secret,
    renew_at: Time,
}

/// Somebody who uses Socialize.
pub(super) struct Person {
    /// What others call them.
    pub name: String,
    /// Theirs alone.
    pub email: String,
    /// They know it by heart, nearly.
    pub password: Secret,
    /// What they do in the team.
    pub part: Part,
    /// How far they have come.
    pub stage: Stage,
    /// Invites that they have got and not accepted.
    pub invites: VecDeque<Secret>,
    /// They do one thing at a time.
    pub is_busy: bool,
    /// Their own, so that what one does changes nobody else's choices.
    pub rng: StdRng,
    rests_until: Time,
}

impl Person {
    /// Somebody of whom Socialize has never heard. `tag` keeps addresses of different runs apart.
    pub(super) fn new(part: Part, seed: u64, tag: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let name = words::name(&mut rng);
        let email = words::email(&name, tag);
        let password = Secret::new(words::password(&mut rng));
        let (stage, invites) = (Stage::Stranger, VecDeque::new());
        Self { name, email, password, part, stage, invites, is_busy: false, rng, rests_until: Time::ZERO }
    }

    /// Whether they can do anything now.
    pub(super) fn is_free(&self, now: Time) -> bool {
        !self.is_busy && self.rests_until <= now
    }

    /// The session, of somebody who is at work.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::LoggedIn(session) => Some(session),
            _ => None,
        }
    }

    /// What they want to do about their account; `None` is when they wait, or can go to work.
    pub(super) fn choose(&mut self, now: Time) -> Option<Intent> {
        match &self.stage {
            // Colleagues come when they are invited.
            Stage::Stranger if self.part != Part::Founder && self.invites.is_empty() => None,
            Stage::Stranger => Some(Intent::Register),
            Stage::AwaitsVerification | Stage::AwaitsReset => None,
            Stage::HasVerificationLink(token) => Some(Intent::VerifyEmail { token: token.clone() }),
            Stage::HasResetLink(token) => Some(Intent::ResetPassword { token: token.clone() }),
            Stage::LoggedOut => Some(match self.rng.random_range(0..100) {
                0..12 => Intent::MistypePassword,
                12..15 => Intent::RequestPasswordReset,
                _ => Intent::LogIn,
            }),
            Stage::LoggedIn(session) if session.renew_at <= now => Some(Intent::RefreshSession),
            Stage::LoggedIn(_) => {
                self.invites.front().map(|token| Intent::AcceptInvite { token: token.clone() })
            }
        }
    }

    /// Takes a letter out of the mailbox.
    pub(super) fn receive(&mut self, link: Link) {
        match (link, &self.stage) {
            (Link::VerifyEmail(token), Stage::AwaitsVerification) => {
                self.stage = Stage::HasVerificationLink(token);
            }
            (Link::ResetPassword(token), Stage::AwaitsReset) => self.stage = Stage::HasResetLink(token),
            (Link::AcceptInvite(token), _) => self.invites.push_back(token),
            // An older link than the one that is waited for.
            (Link::VerifyEmail(_) | Link::ResetPassword(_), _) => {}
        }
    }

    /// Takes in what an answer means for the account. `None` is an answer that lacks what it should have.
    pub(super) fn learn(
        &mut self,
        now: Time,
        action: Action,
        judgement: Judgement,
        answer: Option<&Answer>,
    ) -> Option<()> {
        if let Some(pause) = answer.and_then(|answer| answer.retry_after) {
            self.rests_until = now + pause.min(LONGEST_REST);
        }
        if judgement != Judgement::Done {
            let is_logged_out = answer.is_some_and(|answer| answer.status.as_u16() == 401);
            match (action, &self.stage) {
                (Action::AcceptInvite, _) if judgement == Judgement::Unexpected => {
                    self.invites.pop_front();
                }
                (Action::VerifyEmail | Action::ResetPassword, _) => self.stage = Stage::LoggedOut,
                (_, Stage::LoggedIn(_)) if is_logged_out && action != Action::CallWithoutToken => {
                    self.stage = Stage::LoggedOut;
                }
                _ => {}
            }
            return Some(());
        }
        match action {
            Action::Register => self.stage = Stage::AwaitsVerification,
            Action::VerifyEmail | Action::LogOut | Action::ResetPassword => self.stage = Stage::LoggedOut,
            Action::RequestPasswordReset => self.stage = Stage::AwaitsReset,
            Action::LogIn | Action::RefreshSession => {
                self.stage = Stage::LoggedIn(Session::read(now, &answer?.body)?);
            }
            Action::AcceptInvite => _ = self.invites.pop_front(),
            _ => {}
        }
        Some(())
    }
}

impl Session {
    fn read(now: Time, body: &Value) -> Option<Self> {
        let token = |name: &str| body.get(name)?.as_str().map(Secret::new);
        let lifetime = Duration::from_secs(body.get("expires_in")?.as_u64()?);
        Some(Self {
            access_token: token("access_token")?,
            refresh_token: token("refresh_token")?,
            renew_at: now + lifetime.saturating_sub(RENEW_BEFORE_END),
        })
    }
}
