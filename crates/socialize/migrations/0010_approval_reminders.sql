-- When each reviewer was last reminded of an item that waits for them too long, so that nobody is reminded too often.

create table approval_reminders (
    content_item_id uuid not null,
    reviewer_id uuid not null,
    -- What was waiting then.
    revision_number integer not null,
    reminded_at timestamptz not null,
    constraint approval_reminders_pkey primary key (content_item_id, reviewer_id),
    constraint approval_reminders_content_item_id_fkey foreign key (content_item_id) references content_items (id) on delete cascade,
    constraint approval_reminders_reviewer_id_fkey foreign key (reviewer_id) references users (id) on delete cascade
);
