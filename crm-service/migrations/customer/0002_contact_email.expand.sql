-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s
-- crm: app_level=2
--
-- Several addresses for a contact, one of them primary. Until the contract, contact.email and the primary address are
-- kept the same from both sides: releases of app level 1 know only the column, those of level 2 only the table.
--
-- A release of level 2 serves before the backfill is done. It therefore reads addresses from the view, which shows a
-- column that was not copied yet as the primary address, and updates the contact's row (its version) before it changes
-- an address, which copies the column first and takes the locks in one order with everybody else.

create table customer.contact_email (
  contact_id uuid not null constraint contact_email_contact_known references customer.contact (id) on delete cascade,
  email text not null,
  email_norm text not null generated always as (lower(email)) stored,
  label text not null default 'work',
  is_primary boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (contact_id, email_norm)
);

create unique index contact_email_one_primary on customer.contact_email (contact_id) where is_primary;
-- Not unique: addresses such as info@ are shared by real people.
create index contact_email_by_norm on customer.contact_email (email_norm);

-- The column goes to the table. Also for an update that leaves the address alone: the row may not be copied yet.
create function customer.contact_email_from_contact() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and new.email is not distinct from old.email then
    insert into customer.contact_email (contact_id, email, is_primary)
      select new.id, new.email, true
      where new.email is not null
        and not exists (select from customer.contact_email e where e.contact_id = new.id and e.is_primary)
      on conflict (contact_id, email_norm) do update set is_primary = true, email = excluded.email;
    return null;
  end if;
  delete from customer.contact_email
    where contact_id = new.id and is_primary and (new.email is null or email_norm <> lower(new.email));
  if new.email is not null then
    insert into customer.contact_email (contact_id, email, is_primary) values (new.id, new.email, true)
      on conflict (contact_id, email_norm) do update set is_primary = true, email = excluded.email
      where not contact_email.is_primary or contact_email.email <> excluded.email;
  end if;
  return null;
end $$;

create trigger contact_email_forward after insert or update on customer.contact for each row
  when (pg_trigger_depth() = 0) execute function customer.contact_email_from_contact();

-- The table goes to the column. Only a change of a primary address: others are none of level 1's business.
create function customer.contact_from_contact_email() returns trigger language plpgsql as $$
declare
  changed uuid := coalesce(new.contact_id, old.contact_id);
  address text := (select e.email from customer.contact_email e where e.contact_id = changed and e.is_primary);
begin
  if coalesce(new.is_primary, false) or coalesce(old.is_primary, false) then
    update customer.contact c set email = address where c.id = changed and c.email is distinct from address;
  end if;
  return null;
end $$;

create trigger contact_email_reverse after insert or update or delete on customer.contact_email for each row
  when (pg_trigger_depth() = 0) execute function customer.contact_from_contact_email();

-- What releases of level 2 read; the contract takes the second half away. Nobody reads deleted contacts, and an address
-- is found by the index that release 1 has of the others.
create view customer.contact_emails as
  select contact_id, email, email_norm, label, is_primary, created_at
    from customer.contact_email
  union all
  select c.id, c.email, lower(c.email), 'work', true, c.created_at
    from customer.contact c
    where c.email is not null and c.deleted_at is null
      and not exists (select from customer.contact_email e where e.contact_id = c.id and e.is_primary);
