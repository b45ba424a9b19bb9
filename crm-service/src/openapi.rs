//! The OpenAPI document of a service: put together from its resources; nothing is written by hand twice.

use serde_json::{Value, json};

use crate::http::problem;
use crate::resource::Operations;
use crate::service::Service;

/// The document of a service, for `/openapi.json` and for `crm-service openapi`.
pub fn document(service: Service) -> Value {
    let mut parts = Operations::new();
    for part in service.operations() {
        parts.merge(part);
    }
    parts.schema::<problem::Document>();
    let content =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let title = format!("CRM: {service}");
    let description = "Records have a version, which is their ETag; a change names the version it starts from. \
        Fields and parameters that are not listed are refused.";
    json!({
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": parts.paths,
        "components": {
            "schemas": parts.schemas,
            "responses": {"Problem": {"description": "Any answer that is not a success (RFC 9457)", "content": content}},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

/// The document as committed: indented, with a final newline.
pub fn printed(service: Service) -> String {
    let mut text =
        serde_json::to_string_pretty(&document(service)).expect("a JSON value can be printed");
    text.push('\n');
    text
}
