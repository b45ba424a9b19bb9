//! What a look asks about images: the registry only, and only what it is told to ask.

use crm_operator::observe::{Questions, observe};

use super::server::{context, platform};

/// Its answer is found under the reference of the spec; neither the API server nor anybody about the tag is asked.
#[tokio::test]
async fn of_an_image_whose_digest_is_known_that_digest_is_asked_about() {
    let (ctx, server) = context(vec![]);
    let known = format!("registry.example/crm@sha256:{}", "a".repeat(64));
    let questions = Questions {
        images: [("registry.example/crm:1".to_owned(), known.clone())].into(),
        tags: None,
    };
    let observed = observe(&ctx, &platform(), questions).await.unwrap();
    let answer = observed.resolutions["registry.example/crm:1"].clone();
    assert_eq!(answer.unwrap().image, known);
    drop(ctx);
    assert!(server.await.unwrap().is_empty());
}
