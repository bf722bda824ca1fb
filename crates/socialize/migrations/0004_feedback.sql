-- What users tell the operator about Socialize.

create table feedback_reports (
    id uuid not null,
    reporter_id uuid not null,
    -- Where the reporter was, if anywhere. The report stays when the organization is deleted.
    organization_id uuid,
    kind text not null,
    status text not null,
    body text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- The operator who last changed the status.
    triaged_by uuid,
    constraint feedback_reports_pkey primary key (id),
    constraint feedback_reports_reporter_id_fkey foreign key (reporter_id) references users (id) on delete restrict,
    constraint feedback_reports_organization_id_fkey foreign key (organization_id) references organizations (id) on delete set null,
    constraint feedback_reports_triaged_by_fkey foreign key (triaged_by) references users (id) on delete restrict,
    constraint feedback_reports_kind_known check (kind in ('bug', 'idea', 'question', 'other')),
    constraint feedback_reports_status_known check (status in ('new', 'triaged', 'in_progress', 'resolved', 'dismissed')),
    constraint feedback_reports_body_length check (char_length(body) between 1 and 5000)
);

-- The operators' list, whole or by status, and a reporter's own.
create index feedback_reports_page_idx on feedback_reports (created_at desc, id desc);
create index feedback_reports_status_page_idx on feedback_reports (status, created_at desc, id desc);
create index feedback_reports_reporter_page_idx on feedback_reports (reporter_id, created_at desc, id desc);
create index feedback_reports_organization_id_idx on feedback_reports (organization_id);
