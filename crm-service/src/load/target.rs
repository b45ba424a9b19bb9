//! What the load runs against: a service's address, and what its records need before they can be made.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::mint::Mint;
use crate::client::{Call, Client, told};
use crate::service::Service;

/// A service under load.
#[derive(Clone)]
pub struct Target {
    /// The service.
    pub service: Service,
    /// Its address, without a final slash.
    pub address: String,
}

/// What the records of a service need to exist.
#[derive(Clone)]
pub struct Setting {
    /// Id of the pipeline for opportunities; null for other services.
    pub pipeline: Value,
}

impl Setting {
    /// Makes a pipeline for the opportunities of this run.
    ///
    /// # Errors
    /// The service does not accept it.
    pub async fn prepare(target: &Target, client: &Client, mint: &Mint) -> Result<Setting, String> {
        if target.service != Service::Sales {
            return Ok(Setting {
                pipeline: Value::Null,
            });
        }
        let stages = json!([
            {"name": "Open", "kind": "open", "probability": 50}, {"name": "Won", "kind": "won"}, {"name": "Lost", "kind": "lost"},
        ]);
        let body = json!({"name": "Load", "external_source": "load", "external_id": Uuid::now_v7(), "stages": stages});
        let call = Call {
            method: Method::POST,
            address: format!("{}/api/sales/v1/pipelines", target.address),
            headers: vec![
                (
                    header::AUTHORIZATION,
                    format!("Bearer {}", mint.token("load", &["manager"], None)),
                ),
                (header::CONTENT_TYPE, "application/json".to_owned()),
            ],
            body: body.to_string(),
        };
        let answer = client.send(call).await.map_err(|error| told(&error))?;
        match answer.status {
            StatusCode::CREATED => Ok(Setting {
                pipeline: answer.json()["id"].clone(),
            }),
            status => Err(format!(
                "a pipeline was answered with {status}: {}",
                String::from_utf8_lossy(&answer.body)
            )),
        }
    }
}
