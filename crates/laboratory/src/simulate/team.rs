//! A team: its people, and their knowledge of their workspaces.
//!
//! Nothing here waits or sends. The simulation calls [`Team::choose`] for the next intent of a
//! person, sends its request, and passes the response to [`Team::learn`]. So a team can be tested
//! without a server.

use chrono::{DateTime, Utc};
use domain::vocabulary::{ContentItemStatus, Decision, FeedbackKind};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use uuid::Uuid;

use super::action::Judgement;
use super::client::Answer;
use super::intent::{Intent, ItemPosition};
use super::item::{Item, read_id, read_status};
use super::people::{Part, Person, Time};

/// Maximum number of unfinished items of a workspace.
const ITEMS_IN_THE_WORKS: usize = 5;
/// Number of items that a workspace produces before the team is done.
const ITEMS_PLANNED: std::ops::RangeInclusive<usize> = 6..=14;
/// One workspace in six starts with an endpoint that responds with 410.
const GONE_ENDPOINTS: u32 = 6;
/// Path of an endpoint that accepts posts.
const ENDPOINT: &str = "posts";
/// Path of an endpoint that responds with 410.
pub(crate) const GONE_ENDPOINT: &str = "gone";
/// A team without progress for this long is given up.
const PATIENCE: Time = Time::from_secs(180);

/// People who work together.
pub(super) struct Team {
    /// The first person is the founder.
    pub people: Vec<Person>,
    /// Set once it has been created.
    pub organization: Option<Uuid>,
    /// The workspaces created so far.
    pub workspaces: Vec<Workspace>,
    /// Base URL of the workspaces' endpoints. Without it, the team publishes by hand.
    pub publishes_to: Option<String>,
    /// Start time of the team by both clocks; items are scheduled relative to it.
    founded: (DateTime<Utc>, Time),
    /// Time of the last choice.
    now: Time,
    planned_workspaces: usize,
    last_success: Time,
    /// Bug reports without a screenshot, with the index of their reporter.
    without_screenshot: Vec<(usize, Uuid)>,
}

/// A team's knowledge of a workspace.
pub(super) struct Workspace {
    pub id: Uuid,
    pub items: Vec<Item>,
    planned_items: usize,
    /// True if it has an endpoint that accepts posts, as far as the team knows.
    has_endpoint: bool,
    /// True if its first endpoint responds with 410.
    begins_gone: bool,
    /// By index of the person.
    invited: Vec<bool>,
    joined: Vec<bool>,
}

impl Team {
    /// Creates people without accounts. `tag` distinguishes the addresses of different runs.
    pub(super) fn new(
        rng: &mut StdRng,
        tag: &str,
        publishes_to: Option<String>,
        founded_at: DateTime<Utc>,
        now: Time,
    ) -> Self {
        let mut parts = vec![Part::Founder, Part::Author, Part::Reviewer];
        parts.extend((0..rng.random_range(0..4)).map(|more| [Part::Reviewer, Part::Author][more % 2]));
        let person = |(position, part)| Person::new(part, rng.random(), &format!("{tag}-{position}"));
        let people = parts.into_iter().enumerate().map(person).collect();
        let planned_workspaces = rng.random_range(1..=2);
        let (organization, workspaces) = (None, Vec::new());
        let founded = (founded_at, now);
        Self {
            people,
            organization,
            workspaces,
            publishes_to,
            founded,
            now,
            planned_workspaces,
            last_success: now,
            without_screenshot: Vec::new(),
        }
    }

    /// Returns the current wall-clock time.
    pub(super) fn wall_clock(&self) -> DateTime<Utc> {
        let (founded_at, began) = self.founded;
        founded_at + self.now.saturating_sub(began)
    }

    /// Returns whether nobody has anything left to do, or nothing has succeeded for too long.
    pub(super) fn is_done(&self, now: Time) -> bool {
        let is_finished = |workspace: &Workspace| {
            workspace.items.len() >= workspace.planned_items && workspace.in_the_works() == 0
        };
        let has_finished = self.workspaces.len() >= self.planned_workspaces;
        let has_finished = has_finished && self.workspaces.iter().all(is_finished);
        let is_stuck = now > self.last_success + PATIENCE;
        (has_finished || is_stuck) && self.people.iter().all(|person| !person.is_busy)
    }

    /// Chooses the next action of this person, if any.
    pub(super) fn choose(&mut self, person: usize, now: Time) -> Option<Intent> {
        self.now = now;
        let who = self.people.get_mut(person)?;
        if !who.is_free(now) {
            return None;
        }
        let about_the_account = who.choose(now);
        if about_the_account.is_some() || who.session().is_none() {
            return about_the_account;
        }
        if who.part == Part::Founder
            && let Some(intent) = self.set_up()
        {
            return Some(intent);
        }
        let wishes = self.wishes(person);
        let rng = &mut self.people[person].rng;
        wishes.choose_weighted(rng, |(weight, _)| *weight).ok().map(|(_, intent)| intent.clone())
    }

    /// Returns the founder's next step, until everybody is invited.
    fn set_up(&self) -> Option<Intent> {
        if self.organization.is_none() {
            return Some(Intent::CreateOrganization);
        }
        for (workspace, known) in self.workspaces.iter().enumerate() {
            if self.publishes_to.is_some() && !known.has_endpoint {
                return Some(Intent::SetPublishingEndpoint { workspace });
            }
            if let Some(colleague) = known.invited.iter().position(|invited| !invited) {
                return Some(Intent::InviteColleague { workspace, colleague });
            }
        }
        // The second brand starts when the first one has produced items.
        let first_at_work = self.workspaces.first().is_none_or(|workspace| workspace.items.len() > 1);
        (self.workspaces.len() < self.planned_workspaces && first_at_work).then_some(Intent::CreateWorkspace)
    }

    /// Returns all possible actions of this person with their weights.
    fn wishes(&self, person: usize) -> Vec<(u32, Intent)> {
        let mut wishes = vec![(2, Intent::ListOrganizations), (1, Intent::LogOut)];
        let kinds = [FeedbackKind::Bug, FeedbackKind::Idea, FeedbackKind::Question, FeedbackKind::Other];
        wishes.extend(kinds.map(|kind| (1, Intent::ReportFeedback(kind))));
        let own = self.without_screenshot.iter().filter(|(reporter, _)| *reporter == person);
        wishes.extend(own.map(|(_, report)| (10, Intent::AddScreenshot { report: *report })));
        for (position, workspace) in self.workspaces.iter().enumerate() {
            if workspace.joined[person] {
                self.wishes_in(position, workspace, person, &mut wishes);
            }
        }
        wishes
    }

    fn wishes_in(
        &self,
        position: usize,
        workspace: &Workspace,
        person: usize,
        wishes: &mut Vec<(u32, Intent)>,
    ) {
        let part = self.people[person].part;
        wishes.push((3, Intent::ListContentItems { workspace: position }));
        let has_room = workspace.items.len() < workspace.planned_items;
        if part != Part::Reviewer && has_room && workspace.in_the_works() < ITEMS_IN_THE_WORKS {
            wishes.push((20, Intent::DraftContentItem { workspace: position }));
        }
        for (number, item) in workspace.items.iter().enumerate() {
            let position = ItemPosition { workspace: position, item: number };
            if part == Part::Founder && item.status == ContentItemStatus::Scheduled {
                // Check whether it has been published.
                wishes.push((4, Intent::ReadContentItem(position)));
            }
            if !item.is_in_the_works() {
                continue;
            }
            wishes.extend([
                (3, Intent::Comment(position)),
                (2, Intent::ListComments(position)),
                (3, Intent::ReadContentItem(position)),
            ]);
            if !item.attachments.is_empty() {
                wishes.push((3, Intent::DownloadAttachment(position)));
            }
            if part != Part::Reviewer {
                wishes.extend(item.wishes_of_author(position));
            }
            if part != Part::Author && item.may_be_decided_by(person) {
                wishes.extend([
                    (30, Intent::Decide(position, Decision::Approve)),
                    (8, Intent::Decide(position, Decision::RequestChanges)),
                    (3, Intent::Decide(position, Decision::Reject)),
                ]);
            }
            if part == Part::Founder {
                wishes.extend(item.wishes_of_founder(position, self.publishes_to.is_some()));
            }
        }
    }

    /// Updates the team's knowledge after a response. A success that lacks an expected field is
    /// reported as unexpected.
    pub(super) fn learn(
        &mut self,
        now: Time,
        person: usize,
        intent: &Intent,
        judgement: Judgement,
        answer: Option<&Answer>,
    ) -> Judgement {
        let action = intent.action();
        let who = &mut self.people[person];
        who.is_busy = false;
        let about_the_account = who.learn(now, action, judgement, answer);
        let about_the_work = match (judgement, answer) {
            (Judgement::Done, Some(answer)) => {
                self.last_success = now;
                self.learn_success(person, intent, answer)
            }
            _ => {
                self.learn_refusal(intent, answer);
                Some(())
            }
        };
        about_the_account.and(about_the_work).map_or(Judgement::Unexpected, |()| judgement)
    }

    fn learn_success(&mut self, person: usize, intent: &Intent, answer: &Answer) -> Option<()> {
        let Answer { etag, body, .. } = answer;
        match intent {
            Intent::CreateOrganization => self.organization = Some(read_id(body, "id")?),
            Intent::CreateWorkspace => {
                let here: Vec<bool> = (0..self.people.len()).map(|other| other == person).collect();
                let rng = &mut self.people[person].rng;
                let planned_items = rng.random_range(ITEMS_PLANNED);
                let begins_gone = rng.random_ratio(1, GONE_ENDPOINTS);
                let (id, items) = (read_id(body, "id")?, Vec::new());
                let (invited, joined) = (here.clone(), here);
                let has_endpoint = false;
                self.workspaces.push(Workspace {
                    id,
                    items,
                    planned_items,
                    has_endpoint,
                    begins_gone,
                    invited,
                    joined,
                });
            }
            Intent::InviteColleague { workspace, colleague } => {
                self.workspaces[*workspace].invited[*colleague] = true;
            }
            Intent::AcceptInvite { .. } => {
                let id = read_id(body, "workspace_id")?;
                self.workspaces.iter_mut().find(|workspace| workspace.id == id)?.joined[person] = true;
            }
            Intent::DraftContentItem { workspace } => {
                let item = Item::read(body, etag, person)?;
                self.workspaces[*workspace].items.push(item);
            }
            Intent::EditContentItem(position) => {
                let attachments = std::mem::take(&mut self.item(*position).attachments);
                *self.item(*position) = Item { attachments, ..Item::read(body, etag, person)? };
            }
            // An attachment is an edit, which creates a revision.
            Intent::AttachFile(position) => {
                let attachment = read_id(body, "id")?;
                let item = self.item(*position);
                item.attachments.push(attachment);
                item.revision += 1;
                item.etag = Some(etag.clone()?);
                (item.status, item.written_by) = (ContentItemStatus::Draft, person);
                item.decided_by.clear();
            }
            Intent::ReportFeedback(FeedbackKind::Bug) => {
                self.without_screenshot.push((person, read_id(body, "id")?));
            }
            Intent::AddScreenshot { report } => {
                self.without_screenshot.retain(|(_, other)| other != report);
            }
            Intent::SubmitContentItem(position)
            | Intent::ScheduleContentItem(position)
            | Intent::PublishContentItem(position)
            | Intent::MarkContentItemPublished(position)
            | Intent::ArchiveContentItem(position)
            | Intent::ReadContentItem(position) => {
                let item = self.item(*position);
                item.refresh(body, etag)?;
                if item.status == ContentItemStatus::PublishFailed {
                    self.workspaces[position.workspace].needs_another_endpoint();
                }
            }
            Intent::SetPublishingEndpoint { workspace } => self.workspaces[*workspace].has_endpoint = true,
            Intent::Decide(position, _) => {
                let status = read_status(body, "content_item_status")?;
                let item = self.item(*position);
                (item.status, item.etag) = (status, None);
                item.decided_by.push(person);
            }
            Intent::ListContentItems { .. } | Intent::ListComments(_) | Intent::ListOrganizations => {
                body.get("items")?.as_array()?;
            }
            _ => {}
        }
        Some(())
    }

    /// Handles a conflict with a concurrent change: the item has to be read again before any other
    /// action.
    fn learn_refusal(&mut self, intent: &Intent, answer: Option<&Answer>) {
        let is_outdated = answer.is_some_and(|answer| matches!(answer.status.as_u16(), 409 | 412));
        match intent {
            Intent::ScheduleContentItem(position) | Intent::PublishContentItem(position) if is_outdated => {
                self.item(*position).etag = None;
                // The endpoint may be the reason.
                self.workspaces[position.workspace].needs_another_endpoint();
            }
            Intent::EditContentItem(position)
            | Intent::AttachFile(position)
            | Intent::SubmitContentItem(position)
            | Intent::MarkContentItemPublished(position)
            | Intent::ArchiveContentItem(position)
            | Intent::Decide(position, _)
                if is_outdated =>
            {
                self.item(*position).etag = None;
            }
            _ => {}
        }
    }

    fn item(&mut self, position: ItemPosition) -> &mut Item {
        &mut self.workspaces[position.workspace].items[position.item]
    }
}

impl Workspace {
    fn in_the_works(&self) -> usize {
        self.items.iter().filter(|item| item.is_in_the_works()).count()
    }

    /// Returns the path of the endpoint that is set next.
    pub(super) fn endpoint(&self) -> &'static str {
        if self.begins_gone { GONE_ENDPOINT } else { ENDPOINT }
    }

    fn needs_another_endpoint(&mut self) {
        (self.has_endpoint, self.begins_gone) = (false, false);
    }
}
