-- crm: phase=verify tx=yes lock_timeout=300ms statement_timeout=60s
-- crm: app_level=2

-- the email of a contact is its primary address
select c.id
from customer.contact c
where c.email is not null
  and not exists (
    select from customer.contact_email e where e.contact_id = c.id and e.is_primary and e.email = c.email
  );

-- a primary address is the email of its contact
select e.contact_id
from customer.contact_email e
join customer.contact c on c.id = e.contact_id
where e.is_primary and c.email is distinct from e.email;
