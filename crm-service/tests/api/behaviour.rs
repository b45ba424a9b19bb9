//! What only a look into the database or beside the API can show.

use axum::http::{Method, StatusCode};
use crm_service::seed::{self, Profile};
use crm_service::service::Service;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::platform::Platform;

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn seeding_twice_gives_the_same_rows_and_the_service_reads_them_all() {
    let platform = Platform::migrated().await;
    for (service, rows) in [
        // The addresses of contacts: 900 first, 125 second, 25 third ones.
        (Service::Customer, 1300 + 900 + 125 + 25),
        (Service::Sales, 2 + 12 + 300 + 300 + 100),
    ] {
        assert_eq!(
            seed::fill(platform.options.clone(), service, Profile::Demo)
                .await
                .unwrap(),
            rows
        );
        assert_eq!(
            seed::fill(platform.options.clone(), service, Profile::Demo)
                .await
                .unwrap(),
            0
        );
    }
    assert_eq!(
        platform
            .count(
                "select count(*) from customer.contact c where not exists \
                 (select from customer.contact_emails e where e.contact_id = c.id)"
            )
            .await,
        100
    );
    let inconsistent = "select count(*) from sales.opportunity o where o.stage_entered_at <> \
        (select max(m.moved_at) from sales.stage_move m where m.opportunity_id = o.id)";
    assert_eq!(
        platform.count(inconsistent).await,
        0,
        "the history ends where the opportunity is"
    );
    for (service, collection, expected) in [
        (Service::Customer, "contacts", 1000),
        (Service::Sales, "opportunities", 300),
    ] {
        let running = platform.serve(service).await;
        let (mut seen, mut next) = (0, String::new());
        loop {
            let page = running
                .api(
                    Method::GET,
                    &format!("/{collection}?limit=200{next}"),
                    None,
                    &Value::Null,
                )
                .await;
            assert_eq!(page.status, StatusCode::OK);
            seen += page.json()["items"].as_array().unwrap().len();
            match page.json()["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, expected);
        running.stop().await;
    }
    platform.drop().await;
}

/// A run that began some seconds ago.
fn run_begun(seconds: u64) -> Uuid {
    let millis = (crm_service::auth::mint::seconds() - seconds) * 1000;
    uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn deleting_keeps_real_rows_and_removing_synthetic_rows_leaves_real_ones() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Customer).await;
    let real = running.account("Real").await;
    let path = format!("/accounts/{}", real["id"].as_str().unwrap());
    assert_eq!(
        running
            .api(Method::DELETE, &path, Some(1), &Value::Null)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    running.account("Also real").await;

    let (old, new) = (run_begun(23 * 3600), Uuid::now_v7());
    let as_run = |run, method, path: &'static str, body: Value| {
        let token = running.mint.token("t", &["test"], Some(run));
        let running = &running;
        async move {
            let headers = [(axum::http::header::AUTHORIZATION, format!("Bearer {token}"))];
            running
                .send(method, path, &headers, &body)
                .await
                .unwrap()
                .status
        }
    };
    for run in [old, new] {
        assert_eq!(
            as_run(
                run,
                Method::POST,
                "/api/customer/v1/accounts",
                json!({"name": "Synthetic"})
            )
            .await,
            StatusCode::CREATED
        );
    }
    assert_eq!(
        platform
            .count("select count(*) from customer.account where synthetic")
            .await,
        2
    );
    assert_eq!(
        as_run(
            new,
            Method::DELETE,
            "/api/customer/v1/synthetic-rows",
            Value::Null
        )
        .await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        platform
            .count("select count(*) from customer.account where synthetic")
            .await,
        1,
        "another run's row stays"
    );
    // A dead run whose last row is young: it goes as a whole, also its account that a contact belongs to.
    let dead = run_begun(25 * 3600);
    platform
        .execute(&format!(
            "update customer.account set created_at = now() - interval '2 days';
             update customer.account set run_id = '{dead}' where synthetic;
             insert into customer.contact (id, created_by, updated_by, owner_id, last_name, account_id, run_id)
               select gen_random_uuid(), 't', 't', 't', 'Young', id, run_id from customer.account where synthetic"
        ))
        .await;
    assert_eq!(
        as_run(
            new,
            Method::DELETE,
            "/api/customer/v1/synthetic-rows",
            Value::Null
        )
        .await,
        StatusCode::NO_CONTENT
    );
    for table in ["account", "contact"] {
        let left = format!("select count(*) from customer.{table} where synthetic");
        assert_eq!(platform.count(&left).await, 0, "a dead run's row goes");
    }
    assert_eq!(
        platform
            .count("select count(*) from customer.account")
            .await,
        2,
        "real rows stay, deleted ones too"
    );
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn a_state_that_a_later_release_wrote_is_passed_on() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Customer).await;
    let account = running.account("From the future").await;
    platform.execute("insert into customer.account_kind values ('alumnus', 'Alumnus', 9); update customer.account set kind = 'alumnus'").await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    let changed = running
        .api(Method::PATCH, &path, Some(1), &json!({"phone": "1"}))
        .await;
    assert_eq!(
        (changed.status, &changed.json()["kind"]),
        (StatusCode::OK, &"alumnus".into())
    );
    running.stop().await;
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn labels_of_metrics_have_a_bound_whatever_is_asked_for() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Sales).await;
    for number in 0..50 {
        running.ask(&format!("/nothing/{number}")).await;
        running
            .api(
                Method::GET,
                &format!("/opportunities/{}", Uuid::now_v7()),
                None,
                &Value::Null,
            )
            .await;
        let method = Method::from_bytes(format!("ODD{number}").as_bytes()).unwrap();
        running
            .send(method, "/livez", &[], &Value::Null)
            .await
            .unwrap();
    }
    let text = String::from_utf8(running.ask("/metrics").await.body.to_vec()).unwrap();
    let series: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("crm_http_requests_total"))
        .collect();
    assert!(series.len() < 10, "{series:#?}");
    assert!(
        text.contains(
            "route=\"/api/sales/v1/opportunities/{id}\",method=\"GET\",status=\"4xx\"} 50"
        ),
        "{series:#?}"
    );
    assert!(
        text.contains("route=\"unknown\",method=\"GET\",status=\"4xx\"} 50"),
        "{series:#?}"
    );
    running.stop().await;
    platform.drop().await;
}
