-- An invite is worth what its inviter is. One that somebody created who may not invite any more, cannot be accepted.

-- The rule of the API in one place for all statements that ask: managers of the workspace, and owners and admins of its organization.
create function may_invite(inviter uuid, workspace uuid) returns boolean language sql stable as $$
    select exists (
        select from workspaces w
        join organization_members o on o.organization_id = w.organization_id and o.user_id = inviter
        left join workspace_members m on m.workspace_id = w.id and m.user_id = inviter
        where w.id = workspace and (o.role in ('owner', 'admin') or m.role = 'manager')
    )
$$;

-- Finds what must be revoked when somebody loses the right to invite.
create index workspace_invites_inviter_idx on workspace_invites (invited_by) where status = 'pending';
