-- Content items, their revisions, and what people say about them.

create table content_items (
    id uuid not null,
    workspace_id uuid not null,
    channel text not null,
    status text not null,
    current_revision integer not null,
    scheduled_at timestamptz,
    -- Set while a delivery is under way: what is on its way out must not be edited, moved or archived meanwhile.
    publishing_started_at timestamptz,
    published_at timestamptz,
    status_entered_at timestamptz not null,
    created_by uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- Grows by one with every change; the ETag.
    version bigint not null default 1,
    constraint content_items_pkey primary key (id),
    constraint content_items_workspace_id_fkey foreign key (workspace_id) references workspaces (id) on delete cascade,
    constraint content_items_created_by_fkey foreign key (created_by) references users (id) on delete restrict,
    constraint content_items_channel_known check (channel in ('instagram', 'linkedin', 'facebook', 'x', 'tiktok', 'other')),
    constraint content_items_status_known check (status in (
        'draft', 'in_approval', 'changes_requested', 'rejected', 'approved', 'scheduled', 'published', 'publish_failed', 'archived'
    )),
    constraint content_items_current_revision_positive check (current_revision > 0),
    constraint content_items_version_positive check (version > 0),
    constraint content_items_scheduled_at_set check (status <> 'scheduled' or scheduled_at is not null),
    constraint content_items_publishing_while_scheduled check (status = 'scheduled' or publishing_started_at is null),
    constraint content_items_published_at_set check (status <> 'published' or published_at is not null)
);

-- Cursor pages, newest first, all or of one status. A page of one channel reads the first index and filters.
create index content_items_page_idx on content_items (workspace_id, created_at desc, id desc);
create index content_items_status_page_idx on content_items (workspace_id, status, created_at desc, id desc);

-- What was written. A revision never changes; an edit adds one.
create table content_revisions (
    content_item_id uuid not null,
    number integer not null,
    title text not null,
    -- May be empty: a post can be a picture.
    body text not null,
    author_id uuid not null,
    created_at timestamptz not null,
    constraint content_revisions_pkey primary key (content_item_id, number),
    constraint content_revisions_content_item_id_fkey foreign key (content_item_id) references content_items (id) on delete cascade,
    constraint content_revisions_author_id_fkey foreign key (author_id) references users (id) on delete restrict,
    constraint content_revisions_number_positive check (number > 0),
    constraint content_revisions_title_length check (char_length(title) between 1 and 200),
    constraint content_revisions_body_length check (char_length(body) between 0 and 10000)
);

-- The current revision exists. Checked at commit, because an item and its first revision refer to each other.
alter table content_items
    add constraint content_items_current_revision_fkey foreign key (id, current_revision)
        references content_revisions (content_item_id, number) deferrable initially deferred;

create table approval_decisions (
    id uuid not null,
    content_item_id uuid not null,
    revision_number integer not null,
    reviewer_id uuid not null,
    decision text not null,
    note text,
    created_at timestamptz not null,
    constraint approval_decisions_pkey primary key (id),
    -- To the revision, not the item: a decision says nothing about any other revision.
    constraint approval_decisions_revision_fkey foreign key (content_item_id, revision_number)
        references content_revisions (content_item_id, number) on delete cascade,
    constraint approval_decisions_reviewer_id_fkey foreign key (reviewer_id) references users (id) on delete restrict,
    -- Two requests of one reviewer at the same time cannot count as two approvals. Also the index of the item's decisions.
    constraint approval_decisions_one_per_reviewer unique (content_item_id, revision_number, reviewer_id),
    constraint approval_decisions_decision_known check (decision in ('approve', 'request_changes', 'reject')),
    constraint approval_decisions_note_length check (char_length(note) between 1 and 2000)
);

create table comments (
    id uuid not null,
    content_item_id uuid not null,
    author_id uuid not null,
    body text not null,
    created_at timestamptz not null,
    constraint comments_pkey primary key (id),
    constraint comments_content_item_id_fkey foreign key (content_item_id) references content_items (id) on delete cascade,
    constraint comments_author_id_fkey foreign key (author_id) references users (id) on delete restrict,
    constraint comments_body_length check (char_length(body) between 1 and 5000)
);

create index comments_page_idx on comments (content_item_id, created_at desc, id desc);
