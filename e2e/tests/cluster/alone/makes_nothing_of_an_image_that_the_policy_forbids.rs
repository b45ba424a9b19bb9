//! An image from elsewhere and an image without the right signature make nothing; once it is signed the very same spec is released. A policy that then forbids
//! what serves leaves it alone.

use e2e::scenario::{ImagePolicy, Platform, Signer, message, reason};
use serde_json::{Value, json};

use crate::setting::{INSTALL, Setting};

#[test]
#[ignore = "needs a cluster: run cargo e2e test"]
fn makes_nothing_of_an_image_that_the_policy_forbids() {
    let setting = Setting::alone("image-policy");
    let (platform, registry) = (&setting.platform, &setting.cluster.registry);
    let (signer, stranger) = (Signer::new().unwrap(), Signer::new().unwrap());
    let policy = |signer: &Signer| json!({ "allowedRegistries": [registry], "requireDigest": false, "signatureKey": signer.public_key() });
    let in_force = ImagePolicy::start(&setting.cluster, &policy(&signer)).unwrap();

    let elsewhere = "elsewhere.example/crm-service:1.0.0";
    let object = platform.sample(elsewhere).unwrap();
    platform.apply(&object).unwrap();
    let told = refused(platform, "ImageNotAllowed");
    for word in ["spec.image", elsewhere, registry, "--allowed-registries"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }

    let image = &setting.images.current;
    platform.patch(&json!({ "image": image })).unwrap();
    let told = refused(platform, "ImageNotSigned");
    assert!(told.contains(image), "{told}");
    stranger.sign(image).unwrap();
    platform
        .wait("the signature to be looked at", 60, |seen| {
            message(seen, "Stalled").contains("not made with the operator's key")
        })
        .unwrap();
    refused(platform, "ImageNotSigned");

    signer.sign(image).unwrap();
    let ready = platform.wait_ready(INSTALL).unwrap();
    assert!(ready["status"]["images"][0]["signedBy"].is_string());

    let pods = platform.live_pods().unwrap();
    in_force.change(&policy(&stranger)).unwrap();
    let stalled = |seen: &Value| reason(seen, "Stalled") == "ImageNotSigned";
    platform.wait("the policy to be told", 60, stalled).unwrap();
    assert_eq!(platform.live_pods().unwrap(), pods);
}

/// Waits until the present spec is refused for a reason, and sees that nothing was made of it.
fn refused(platform: &Platform, reason: &str) -> String {
    let (seen, told) = platform.wait_stalled(60).unwrap();
    assert_eq!(told, reason, "{}", seen["status"]);
    assert!(seen["status"]["releases"].is_null(), "{}", seen["status"]);
    let kinds = "jobs,pods,deployments,statefulsets,services,controllerrevisions";
    let own = format!("crmplatform.io/platform={}", platform.name);
    let made = platform.list(kinds, &own).unwrap();
    assert!(made.is_empty(), "{made:?}");
    message(&seen, "Stalled")
}
