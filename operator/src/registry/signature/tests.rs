//! A registry on loopback that has an image and, each time another way, its signatures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::*;
use crate::observed::{Resolution, Unresolved};
use crate::policy::signature::tests::{Signer, digest_of, payload};
use crate::registry::Registry;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// What is at a path of the repository, and every path that was asked for.
#[derive(Default)]
struct Content {
    at: HashMap<String, (StatusCode, Vec<u8>)>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Content>>;

async fn answer(State(content): State<Shared>, Path(path): Path<String>) -> Response {
    let mut content = content.lock().unwrap();
    content.asked.push(path.clone());
    if path == "manifests/1.0.0" {
        return [("docker-content-digest", DIGEST)].into_response();
    }
    let found = content.at.get(&path).cloned();
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        IntoResponse::into_response,
    )
}

/// A repository, asked by an operator that trusts the key of `signer`.
struct Repository {
    registry: Registry,
    host: String,
    content: Shared,
}

impl Repository {
    async fn new(signer: &Signer) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let content = Shared::default();
        let routes = Router::new()
            .route("/v2/", get(|| async {}))
            .route("/v2/crm/{*path}", get(answer))
            .with_state(content.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(axum::serve(listener, routes).into_future());
        let registry = Registry::new(std::slice::from_ref(&host), Some(signer.keys())).unwrap();
        Self {
            registry,
            host,
            content,
        }
    }

    fn put(&self, path: &str, status: StatusCode, body: impl Into<Vec<u8>>) {
        let mut content = self.content.lock().unwrap();
        content.at.insert(path.to_owned(), (status, body.into()));
    }

    /// Puts signatures (payload, signature) where cosign puts those of [`DIGEST`].
    fn sign(&self, signatures: &[(String, String)]) {
        let layers = signatures.iter().map(|(payload, signature)| {
            let digest = digest_of(payload.as_bytes());
            self.put(&format!("blobs/{digest}"), StatusCode::OK, payload.clone());
            layer(&digest, signature)
        });
        self.manifest(layers.collect());
    }

    fn manifest(&self, layers: Vec<Value>) {
        let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": OTHER, "size": 2 });
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE_MEDIA_TYPE, "config": config, "layers": layers });
        self.put(&tag(), StatusCode::OK, manifest.to_string());
    }

    async fn resolve(&self, reference: &str) -> Result<Resolution, Unresolved> {
        let reference = format!("{}/{reference}", self.host);
        // A busy machine may need more than one look.
        for _ in 0..20 {
            if let Some(answer) = self.registry.resolve(&reference).await {
                return answer;
            }
        }
        panic!("no answer for {reference}");
    }

    /// Why the image does not count as signed.
    async fn refusal(&self) -> String {
        match self.resolve("crm:1.0.0").await {
            Err(Unresolved::NotSigned(words)) => words,
            other => panic!("{other:?}"),
        }
    }
}

fn layer(digest: &str, signature: &str) -> Value {
    let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
    json!({ "mediaType": media_type, "digest": digest, "size": 250, "annotations": { SIGNATURE: signature } })
}

fn tag() -> String {
    format!("manifests/{}.sig", DIGEST.replace(':', "-"))
}

/// Payload and signature by `signer` for the image of `digest`.
fn signed(signer: &Signer, digest: &str) -> (String, String) {
    let payload = payload(digest);
    let signature = signer.sign(payload.as_bytes());
    (payload, signature)
}

#[tokio::test]
async fn a_signed_image_has_a_digest_and_a_signer() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    repository.sign(&[signed(&signer, DIGEST)]);
    let resolution = repository.resolve("crm:1.0.0").await.unwrap();
    assert_eq!(
        resolution.image,
        format!("{}/crm@{DIGEST}", repository.host)
    );
    assert!(signer.keys().has(&resolution.signed_by.unwrap()));
}

#[tokio::test]
async fn of_an_image_by_digest_only_the_signature_is_asked_for() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    repository.sign(&[signed(&signer, DIGEST)]);
    let reference = format!("crm:9@{DIGEST}");
    let resolution = repository.resolve(&reference).await.unwrap();
    assert_eq!(resolution.image, format!("{}/{reference}", repository.host));
    assert!(resolution.signed_by.is_some());
    let asked = repository.content.lock().unwrap().asked.clone();
    assert_eq!(
        asked.len(),
        2,
        "manifest and payload of the signature: {asked:?}"
    );
}

#[tokio::test]
async fn one_good_signature_among_others_is_enough() {
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let repository = Repository::new(&signer).await;
    repository.sign(&[
        signed(&stranger, DIGEST),
        signed(&signer, OTHER),
        signed(&signer, DIGEST),
    ]);
    assert!(repository.resolve("crm:1.0.0").await.is_ok());
}

#[tokio::test]
async fn an_image_without_a_signature_is_refused_with_the_remedy() {
    let repository = Repository::new(&Signer::new(1)).await;
    let words = repository.refusal().await;
    assert!(
        words.contains("/crm:1.0.0\" has no signature (there is no tag sha256-aaaa"),
        "{words}"
    );
    assert!(
        words.contains("cosign sign --key") && words.contains(DIGEST),
        "{words}"
    );
    repository.put(&tag(), StatusCode::OK, "{}");
    repository.registry.lock().clear();
    let words = repository.refusal().await;
    assert!(words.contains("is something else"), "{words}");
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let repository = Repository::new(&Signer::new(1)).await;
    repository.sign(&[signed(&Signer::new(2), DIGEST)]);
    let words = repository.refusal().await;
    assert!(
        words.contains("1 signature under tag")
            && words.contains("not made with the operator's key"),
        "{words}"
    );
}

/// The signature of an image that was signed once is put beside another.
#[tokio::test]
async fn a_signature_that_was_copied_from_another_image_is_refused() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    repository.sign(&[signed(&signer, OTHER)]);
    let words = repository.refusal().await;
    assert!(words.contains("made for another image"), "{words}");
}

#[tokio::test]
async fn a_payload_that_was_changed_in_the_registry_is_refused() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    let (honest, signature) = signed(&signer, OTHER);
    let digest = digest_of(honest.as_bytes());
    repository.manifest(vec![layer(&digest, &signature)]);
    repository.put(&format!("blobs/{digest}"), StatusCode::OK, payload(DIGEST));
    let words = repository.refusal().await;
    assert!(
        words.contains("not the one that its manifest names"),
        "{words}"
    );
}

#[tokio::test]
async fn a_payload_without_end_is_not_read_to_its_end() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    let long = " ".repeat(PAYLOAD + 1);
    repository.sign(&[(long.clone(), signer.sign(long.as_bytes()))]);
    let words = repository.refusal().await;
    assert!(words.contains("too large"), "{words}");
}

/// Whoever writes the manifest does not choose whom the operator asks, nor how often.
#[tokio::test]
async fn a_manifest_sends_the_operator_nowhere_and_not_on_a_long_way() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    let (text, signature) = signed(&signer, DIGEST);
    let digest = digest_of(text.as_bytes());
    repository.put("elsewhere", StatusCode::OK, text);
    let mut foreign = layer(&digest, &signature);
    foreign["urls"] = json!([format!("http://{}/v2/crm/elsewhere", repository.host)]);
    repository.manifest(vec![foreign]);
    assert!(repository.resolve("crm:1.0.0").await.is_err());
    let asked = || repository.content.lock().unwrap().asked.clone();
    assert!(!asked().contains(&"elsewhere".to_owned()), "{:?}", asked());
    let many = vec![signed(&Signer::new(2), DIGEST); 3 * LOOKED_AT];
    repository.sign(&many);
    repository.registry.lock().clear();
    repository.content.lock().unwrap().asked.clear();
    let words = repository.refusal().await;
    assert!(
        words.contains(&format!("{LOOKED_AT} signatures")),
        "{words}"
    );
    assert!(asked().len() <= LOOKED_AT + 2, "{:?}", asked());
}

/// What could not be found out is neither signed nor unsigned.
#[tokio::test]
async fn a_registry_that_does_not_tell_of_signatures_is_waited_for() {
    let signer = Signer::new(1);
    let repository = Repository::new(&signer).await;
    let busy = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    for status in busy {
        repository.registry.lock().clear();
        repository.put(&tag(), status, "");
        let answer = repository.resolve("crm:1.0.0").await;
        assert!(
            matches!(answer, Err(Unresolved::OutOfReach(_))),
            "{status}: {answer:?}"
        );
    }
    repository.sign(&[signed(&signer, DIGEST)]);
    let path = format!("blobs/{}", digest_of(payload(DIGEST).as_bytes()));
    repository.put(&path, StatusCode::SERVICE_UNAVAILABLE, "");
    repository.registry.lock().clear();
    let answer = repository.resolve("crm:1.0.0").await;
    assert!(
        matches!(answer, Err(Unresolved::OutOfReach(_))),
        "{answer:?}"
    );
}
