-- Endpoints of workspaces that have published something are not new ones, which get fewer slots.

update publishing_endpoints
set has_answered = true
where exists (
    select from content_items
    where content_items.workspace_id = publishing_endpoints.workspace_id and status = 'published'
);
