//! A team's knowledge of a content item, and the possible actions on it.

use domain::vocabulary::{self, ContentItemStatus};
use serde_json::Value;
use uuid::Uuid;

use super::intent::{Intent, ItemPosition};

/// Maximum number of attachments of an item.
const ATTACHMENTS: usize = 3;

/// A team's knowledge of a content item. A colleague may have changed it in the meantime.
pub(super) struct Item {
    pub id: Uuid,
    pub revision: i64,
    /// Sent by an edit as `If-Match`; `None` if the item has to be read first.
    pub etag: Option<String>,
    /// Oldest first.
    pub attachments: Vec<Uuid>,
    pub status: ContentItemStatus,
    /// Author of the current revision, by index.
    pub written_by: usize,
    pub decided_by: Vec<usize>,
}

impl Item {
    pub(super) fn read(body: &Value, etag: &Option<String>, written_by: usize) -> Option<Self> {
        let mut item = Self {
            id: read_id(body, "id")?,
            revision: 0,
            etag: None,
            attachments: Vec::new(),
            status: ContentItemStatus::Draft,
            written_by,
            decided_by: Vec::new(),
        };
        item.refresh(body, etag)?;
        Some(item)
    }

    pub(super) fn refresh(&mut self, body: &Value, etag: &Option<String>) -> Option<()> {
        let revision = body.get("revision")?.as_i64()?;
        if revision != self.revision {
            self.decided_by.clear();
        }
        self.revision = revision;
        self.status = read_status(body, "status")?;
        self.etag = Some(etag.clone()?);
        Some(())
    }

    pub(super) fn is_in_the_works(&self) -> bool {
        use ContentItemStatus::{Archived, Published, Scheduled};
        !matches!(self.status, Scheduled | Published | Archived)
    }

    pub(super) fn may_be_decided_by(&self, person: usize) -> bool {
        self.status == ContentItemStatus::InApproval
            && self.written_by != person
            && !self.decided_by.contains(&person)
    }

    pub(super) fn wishes_of_founder(
        &self,
        position: ItemPosition,
        has_endpoints: bool,
    ) -> Vec<(u32, Intent)> {
        match self.status {
            ContentItemStatus::Approved if has_endpoints => vec![
                (30, Intent::ScheduleContentItem(position)),
                (6, Intent::PublishContentItem(position)),
                (3, Intent::ArchiveContentItem(position)),
            ],
            ContentItemStatus::Approved => vec![
                (30, Intent::MarkContentItemPublished(position)),
                (3, Intent::ArchiveContentItem(position)),
            ],
            ContentItemStatus::PublishFailed => vec![(30, Intent::PublishContentItem(position))],
            _ => Vec::new(),
        }
    }

    pub(super) fn wishes_of_author(&self, position: ItemPosition) -> Vec<(u32, Intent)> {
        use ContentItemStatus::{ChangesRequested, Draft, Rejected};
        let needs_edit = matches!(self.status, ChangesRequested | Rejected);
        match self.status {
            _ if self.etag.is_none() && needs_edit => vec![(30, Intent::ReadContentItem(position))],
            _ if needs_edit => vec![(30, Intent::EditContentItem(position))],
            Draft => {
                let mut wishes = vec![(25, Intent::SubmitContentItem(position))];
                // An item has to be read before it can be edited.
                wishes.extend(self.etag.as_ref().map(|_| (6, Intent::EditContentItem(position))));
                if self.etag.is_some() && self.attachments.len() < ATTACHMENTS {
                    wishes.push((6, Intent::AttachFile(position)));
                }
                wishes
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn read_id(body: &Value, field: &str) -> Option<Uuid> {
    body.get(field)?.as_str()?.parse().ok()
}

pub(super) fn read_status(body: &Value, field: &str) -> Option<ContentItemStatus> {
    vocabulary::parse(body.get(field)?.as_str()?).ok()
}
