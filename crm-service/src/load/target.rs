//! What the load runs against: a service's address, and the pipeline that opportunities need.

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

/// Makes a pipeline for the opportunities of this run; its id.
///
/// # Errors
/// The sales service does not accept it.
pub async fn pipeline(target: &Target, client: &Client, mint: &Mint) -> Result<Value, String> {
    let stages = json!([
        {"name": "Open", "kind": "open", "probability": 50}, {"name": "Won", "kind": "won"}, {"name": "Lost", "kind": "lost"},
    ]);
    let body = json!({"name": "Load", "external_source": "load", "external_id": Uuid::now_v7(), "stages": stages});
    let token = mint.token("load", &["manager"], None);
    let call = Call {
        method: Method::POST,
        address: format!("{}/api/sales/v1/pipelines", target.address),
        headers: vec![
            (header::AUTHORIZATION, format!("Bearer {token}")),
            (header::CONTENT_TYPE, "application/json".to_owned()),
        ],
        body: body.to_string(),
    };
    let answer = client.send(call).await.map_err(|error| told(&error))?;
    match answer.status {
        StatusCode::CREATED => Ok(answer.json()["id"].clone()),
        status => Err(format!(
            "a pipeline to begin with was answered with {status}: {}",
            String::from_utf8_lossy(&answer.body)
        )),
    }
}
