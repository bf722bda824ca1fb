-- Customers, their workspaces, and who may do what there.

create table organizations (
    id uuid not null,
    name text not null,
    -- Restricts the deletion of a user who created something: history keeps its authors.
    created_by uuid not null,
    created_at timestamptz not null,
    constraint organizations_pkey primary key (id),
    constraint organizations_created_by_fkey foreign key (created_by) references users (id) on delete restrict,
    constraint organizations_name_length check (char_length(name) between 1 and 100)
);

create table organization_members (
    organization_id uuid not null,
    user_id uuid not null,
    role text not null,
    created_at timestamptz not null,
    constraint organization_members_pkey primary key (organization_id, user_id),
    constraint organization_members_organization_id_fkey foreign key (organization_id)
        references organizations (id) on delete cascade,
    constraint organization_members_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint organization_members_role_known check (role in ('owner', 'admin', 'member'))
);

-- "My organizations".
create index organization_members_user_id_idx on organization_members (user_id);
-- Cursor pages of the members of an organization.
create index organization_members_page_idx on organization_members (organization_id, created_at desc, user_id desc);

create table workspaces (
    id uuid not null,
    organization_id uuid not null,
    name text not null,
    required_approvals integer not null,
    -- Whether somebody may decide on a revision that they wrote.
    allow_self_approval boolean not null default false,
    -- The last mutating action by a member, touched at most every few minutes so that a busy workspace does not become
    -- one hot row.
    last_active_at timestamptz not null,
    created_at timestamptz not null,
    constraint workspaces_pkey primary key (id),
    -- Lets workspace_members refer to both together.
    constraint workspaces_id_organization_id_key unique (id, organization_id),
    constraint workspaces_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint workspaces_name_length check (char_length(name) between 1 and 100),
    constraint workspaces_required_approvals_range check (required_approvals between 1 and 5)
);

create index workspaces_page_idx on workspaces (organization_id, created_at desc, id desc);

create table workspace_members (
    workspace_id uuid not null,
    -- Repeated here for one reason: a member of a workspace is a member of its organization, and whoever leaves the
    -- organization leaves its workspaces in the same statement. No handler can forget that.
    organization_id uuid not null,
    user_id uuid not null,
    role text not null,
    created_at timestamptz not null,
    constraint workspace_members_pkey primary key (workspace_id, user_id),
    constraint workspace_members_workspace_fkey foreign key (workspace_id, organization_id)
        references workspaces (id, organization_id) on delete cascade,
    constraint workspace_members_organization_member_fkey foreign key (organization_id, user_id)
        references organization_members (organization_id, user_id) on delete cascade,
    constraint workspace_members_role_known check (role in ('manager', 'author', 'reviewer'))
);

create index workspace_members_organization_member_idx on workspace_members (organization_id, user_id);
create index workspace_members_user_id_idx on workspace_members (user_id);
create index workspace_members_page_idx on workspace_members (workspace_id, created_at desc, user_id desc);

-- Like email_tokens, an invite stores no token: the link is derived from the id and the server's secret.
create table workspace_invites (
    id uuid not null,
    workspace_id uuid not null,
    email text not null,
    role text not null,
    status text not null,
    invited_by uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    accepted_by uuid,
    -- When it was accepted or revoked, or found to be expired.
    closed_at timestamptz,
    constraint workspace_invites_pkey primary key (id),
    constraint workspace_invites_workspace_id_fkey foreign key (workspace_id) references workspaces (id) on delete cascade,
    constraint workspace_invites_invited_by_fkey foreign key (invited_by) references users (id) on delete restrict,
    constraint workspace_invites_accepted_by_fkey foreign key (accepted_by) references users (id) on delete restrict,
    constraint workspace_invites_email_normalised check (email = lower(email collate "C") and email = btrim(email) and position('@' in email) > 1),
    constraint workspace_invites_email_length check (char_length(email) between 3 and 254),
    constraint workspace_invites_role_known check (role in ('manager', 'author', 'reviewer')),
    constraint workspace_invites_status_known check (status in ('pending', 'accepted', 'revoked', 'expired')),
    constraint workspace_invites_expires_after_creation check (expires_at > created_at),
    constraint workspace_invites_accepted_by_somebody check ((status = 'accepted') = (accepted_by is not null)),
    constraint workspace_invites_closed_unless_pending check ((status = 'pending') = (closed_at is null))
);

-- One usable link per person and workspace; an invite past its time must be marked expired before the next is made.
create unique index workspace_invites_one_pending on workspace_invites (workspace_id, email) where status = 'pending';
create index workspace_invites_page_idx on workspace_invites (workspace_id, created_at desc, id desc);
-- Expiry, and the number of pending invites, at a cost that does not grow with history.
create index workspace_invites_pending_idx on workspace_invites (expires_at) where status = 'pending';
