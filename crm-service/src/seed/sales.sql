-- Ids are made of names, so that running this again finds the rows there.
insert into sales.pipeline (id, created_by, updated_by, owner_id, external_source, external_id, name)
select md5('seed pipeline ' || n)::uuid, 'seed', 'seed', 'manager', 'seed', 'pipeline-' || n, (array['New business', 'Renewals'])[n]
from generate_series(1, 2) as n
on conflict (id) do nothing;

insert into sales.stage (id, created_by, updated_by, owner_id, external_source, external_id, pipeline_id, name, position, probability, kind)
select md5('seed stage ' || p || ' ' || n)::uuid, 'seed', 'seed', 'manager', 'seed', 'stage-' || p || '-' || n, md5('seed pipeline ' || p)::uuid,
       (array['Prospecting', 'Qualified', 'Proposal', 'Negotiation', 'Won', 'Lost'])[n], n, (array[10, 25, 50, 80, 100, 0])[n],
       (array['open', 'open', 'open', 'open', 'won', 'lost'])[n]
from generate_series(1, 2) as p cross join generate_series(1, 6) as n
on conflict (id) do nothing;

insert into sales.opportunity
  (id, created_at, created_by, updated_by, owner_id, external_source, external_id, name, account_id, contact_id, amount, currency, pipeline_id,
   stage_id, state, stage_entered_at, last_open_stage_id, probability_override, expected_close_date, closed_at, lost_reason, next_step)
select md5('seed opportunity ' || n)::uuid, timestamptz '2026-01-05 09:00:00+00' + n * interval '1 hour', 'seed', 'seed', 'rep-' || n % 7,
       'seed', 'opportunity-' || n, 'Deal ' || n, md5('seed account ' || n % 200 + 1)::uuid,
       case when n % 4 = 0 then null else md5('seed contact ' || n)::uuid end,
       (n * 1237 % 100000 + 250)::numeric(18,4) + (n % 10000)::numeric / 10000, (array['EUR', 'USD', 'EUR'])[n % 3 + 1],
       md5('seed pipeline ' || n % 2 + 1)::uuid, md5('seed stage ' || n % 2 + 1 || ' ' || n % 6 + 1)::uuid,
       (array['open', 'open', 'open', 'open', 'won', 'lost'])[n % 6 + 1],
       timestamptz '2026-01-06 09:00:00+00' + n * interval '1 hour',
       case when n % 6 >= 4 then md5('seed stage ' || n % 2 + 1 || ' 4')::uuid end,
       case when n % 25 = 0 then 60 end, date '2026-02-01' + n * 7 % 730,
       case when n % 6 >= 4 then timestamptz '2026-01-06 09:00:00+00' + n * interval '1 hour' end,
       case when n % 6 = 5 then (array['price', 'competitor', 'other'])[n % 3 + 1] end,
       case when n % 5 = 0 then 'Send the offer' end
from generate_series(1, 300) as n
on conflict (id) do nothing;

-- Closed ones came from the fourth stage a day after they were made; the others were made in their stage.
insert into sales.stage_move (id, opportunity_id, from_stage_id, to_stage_id, moved_at, moved_by, duration_ms)
select md5('seed move ' || o.external_id || ' 1')::uuid, o.id, null, coalesce(o.last_open_stage_id, o.stage_id),
       case when o.state = 'open' then o.stage_entered_at else o.created_at end, 'seed', 0
from sales.opportunity o where o.external_source = 'seed'
on conflict (id) do nothing;

insert into sales.stage_move (id, opportunity_id, from_stage_id, to_stage_id, moved_at, moved_by, duration_ms)
select md5('seed move ' || o.external_id || ' 2')::uuid, o.id, o.last_open_stage_id, o.stage_id, o.stage_entered_at, 'seed',
       (extract(epoch from o.stage_entered_at - o.created_at) * 1000)::bigint
from sales.opportunity o where o.external_source = 'seed' and o.state <> 'open'
on conflict (id) do nothing;
