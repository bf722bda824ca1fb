-- Where workspaces publish to, and deliveries that end.

create table publishing_endpoints (
    workspace_id uuid not null,
    url text not null,
    -- The signing secret is derived from this id and the server's secret, as the links in e-mails are: whoever reads the
    -- database cannot sign. A new id is a new secret.
    secret_id uuid not null,
    -- Deliveries are signed with the secret before as well for a while, so that receivers can change over without a gap.
    previous_secret_id uuid,
    previous_secret_until timestamptz,
    -- Set when the endpoint says that it wants nothing more; nothing is delivered until a manager sets it again.
    disabled_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint publishing_endpoints_pkey primary key (workspace_id),
    constraint publishing_endpoints_workspace_id_fkey foreign key (workspace_id) references workspaces (id) on delete cascade,
    constraint publishing_endpoints_url_length check (char_length(url) between 10 and 2000),
    constraint publishing_endpoints_previous_secret_whole check ((previous_secret_id is null) = (previous_secret_until is null))
);

-- Why the delivery of an item was given up.
alter table content_items add column publish_failure text;
alter table content_items
    add constraint content_items_publish_failure_known check (publish_failure in (
        'no_endpoint', 'endpoint_gone', 'forbidden_address', 'unreachable', 'not_accepted', 'interrupted'
    ));
alter table content_items
    add constraint content_items_publish_failure_while_failed check (status = 'publish_failed' or publish_failure is null);

-- Deliveries that nobody works on any more are looked for among what is due.
create index content_items_scheduled_at_idx on content_items (scheduled_at) where status = 'scheduled';

-- Jobs of one lane run one after the other: whoever makes one of them slow (a workspace whose endpoint does not answer)
-- makes only the others of the lane wait.
alter table jobs add column lane uuid;
create index jobs_lane_idx on jobs (lane, run_at, id) where status = 'queued' and lane is not null;
