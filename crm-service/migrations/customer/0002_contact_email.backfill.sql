-- crm: phase=backfill tx=yes lock_timeout=300ms statement_timeout=5s
-- crm: app_level=2
-- crm: table=customer.contact key=id batch=1000 analyze=customer.contact_email
--
-- Copies the one address of each contact; what a trigger has copied already stays. The contact's row is only locked:
-- its version and its time of change are about what people did.

insert into customer.contact_email (contact_id, email, is_primary)
select c.id, c.email, true
from customer.contact c
where c.id = any ($1::uuid[]) and c.email is not null
on conflict do nothing;
