-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s
-- crm: app_level=1
--
-- Pipelines with stages, opportunities and the history of their stages.
-- account_id and contact_id name records of the customer service; that service owns them, so no key refers to them here.
-- run_id is the nil uuid on real rows and the id of the test run on synthetic ones: one comparison keeps them apart.

create table sales.stage_kind (
  code text primary key,
  label text not null
);

insert into sales.stage_kind (code, label) values ('open', 'Open'), ('won', 'Won'), ('lost', 'Lost');

create table sales.lost_reason (
  code text primary key,
  label text not null,
  position int not null
);

insert into sales.lost_reason (code, label, position) values
  ('price', 'Price too high', 1),
  ('competitor', 'Went to a competitor', 2),
  ('no_budget', 'No budget', 3),
  ('no_decision', 'No decision was taken', 4),
  ('missing_feature', 'A feature was missing', 5),
  ('other', 'Another reason', 6);

create table sales.pipeline (
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
  constraint pipeline_external_pair check ((external_source is null) = (external_id is null))
);

create unique index pipeline_external_key on sales.pipeline (run_id, external_source, external_id) where deleted_at is null;
create index pipeline_synthetic on sales.pipeline (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index pipeline_by_created on sales.pipeline (run_id, created_at, id) where deleted_at is null;
create index pipeline_by_name on sales.pipeline (run_id, name, id) where deleted_at is null;

create table sales.stage (
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
  pipeline_id uuid not null references sales.pipeline (id),
  name text not null,
  position int not null,
  -- Percent of the amount that an open opportunity in this stage is worth in the forecast.
  probability int not null check (probability between 0 and 100),
  kind text not null constraint stage_kind_known references sales.stage_kind (code),
  constraint stage_external_pair check ((external_source is null) = (external_id is null)),
  constraint stage_of_pipeline unique (pipeline_id, id),
  constraint stage_position_once unique (pipeline_id, position)
);

create unique index stage_external_key on sales.stage (run_id, external_source, external_id) where deleted_at is null;
create index stage_synthetic on sales.stage (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index stage_by_created on sales.stage (run_id, created_at, id) where deleted_at is null;

create table sales.opportunity (
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
  account_id uuid,
  contact_id uuid,
  amount numeric(18,4) not null check (amount >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  pipeline_id uuid not null,
  stage_id uuid not null,
  -- The kind of the stage it is in; kept here so that lists and the forecast need not join to filter.
  state text not null references sales.stage_kind (code),
  -- Whole milliseconds, as in stage_move.
  stage_entered_at timestamptz not null default date_trunc('milliseconds', now()),
  -- The stage before it was won or lost, for reports on where deals end.
  last_open_stage_id uuid references sales.stage (id),
  probability_override int check (probability_override between 0 and 100),
  expected_close_date date not null,
  closed_at timestamptz,
  lost_reason text constraint opportunity_lost_reason_known references sales.lost_reason (code),
  lost_notes text,
  next_step text,
  constraint opportunity_external_pair check ((external_source is null) = (external_id is null)),
  constraint opportunity_stage_of_pipeline foreign key (pipeline_id, stage_id) references sales.stage (pipeline_id, id)
);

create unique index opportunity_external_key on sales.opportunity (run_id, external_source, external_id) where deleted_at is null;
create index opportunity_synthetic on sales.opportunity (run_id) where run_id <> '00000000-0000-0000-0000-000000000000';
create index opportunity_by_created on sales.opportunity (run_id, created_at, id) where deleted_at is null;
create index opportunity_by_updated on sales.opportunity (run_id, updated_at, id) where deleted_at is null;
create index opportunity_by_close_date on sales.opportunity (run_id, expected_close_date, id) where deleted_at is null;
create index opportunity_by_closed on sales.opportunity (run_id, closed_at) where deleted_at is null;
create index opportunity_by_amount on sales.opportunity (run_id, amount, id) where deleted_at is null;
create index opportunity_by_stage on sales.opportunity (stage_id, created_at, id) where deleted_at is null;
create index opportunity_by_pipeline on sales.opportunity (pipeline_id, created_at, id) where deleted_at is null;
create index opportunity_by_account on sales.opportunity (account_id, created_at, id) where deleted_at is null;

create table sales.stage_move (
  id uuid primary key,
  opportunity_id uuid not null references sales.opportunity (id),
  from_stage_id uuid references sales.stage (id),
  to_stage_id uuid not null references sales.stage (id),
  moved_at timestamptz not null,
  moved_by text not null,
  -- Time spent in from_stage_id. Whole milliseconds, so that the sum over a history is exact.
  duration_ms bigint not null check (duration_ms >= 0)
);

create index stage_move_by_opportunity on sales.stage_move (opportunity_id, moved_at, id);
