-- Uploaded files. Their content lies in the blob store under the id of their row; here is what is known of it.

create table attachments (
    -- Also names the blob.
    id uuid not null,
    content_item_id uuid not null,
    -- As whoever uploaded it called it.
    file_name text,
    media_type text not null,
    size bigint not null,
    -- SHA-256 of the content, computed while it arrived and compared whenever it is sent.
    checksum bytea not null,
    uploaded_by uuid not null,
    created_at timestamptz not null,
    constraint attachments_pkey primary key (id),
    constraint attachments_content_item_id_fkey foreign key (content_item_id) references content_items (id) on delete cascade,
    constraint attachments_uploaded_by_fkey foreign key (uploaded_by) references users (id) on delete restrict,
    constraint attachments_file_name_length check (char_length(file_name) between 1 and 255),
    constraint attachments_media_type_known check (media_type in (
        'image/png', 'image/jpeg', 'image/gif', 'image/webp', 'video/mp4', 'application/pdf'
    )),
    constraint attachments_size_range check (size between 1 and 26214400),
    constraint attachments_checksum_size check (octet_length(checksum) = 32)
);

create index attachments_content_item_id_idx on attachments (content_item_id, id);

create table feedback_screenshots (
    -- Names the blob. A screenshot that replaces another is another row, so a blob never changes.
    blob_id uuid not null,
    feedback_report_id uuid not null,
    media_type text not null,
    size bigint not null,
    checksum bytea not null,
    created_at timestamptz not null,
    constraint feedback_screenshots_pkey primary key (blob_id),
    constraint feedback_screenshots_one_per_report unique (feedback_report_id),
    constraint feedback_screenshots_feedback_report_id_fkey foreign key (feedback_report_id) references feedback_reports (id) on delete cascade,
    constraint feedback_screenshots_media_type_listed check (media_type in ('image/png', 'image/jpeg', 'image/webp')),
    constraint feedback_screenshots_size_range check (size between 1 and 5242880),
    constraint feedback_screenshots_checksum_size check (octet_length(checksum) = 32)
);

-- Blobs that no row refers to: not yet, or not any more.
--
-- An upload inserts its row before it stores anything and deletes it in the transaction that inserts the row which refers to
-- the blob. So whatever dies in between, it is known here what it may have left behind, and nothing refers to a blob that
-- was not stored. The clean-up first marks a row as abandoned: from then on the upload cannot be finished any more.
create table unreferenced_blobs (
    blob_id uuid not null,
    -- Names the upload at an S3 server that keeps the parts of an unfinished one, where there is one.
    parts_id text,
    created_at timestamptz not null,
    is_abandoned boolean not null default false,
    constraint unreferenced_blobs_pkey primary key (blob_id)
);

-- However a row goes, by a request or with what it belongs to, its blob is not forgotten.
create function note_unreferenced_blobs() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'attachments' then
        insert into unreferenced_blobs (blob_id, created_at, is_abandoned) select id, now(), true from gone;
    else
        insert into unreferenced_blobs (blob_id, created_at, is_abandoned) select blob_id, now(), true from gone;
    end if;
    return null;
end
$$;

create trigger attachments_note_unreferenced_blobs after delete on attachments
    referencing old table as gone for each statement execute function note_unreferenced_blobs();
create trigger feedback_screenshots_note_unreferenced_blobs after delete on feedback_screenshots
    referencing old table as gone for each statement execute function note_unreferenced_blobs();
