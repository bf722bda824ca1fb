//! Simulated people and the progress of their accounts.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use socialize::platform::secret::Secret;

use super::action::{Action, Judgement};
use super::client::Answer;
use super::intent::Intent;
use super::mailbox::Link;
use super::words;

/// Time before its expiry at which an access token is renewed.
const RENEW_BEFORE_END: Duration = Duration::from_secs(120);
/// Limit on `Retry-After`. A team that has to wait longer is given up anyway.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Time since the start of the simulation. This module reads no clock.
pub(super) type Time = Duration;

/// A person's role in every workspace of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Owns the organization and manages its workspaces.
    Founder,
    Author,
    Reviewer,
}

/// Progress of a person's account.
pub(super) enum Stage {
    /// There is no account yet.
    Stranger,
    /// Waiting for the link that confirms the address.
    AwaitsVerification,
    /// The confirming link has arrived.
    HasVerificationLink(Secret),
    /// The account exists, but there is no session.
    LoggedOut,
    /// Waiting for the link that sets a new password.
    AwaitsReset,
    /// The password link has arrived.
    HasResetLink(Secret),
    /// There is a session.
    LoggedIn(Session),
}

/// The tokens of a session.
#[derive(Clone)]
pub(super) struct Session {
    /// Sent with every request.
    pub access_token: Secret,
    /// Exchanged for the next pair of tokens.
    pub refresh_token: Secret,
    renew_at: Time,
}

pub(super) struct Person {
    pub name: String,
    /// Unique among all runs.
    pub email: String,
    pub password: Secret,
    pub part: Part,
    pub stage: Stage,
    /// Received invites that have not been accepted yet.
    pub invites: VecDeque<Secret>,
    /// True while a request is in flight: each person does one thing at a time.
    pub is_busy: bool,
    /// One generator per person, so that the actions of one do not change the choices of others.
    pub rng: StdRng,
    rests_until: Time,
}

impl Person {
    /// Creates a person without an account. `tag` distinguishes the addresses of different runs.
    pub(super) fn new(part: Part, seed: u64, tag: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let name = words::name(&mut rng);
        let email = words::email(&name, tag);
        let password = Secret::new(words::password(&mut rng));
        let (stage, invites) = (Stage::Stranger, VecDeque::new());
        Self { name, email, password, part, stage, invites, is_busy: false, rng, rests_until: Time::ZERO }
    }

    /// Returns whether the person can act now.
    pub(super) fn is_free(&self, now: Time) -> bool {
        !self.is_busy && self.rests_until <= now
    }

    /// Returns the session if the person is logged in.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::LoggedIn(session) => Some(session),
            _ => None,
        }
    }

    /// Chooses the next action for the account. Returns `None` if the person has to wait or can
    /// start working.
    pub(super) fn choose(&mut self, now: Time) -> Option<Intent> {
        match &self.stage {
            // Colleagues register when they are invited.
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

    pub(super) fn receive(&mut self, link: Link) {
        match (link, &self.stage) {
            (Link::VerifyEmail(token), Stage::AwaitsVerification) => {
                self.stage = Stage::HasVerificationLink(token);
            }
            (Link::ResetPassword(token), Stage::AwaitsReset) => self.stage = Stage::HasResetLink(token),
            (Link::AcceptInvite(token), _) => self.invites.push_back(token),
            // An older link than the expected one.
            (Link::VerifyEmail(_) | Link::ResetPassword(_), _) => {}
        }
    }

    /// Updates the account after a response. Returns `None` if the response lacks an expected
    /// field.
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
