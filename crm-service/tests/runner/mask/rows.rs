//! Rows whose every personal column holds the marker somewhere, and what of a database a mask may not change.

use crm_service::personal::{self, Content};
use crm_service::service::Service;

use crate::scratch::Scratch;

/// Part of every personal value.
pub const MARKER: &str = "geheim";

/// What a release of app level 1 writes. Three contacts: one with all, one with nothing, one that is deleted.
pub const CUSTOMER: &str = "
insert into customer.account (id, created_by, updated_by, owner_id, external_source, external_id, name, kind, industry, website, phone, description)
select md5('a' || n)::uuid, 'geheim@example.org', 'geheim-' || n, 'geheim', 'geheim-crm', 'geheim-' || n, 'Geheim AG', 'customer',
  'geheim', 'https://geheim.example', '+49 geheim', repeat('geheim ', n * 20) from generate_series(1, 5) as n;
insert into customer.contact (id, created_by, updated_by, owner_id, external_source, external_id, account_id, first_name, last_name, title, email, phone, deleted_at)
select md5('c' || n)::uuid, 'geheim', 'geheim', 'geheim', 'geheim-crm', 'geheim-' || n, md5('a' || n)::uuid, 'Geheim', 'Geheim', 'geheim',
  case when n = 4 then 'Info@Geheim.example' else 'info@geheim.example' end, '+49 geheim', case when n = 3 then now() end from generate_series(1, 4) as n;
insert into customer.contact (id, created_by, updated_by, owner_id, last_name) values (md5('c5')::uuid, 'geheim', 'geheim', 'geheim', '');
insert into customer.note (id, created_by, updated_by, owner_id, external_source, external_id, contact_id, body)
select md5('n' || n)::uuid, 'geheim', 'geheim', 'geheim', 'geheim-crm', 'geheim-' || n, md5('c' || n)::uuid, 'geheim ' || n from generate_series(1, 5) as n;";

/// What a release of app level 2 adds: more addresses, of one age, and one for a contact that was not copied yet.
pub const ADDRESSES: &str = "
update customer.contact set version = version + 1 where id = md5('c1')::uuid;
insert into customer.contact_email (contact_id, email, label, created_at)
select md5('c' || n % 2 + 1)::uuid, 'Geheim.' || n || '@geheim.example', 'geheim', '2024-01-01' from generate_series(1, 24) as n;";

pub const SALES: &str = "
insert into sales.pipeline (id, created_by, updated_by, owner_id, external_source, external_id, name)
values (md5('p')::uuid, 'geheim', 'geheim', 'geheim', 'geheim-crm', 'geheim', 'geheim');
insert into sales.stage (id, created_by, updated_by, owner_id, external_source, external_id, pipeline_id, name, position, probability, kind)
select md5('s' || n)::uuid, 'geheim', 'geheim', 'geheim', 'geheim-crm', 'geheim-' || n, md5('p')::uuid, 'geheim', n, n * 10, 'open' from generate_series(1, 3) as n;
insert into sales.opportunity (id, created_by, updated_by, owner_id, external_source, external_id, name, amount, currency, pipeline_id,
  stage_id, state, expected_close_date, lost_reason, lost_notes, next_step)
select md5('o' || n)::uuid, 'geheim', 'geheim', 'geheim', case when n > 1 then 'geheim-crm' end, case when n > 1 then 'geheim-' || n end, 'Geheim deal',
  n * 100.5, 'EUR', md5('p')::uuid, md5('s1')::uuid, 'open', '2026-01-31', 'price', 'geheim', 'call Geheim' from generate_series(1, 3) as n;
insert into sales.stage_move (id, opportunity_id, to_stage_id, moved_at, moved_by, duration_ms)
values (md5('m')::uuid, md5('o1')::uuid, md5('s1')::uuid, now(), 'geheim', 0);";

/// Whether a column of the catalog has a type in which no text fits.
const BARE: &str = "data_type ~ '^(boolean|integer|bigint|numeric|uuid|date|timestamp.*)$'";

/// The columns of a service in which a text fits: table and column.
pub async fn columns(scratch: &Scratch, service: Service) -> Vec<(String, String)> {
    let sql = format!(
        "select string_agg(table_name || '.' || column_name, ' ') from information_schema.columns natural join information_schema.tables
         where table_schema = '{service}' and table_type = 'BASE TABLE' and is_generated = 'NEVER' and not ({BARE})"
    );
    let found = scratch.text(&sql).await;
    let columns = found.split_whitespace().map(|name| {
        let (table, column) = name.split_once('.').unwrap();
        (table.to_owned(), column.to_owned())
    });
    columns.collect()
}

/// The personal columns in which the marker is, and those in which it is not.
pub async fn marked(scratch: &Scratch, service: Service) -> (Vec<String>, Vec<String>) {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (table, column) in columns(scratch, service).await {
        let content = personal::content(service, &table, &column);
        if !matches!(content, Some(Content::Personal(_))) {
            continue;
        }
        let sql = format!(
            "select exists (select from {service}.{table} where {column} ilike '%{MARKER}%')"
        );
        match scratch.text(&sql).await == "true" {
            true => with.push(format!("{table}.{column}")),
            false => without.push(format!("{table}.{column}")),
        }
    }
    (with, without)
}

/// All rows, with no more of a text than whether it is there; and the triggers.
pub async fn shape(scratch: &Scratch, service: Service) -> String {
    let sql = format!(
        "select string_agg(line, e'\\n' order by line) from (
         select table_name || query_to_xml(format('select md5(string_agg(line::text, chr(10) order by line::text)), count(*) from (select %s from {service}.%I) as line',
           string_agg(format(case when {BARE} then '%I' else '%I is null' end, column_name), ', '), table_name), true, true, '')::text as line
         from information_schema.columns natural join information_schema.tables
         where table_schema = '{service}' and table_type = 'BASE TABLE' group by table_name
         union all select format('%s %s', tgname, tgenabled) from pg_trigger where not tgisinternal) as lines"
    );
    scratch.text(&sql).await
}
