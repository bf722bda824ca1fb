-- Quotas: how much of the server one customer may use. The numbers are settings; here is what they are compared with.

-- The organization whose storage a file counts for. It stands beside the file, because when an organization is deleted its items are
-- gone before their files.
alter table attachments add column organization_id uuid;
update attachments as attachment
set organization_id = workspaces.organization_id
from content_items join workspaces on workspaces.id = content_items.workspace_id
where content_items.id = attachment.content_item_id;
alter table attachments alter column organization_id set not null;

create table organization_storage (
    organization_id uuid not null,
    -- Of all attachments, maintained by triggers.
    bytes bigint not null,
    constraint organization_storage_pkey primary key (organization_id),
    constraint organization_storage_organization_id_fkey foreign key (organization_id) references organizations (id) on delete cascade,
    constraint organization_storage_bytes_range check (bytes >= 0)
);
insert into organization_storage (organization_id, bytes)
select organization_id, sum(size) from attachments group by organization_id;
-- Finds the largest.
create index organization_storage_bytes_idx on organization_storage (bytes);

create function find_attachment_organization() returns trigger language plpgsql as $$
begin
    select workspaces.organization_id into new.organization_id
    from content_items join workspaces on workspaces.id = content_items.workspace_id
    where content_items.id = new.content_item_id;
    return new;
end
$$;
create trigger attachments_find_organization before insert on attachments
    for each row execute function find_attachment_organization();

create function count_organization_storage() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into organization_storage as storage (organization_id, bytes)
        select organization_id, sum(size) from changed group by organization_id order by organization_id
        on conflict (organization_id) do update set bytes = storage.bytes + excluded.bytes;
    else
        -- With an organization its row is deleted as well, before or after its files.
        update organization_storage as storage set bytes = storage.bytes - gone.bytes
        from (select organization_id, sum(size) as bytes from changed group by organization_id) as gone
        where storage.organization_id = gone.organization_id;
    end if;
    return null;
end
$$;
create trigger attachments_count_inserted after insert on attachments
    referencing new table as changed for each statement execute function count_organization_storage();
create trigger attachments_count_deleted after delete on attachments
    referencing old table as changed for each statement execute function count_organization_storage();

-- The bytes of an organization, which nobody else changes before this transaction ends. A function has a snapshot of its own for each
-- statement, so it sees what was committed while it waited.
create function lock_organization_storage(organization uuid) returns bigint language plpgsql as $$
declare
    used bigint;
begin
    insert into organization_storage (organization_id, bytes) values (organization, 0) on conflict do nothing;
    select bytes into used from organization_storage where organization_id = organization for update;
    return used;
end
$$;

-- The organizations that a user has created and that still exist. One transaction of the user at a time may ask.
create function lock_organizations_of(creator uuid) returns bigint language plpgsql as $$
begin
    perform from users where id = creator for no key update;
    return (select count(*) from organizations where created_by = creator);
end
$$;
create index organizations_created_by_idx on organizations (created_by);

-- The workspaces of an organization. One transaction at a time may ask.
create function lock_workspaces_of(organization uuid) returns bigint language plpgsql as $$
begin
    perform from organizations where id = organization for no key update;
    return (select count(*) from workspaces where organization_id = organization);
end
$$;
