-- Who changed who may do what, and what protects approval. Rows are written in the transaction that makes the change and never changed.

create table audit_events (
    id uuid not null,
    -- Whose owners can list it. Null for what concerns the platform. Deleting an organization takes its rows along.
    organization_id uuid,
    -- Not a foreign key, nor are the others: a row outlives what it is about.
    workspace_id uuid,
    -- Null where it was done on the machine, by a command, or by Socialize itself.
    actor_id uuid,
    action text not null,
    -- Whom or what it is about: a user, or nothing but the workspace.
    target_id uuid,
    -- A role, a number, a truth value, or the URL of a publishing endpoint. Null for what was not there, or is not any more.
    before text,
    after text,
    -- Names the request in the operator's logs.
    request_id text,
    created_at timestamptz not null,
    constraint audit_events_pkey primary key (id),
    constraint audit_events_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint audit_events_action_known check (action in (
        'organization_member_added', 'organization_role_changed', 'organization_member_removed', 'workspace_member_added',
        'workspace_role_changed', 'workspace_member_removed', 'required_approvals_changed', 'self_approval_changed',
        'publishing_endpoint_set', 'publishing_secret_rotated', 'publishing_endpoint_deleted', 'workspace_deleted',
        'organization_deleted', 'operator_added', 'operator_removed', 'user_erased'
    )),
    constraint audit_events_request_id_is_a_trace_id check (request_id ~ '^[0-9a-f]{32}$')
);

create index audit_events_page_idx on audit_events (organization_id, created_at desc, id desc);
