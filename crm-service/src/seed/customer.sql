-- Ids are made of names, so that running this again finds the rows there.
insert into customer.account (id, created_by, updated_by, owner_id, external_source, external_id, name, kind, industry, website, phone)
select md5('seed account ' || n)::uuid, 'seed', 'seed', 'rep-' || n % 7, 'seed', 'account-' || n,
       (array['Northwind', 'Blue Harbour', 'Kestrel', 'Oakfield', 'Silverline', 'Granite', 'Lantern', 'Meridian'])[n % 8 + 1]
         || ' ' || (array['Trading', 'Logistics', 'Foods', 'Systems', 'Energy'])[n % 5 + 1] || ' ' || n,
       (array['prospect', 'customer', 'partner', 'reseller', 'investor'])[n % 5 + 1],
       case when n % 4 = 0 then null else (array['retail', 'transport', 'software'])[n % 3 + 1] end,
       case when n % 3 = 0 then null else 'https://company-' || n || '.example' end,
       case when n % 6 = 0 then null else '+49 30 ' || lpad((n * 7919 % 10000000)::text, 7, '0') end
from generate_series(1, 200) as n
on conflict (id) do nothing;

insert into customer.contact (id, created_by, updated_by, owner_id, external_source, external_id, account_id, first_name, last_name, title, phone)
select md5('seed contact ' || n)::uuid, 'seed', 'seed', 'rep-' || n % 7, 'seed', 'contact-' || n,
       case when n % 9 = 0 then null else md5('seed account ' || n % 200 + 1)::uuid end,
       case when n % 11 = 0 then null else (array['Ada', 'José', 'Mei', 'Łukasz', 'Noor', 'Siobhán', 'Tomás'])[n % 7 + 1] end,
       (array['Lindqvist', 'O''Brien', 'Müller', 'Tanaka', 'de la Cruz', 'Nowak'])[n % 6 + 1] || ' ' || n,
       case when n % 2 = 0 then null else (array['Buyer', 'Director', 'Engineer'])[n % 3 + 1] end,
       case when n % 3 = 0 then null else '+44 20 ' || lpad((n * 104729 % 10000000)::text, 7, '0') end
from generate_series(1, 1000) as n
on conflict (id) do nothing;

-- One in ten has no address, one in twenty shares one, some are written in capitals.
insert into customer.contact_email (contact_id, email, is_primary)
select md5('seed contact ' || n)::uuid,
       case when n % 20 = 7 then 'info@company-' || n % 5 || '.example'
            when n % 13 = 0 then 'Person.' || n || '@Company-' || n % 200 || '.Example'
            else 'person.' || n || '@company-' || n % 200 || '.example' end,
       true
from generate_series(1, 1000) as n
where n % 10 <> 0
on conflict do nothing;

-- Some have a second one, and a few a third.
insert into customer.contact_email (contact_id, email, label)
select md5('seed contact ' || n)::uuid, 'person.' || n || '@' || label || '.example', label
from generate_series(1, 1000) as n cross join (values ('home', 8), ('mobile', 40)) as more (label, every)
where n % 10 <> 0 and n % every = 1
on conflict do nothing;

insert into customer.note (id, created_by, updated_by, owner_id, external_source, external_id, account_id, contact_id, body)
select md5('seed note ' || n)::uuid, 'seed', 'seed', 'rep-' || n % 7, 'seed', 'note-' || n,
       case when n % 2 = 0 then md5('seed account ' || n)::uuid end,
       case when n % 2 = 1 then md5('seed contact ' || n)::uuid end,
       'Called about order ' || n || '; will call again.'
from generate_series(1, 100) as n
on conflict (id) do nothing;
