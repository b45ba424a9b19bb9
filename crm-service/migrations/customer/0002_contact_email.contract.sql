-- crm: phase=contract tx=yes lock_timeout=300ms statement_timeout=5s
-- crm: app_level=2
-- crm: min_app_level=2 requires_backfill=contact_email requires_soak=10s
--
-- Nobody knows contact.email any more: the column goes with its index, and so does what kept it in step.

drop trigger contact_email_forward on customer.contact;
drop trigger contact_email_reverse on customer.contact_email;
drop function customer.contact_email_from_contact();
drop function customer.contact_from_contact_email();

create or replace view customer.contact_emails as
  select contact_id, email, email_norm, label, is_primary, created_at
    from customer.contact_email;

alter table customer.contact drop column email;
