//! A scripted API server: answers requests in order, keeps them, and fails the test when one comes too many.

use std::sync::Arc;
use std::time::Duration;

use crm_operator::api::CrmPlatform;
use crm_operator::context::Context;
use crm_operator::controller::Watched;
use crm_operator::cost::Prices;
use crm_operator::leader::Leadership;
use crm_operator::metrics::Metrics;
use crm_operator::observe::Stores;
use crm_operator::platform::Settings;
use crm_operator::registry::Registry;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock;

/// A request as it came.
#[derive(Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub accept: String,
    pub body: Value,
}

/// A context whose client talks to a server that gives these answers (code and body, a text as it is), in order; and what the server saw.
pub fn context(answers: Vec<(u16, Value)>) -> (Arc<Context>, JoinHandle<Vec<Seen>>) {
    context_of(Leadership::unconditional(), answers)
}

/// As [`context`], of a process that leads or not.
pub fn context_of(
    leadership: Leadership,
    answers: Vec<(u16, Value)>,
) -> (Arc<Context>, JoinHandle<Vec<Seen>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut silent = Vec::new();
        for (code, body) in answers {
            let Some((request, reply)) = handle.next_request().await else {
                break;
            };
            let request = keep(request).await;
            let body = stored(&request, body);
            seen.push(request);
            if code == NEVER.0 {
                silent.push(reply);
                continue;
            }
            if body["slow"] == true {
                tokio::time::sleep(HANGS).await;
            }
            let body = match body {
                Value::String(text) => Body::from(text.into_bytes()),
                body => Body::from(serde_json::to_vec(&body).unwrap()),
            };
            reply.send_response(Response::builder().status(code).body(body).unwrap());
        }
        // Nothing more is expected: whoever asks again gets an error, and so the test does.
        if let Some((request, _)) = handle.next_request().await {
            panic!("unexpected {} {}", request.method(), request.uri());
        }
        seen
    });
    // The store is always ahead of the object in hand: what counts is the latter.
    let (platforms, mut writer) = reflector::store::<Watched>();
    let mut ahead = platform();
    ahead.metadata.resource_version = Some("1000".into());
    writer.apply_watcher_event(&watcher::Event::Apply(DeserializeGuard(Ok(ahead))));
    let context = Context {
        client: Client::new(service, "crm"),
        stores: Stores::new(platforms),
        registry: Registry::new(&[], None).unwrap(),
        settings: Settings {
            postgres_image: "postgres:15".into(),
            operator_image: Some("registry.example/crm-operator:1".into()),
            images: Default::default(),
            prices: Prices {
                cpu_hour: 1.0,
                memory_gib_hour: 1.0,
            },
        },
        backoff: Default::default(),
        told: Default::default(),
        written: Default::default(),
        drift: Default::default(),
        foreign: Default::default(),
        unsaved: Default::default(),
        leadership: Arc::new(leadership),
        metrics: Arc::new(Metrics::default()),
        instance: "test".into(),
    };
    (Arc::new(context), seen)
}

/// No answer: the request stays open.
pub const NEVER: (u16, Value) = (0, Value::Null);

/// How long a server takes that asks a webhook which hangs.
const HANGS: Duration = Duration::from_millis(3200);

/// The same answer, late.
pub fn slow((code, mut body): (u16, Value)) -> (u16, Value) {
    body["slow"] = json!(true);
    (code, body)
}

/// The answer to a write that is taken: what was sent, at this version.
pub fn taken(version: &str) -> (u16, Value) {
    (200, json!({ "taken": version }))
}

fn stored(request: &Seen, answer: Value) -> Value {
    if answer["taken"].is_null() || request.method == Method::GET {
        return answer;
    }
    let mut object = request.body.clone();
    object["metadata"]["namespace"] = json!("crm");
    object["metadata"]["resourceVersion"] = answer["taken"].clone();
    object
}

async fn keep(request: Request<Body>) -> Seen {
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    let header = |name: &str| {
        let value = parts.headers.get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    Seen {
        content_type: header("content-type"),
        accept: header("accept"),
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

/// What it answers when others own what is applied.
pub fn owned() -> (u16, Value) {
    let (code, mut body) = refusal(409, "Conflict");
    body["details"] = json!({ "causes": [{ "reason": "FieldManagerConflict" }] });
    (code, body)
}

/// What the API server answers when it refuses.
pub fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("because {reason}"), "reason": reason, "code": code });
    (code, body)
}

/// A platform whose images are digests already.
pub fn platform() -> CrmPlatform {
    serde_json::from_value(json!({
        "apiVersion": "crmplatform.io/v1alpha1",
        "kind": "CrmPlatform",
        "metadata": { "name": "acme", "namespace": "crm", "uid": "u1", "generation": 1, "resourceVersion": "7" },
        "spec": {
            "image": format!("registry.example/crm@sha256:{}", "a".repeat(64)),
            "services": [{ "name": "customer" }],
            "database": { "embedded": {} },
            "tests": [{ "name": "smoke", "when": ["Gate"], "args": [] }],
        },
    }))
    .unwrap()
}
