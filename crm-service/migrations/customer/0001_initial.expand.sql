-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s
-- crm: app_level=1
--
-- Accounts, contacts (one email each) and notes.
-- States are text with a lookup table, so that a release can read what only a later one writes.
-- run_id is the nil uuid on real rows and the id of the test run on synthetic ones: one comparison keeps them apart.

create table customer.account_kind (
  code text primary key,
  label text not null,
  position int not null
);

insert into customer.account_kind (code, label, position) values
  ('prospect', 'Prospect', 1),
  ('customer', 'Customer', 2),
  ('partner', 'Partner', 3),
  ('reseller', 'Reseller', 4),
  ('investor', 'Investor', 5);

create table customer.account (
  id uuid primary key,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null,
  updated_at timestamptz not null default now(),
  updated_by text not null,
  deleted_at timestamptz,
  owner_id text not null,
  external_source text,
  external_id text,
  run_id uuid not null default '00000000-0000-0000-0000-000000000000',
  synthetic boolean not null generated always as (run_id <> '00000000-0000-0000-0000-000000000000') stored,
  name text not null,
  kind text not null constraint account_kind_known references customer.account_kind (code),
  industry text,
  website text,
  phone text,
  description text,
  constraint account_external_pair check ((external_source is null) = (external_id is null))
);

create unique index account_external_key on customer.account (run_id, external_source, external_id) where deleted_at is null;
create index account_synthetic on customer.account (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index account_by_created on customer.account (run_id, created_at, id) where deleted_at is null;
create index account_by_updated on customer.account (run_id, updated_at, id) where deleted_at is null;
create index account_by_name on customer.account (run_id, name, id) where deleted_at is null;

create table customer.contact (
  id uuid primary key,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null,
  updated_at timestamptz not null default now(),
  updated_by text not null,
  deleted_at timestamptz,
  owner_id text not null,
  external_source text,
  external_id text,
  run_id uuid not null default '00000000-0000-0000-0000-000000000000',
  synthetic boolean not null generated always as (run_id <> '00000000-0000-0000-0000-000000000000') stored,
  account_id uuid constraint contact_account_known references customer.account (id),
  first_name text,
  last_name text not null,
  title text,
  -- Not unique: addresses such as info@ are shared by real people.
  email text,
  phone text,
  constraint contact_external_pair check ((external_source is null) = (external_id is null))
);

create unique index contact_external_key on customer.contact (run_id, external_source, external_id) where deleted_at is null;
create index contact_synthetic on customer.contact (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index contact_by_created on customer.contact (run_id, created_at, id) where deleted_at is null;
create index contact_by_updated on customer.contact (run_id, updated_at, id) where deleted_at is null;
create index contact_by_last_name on customer.contact (run_id, last_name, id) where deleted_at is null;
create index contact_by_account on customer.contact (account_id, created_at, id) where deleted_at is null;
create index contact_by_email on customer.contact (lower(email)) where deleted_at is null;

create table customer.note (
  id uuid primary key,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null,
  updated_at timestamptz not null default now(),
  updated_by text not null,
  deleted_at timestamptz,
  owner_id text not null,
  external_source text,
  external_id text,
  run_id uuid not null default '00000000-0000-0000-0000-000000000000',
  synthetic boolean not null generated always as (run_id <> '00000000-0000-0000-0000-000000000000') stored,
  account_id uuid constraint note_account_known references customer.account (id),
  contact_id uuid constraint note_contact_known references customer.contact (id),
  body text not null,
  constraint note_external_pair check ((external_source is null) = (external_id is null)),
  constraint note_one_subject check (num_nonnulls(account_id, contact_id) = 1)
);

create unique index note_external_key on customer.note (run_id, external_source, external_id) where deleted_at is null;
create index note_synthetic on customer.note (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index note_by_created on customer.note (run_id, created_at, id) where deleted_at is null;
create index note_by_updated on customer.note (run_id, updated_at, id) where deleted_at is null;
create index note_by_account on customer.note (account_id, created_at, id) where deleted_at is null;
create index note_by_contact on customer.note (contact_id, created_at, id) where deleted_at is null;
