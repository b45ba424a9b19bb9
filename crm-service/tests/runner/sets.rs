//! Small histories for the tests. The long one has every kind of step: transactional, an index outside of a
//! transaction, a backfill, assertions and a contract.

use crm_service::migrate::set::Set;
use crm_service::service::Service;

pub type Files = Vec<(String, String)>;

pub const BASE: &str = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s app_level=1
create table customer.person (id int primary key, name text not null, mail text, note text not null default '');
create index person_name on customer.person (name);
insert into customer.person (id, name, mail) values (1, 'a', 'a@example.org'), (2, 'b', null), (3, 'c', 'c@example.org');";

pub const MAIL: &str = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s app_level=2
create table customer.person_mail (
  person_id int primary key references customer.person (id), mail text not null);
create function customer.person_mail_from_person() returns trigger language plpgsql as $$
begin
  delete from customer.person_mail where person_id = new.id;
  insert into customer.person_mail (person_id, mail) select new.id, new.mail where new.mail is not null;
  return null;
end $$;
create trigger person_mail_forward after insert or update of mail on customer.person for each row
  when (pg_trigger_depth() = 0) execute function customer.person_mail_from_person();";

pub const INDEX: &str =
    "-- crm: phase=expand tx=no lock_timeout=10s statement_timeout=60s app_level=2
create unique index concurrently person_mail_once on customer.person_mail (mail);";

pub const BACKFILL: &str =
    "-- crm: phase=backfill tx=yes lock_timeout=300ms statement_timeout=5s app_level=2
-- crm: table=customer.person key=id batch=2 analyze=customer.person_mail
insert into customer.person_mail (person_id, mail)
select id, mail from customer.person where id = any ($1::int[]) and mail is not null
on conflict do nothing;";

pub const VERIFY: &str = "-- crm: phase=verify tx=yes lock_timeout=300ms statement_timeout=5s app_level=2

-- every mail of a person is in person_mail
select p.id from customer.person p where p.mail is not null
  and not exists (select from customer.person_mail m where m.person_id = p.id and m.mail = p.mail);";

pub const CONTRACT: &str =
    "-- crm: phase=contract tx=yes lock_timeout=300ms statement_timeout=5s app_level=2
-- crm: min_app_level=2 requires_backfill=mail requires_soak=60s
drop trigger person_mail_forward on customer.person;
drop function customer.person_mail_from_person();
alter table customer.person drop column mail;";

fn owned(files: &[(&str, &str)]) -> Files {
    let files = files
        .iter()
        .map(|(name, text)| (name.to_string(), text.to_string()));
    files.collect()
}

/// What the first release brings.
pub fn first() -> Files {
    owned(&[("0001_base.expand.sql", BASE)])
}

/// What the second release brings on top.
pub fn second() -> Files {
    let mut files = first();
    files.extend(owned(&[
        ("0002_mail.expand.sql", MAIL),
        ("0002_mail.backfill.sql", BACKFILL),
        ("0002_mail.verify.sql", VERIFY),
        ("0002_mail.contract.sql", CONTRACT),
        ("0003_mail_once.expand.sql", INDEX),
    ]));
    files
}

pub fn set(app_level: i32, files: &Files) -> Set {
    let files = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    Set::new(Service::Customer, app_level, files).unwrap()
}

pub fn v1() -> Set {
    set(1, &first())
}

pub fn v2() -> Set {
    set(2, &second())
}

/// The first release plus one more expand.
pub fn first_and(name: &str, text: &str) -> Set {
    let mut files = first();
    files.push((name.to_owned(), text.to_owned()));
    set(2, &files)
}
