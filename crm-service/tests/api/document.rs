//! The OpenAPI document against the running service.

use axum::http::{Method, StatusCode};
use crm_service::openapi;
use crm_service::service::Service;
use serde_json::{Value, json};

use crate::platform::Platform;

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn every_documented_operation_is_served_and_the_rest_is_not() {
    let platform = Platform::migrated().await;
    for service in Service::ALL {
        let running = platform.serve(service).await;
        let document = running.ask("/openapi.json").await.json();
        assert_eq!(document, openapi::document(service));
        let mut operations = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            let local = path
                .strip_prefix(&format!("/api/{service}/v1"))
                .unwrap()
                .replace("{id}", "00000000-0000-0000-0000-000000000001");
            for method in ["get", "post", "patch", "delete", "put"] {
                let answer = running
                    .api(
                        Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                        &local,
                        Some(1),
                        &json!({}),
                    )
                    .await;
                let served = answer.status != StatusCode::METHOD_NOT_ALLOWED
                    && answer.json()["detail"] != "there is nothing at this address";
                // A verb shares the route of its record, so the other methods of that route answer for it.
                let documented =
                    item.get(method).is_some() || local.contains(":move") && method != "put";
                assert_eq!(
                    served,
                    documented,
                    "{method} {path}: {} {}",
                    answer.status,
                    answer.json()
                );
                operations += usize::from(documented);
            }
        }
        assert!(operations >= 12, "{operations} operations");
        check_references(&document);
        running.stop().await;
    }
    platform.drop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run cargo e2e test"]
async fn what_the_service_answers_has_the_fields_that_the_document_lists() {
    let platform = Platform::migrated().await;
    let running = platform.serve(Service::Customer).await;
    let account = running.account("Documented").await;
    let document = openapi::document(Service::Customer);
    let parts = document["components"]["schemas"]["Account"]["allOf"]
        .as_array()
        .unwrap()
        .clone();
    let mut listed: Vec<String> = Vec::new();
    for part in parts {
        let part = match part["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap().clone(),
            None => part,
        };
        listed.extend(part["properties"].as_object().unwrap().keys().cloned());
    }
    listed.sort();
    let mut answered: Vec<String> = account.as_object().unwrap().keys().cloned().collect();
    answered.sort();
    assert_eq!(listed, answered);
    running.stop().await;
    platform.drop().await;
}

fn check_references(document: &Value) {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| match value.as_str() {
                Some(reference) if name == "$ref" => found.push(reference),
                _ => walk(value, found),
            }),
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(
            document.pointer(&reference[1..]).is_some(),
            "{reference} points to nothing"
        );
    }
}
