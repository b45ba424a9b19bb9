//! Files made by a command are committed; this test fails when one has drifted, and samples must parse and keep the rules of the API.
//!
//! One command makes them all anew (helm is needed for `manifests/install.yaml`, and found on PATH or where `cargo e2e up` puts it):
//! `UPDATE_GENERATED=1 cargo test -p crm-operator --test generated -- --include-ignored`
#![allow(clippy::unwrap_used, reason = "a test ends at what it does not expect")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crm_operator::api::CrmPlatform;
use kube::CustomResourceExt;
use kube::core::cel::validate_cel;
use serde::de::DeserializeOwned;
use serde_json::json;

#[path = "generated/rules.rs"]
mod rules;
#[path = "generated/values.rs"]
#[expect(dead_code, reason = "the fields are read by the schema generator only")]
mod values;

use values::Values;

const REMEDY: &str =
    "UPDATE_GENERATED=1 cargo test -p crm-operator --test generated -- --include-ignored";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a committed file with what it should be, or writes it.
fn is_up_to_date(path: &str, content: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(repository().join(path), content).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(repository().join(path)).unwrap_or_default();
    let changed = committed
        .lines()
        .zip(content.lines())
        .find(|(before, after)| before != after);
    assert!(
        committed == content,
        "{path} has drifted, first at {changed:?}: run {REMEDY}"
    );
}

fn crd(annotations: serde_json::Value) -> String {
    let mut crd = serde_json::to_value(CrmPlatform::crd()).unwrap();
    if !annotations.is_null() {
        crd["metadata"]["annotations"] = annotations;
    }
    serde_saphyr::to_string(&crd).unwrap()
}

fn parse<T: DeserializeOwned>(path: &str) -> T {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The platforms of a file of several documents.
fn platforms(path: &str) -> Vec<CrmPlatform> {
    let documents = read(path);
    let documents = documents
        .split("\n---\n")
        .filter(|document| document.contains("kind: CrmPlatform"));
    documents
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
        .collect()
}

#[test]
fn the_custom_resource_definition_is_the_one_of_the_types() {
    is_up_to_date(
        "crds/crmplatforms.crmplatform.io.yaml",
        &crd(serde_json::Value::Null),
    );
}

#[test]
fn the_chart_carries_the_same_definition_and_keeps_it_when_uninstalled() {
    charts_definition();
}

#[test]
fn the_schema_of_the_charts_values_is_the_one_of_the_types() {
    schema_of_values();
}

fn charts_definition() {
    is_up_to_date(
        "charts/crm-operator/files/crd.yaml",
        &crd(json!({ "helm.sh/resource-policy": "keep" })),
    );
}

fn schema_of_values() {
    let generator = schemars::generate::SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    let schema = generator.into_root_schema_for::<Values>();
    is_up_to_date(
        "charts/crm-operator/values.schema.json",
        &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()),
    );
}

#[test]
fn the_charts_values_have_that_schema() {
    let values: Values = parse("charts/crm-operator/values.yaml");
    assert!(
        values.image.tag.is_empty(),
        "the chart's appVersion decides"
    );
}

#[test]
fn chart_and_operator_are_of_one_version() {
    let chart: serde_json::Value = parse("charts/crm-operator/Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
#[ignore = "needs helm, which cargo e2e up builds: cargo e2e test runs it"]
fn the_manifest_is_what_the_chart_renders() {
    // What it renders, when all are made anew.
    charts_definition();
    schema_of_values();
    let output = render(&[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let namespace = "\
# The operator in namespace crm-system, as the chart renders it. Set the image, then: kubectl apply --server-side -f manifests/install.yaml
# Never kubectl delete -f it: the CustomResourceDefinition in it takes all platforms along.
apiVersion: v1
kind: Namespace
metadata:
  name: crm-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
";
    is_up_to_date(
        "manifests/install.yaml",
        &format!("{namespace}{}", String::from_utf8(output.stdout).unwrap()),
    );
}

/// What the operator may do, whatever the chart's values are made of: no right to everything, and Secrets are never read.
#[test]
fn the_rights_of_the_operator_have_no_wildcard_and_read_no_secret() {
    let manifest = read("manifests/install.yaml");
    let mut rules = 0;
    for object in manifest.split("\n---\n") {
        let object: serde_json::Value = serde_saphyr::from_str(object).unwrap();
        for rule in object["rules"].as_array().into_iter().flatten() {
            let words = |key: &str| {
                let words = rule[key].as_array().cloned().unwrap_or_default();
                let words = words
                    .into_iter()
                    .map(|word| word.as_str().unwrap().to_owned());
                words.collect::<Vec<_>>()
            };
            let (groups, resources, verbs) =
                (words("apiGroups"), words("resources"), words("verbs"));
            for word in groups.iter().chain(&resources).chain(&verbs) {
                assert!(!word.contains('*'), "{rule}");
            }
            for word in ["escalate", "bind", "impersonate", "deletecollection"] {
                assert!(!verbs.iter().any(|verb| verb == word), "{rule}");
            }
            if resources.iter().any(|resource| resource == "secrets") {
                assert_eq!(resources.len(), 1);
                assert_eq!(verbs, ["watch", "create"]);
            }
            // A spec is the user's: nothing is ever written back into it.
            if resources.iter().any(|resource| resource == "crmplatforms") {
                assert_eq!(verbs, ["list", "watch"]);
            }
            rules += 1;
        }
    }
    assert!(rules > 15, "only {rules} rules were found");
}

#[test]
#[ignore = "needs helm, which cargo e2e up builds: cargo e2e test runs it"]
fn helm_refuses_a_value_that_the_chart_does_not_know_or_cannot_use() {
    for (setting, word) in [
        ("servers=2", "servers"),
        ("replicas=-1", "replicas"),
        ("logFormat=xml", "logFormat"),
        ("image.digest=latest", "digest"),
        ("imagePolicy.signatureKey=cosign.pub", "signatureKey"),
        (
            "imagePolicy.allowedRegistries=registry.example",
            "allowedRegistries",
        ),
    ] {
        let output = render(&["--set", setting]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains(word),
            "--set {setting}: {told}"
        );
    }
}

/// A rule that is set and does not reach the operator would be taken for kept.
#[test]
#[ignore = "needs helm, which cargo e2e up builds: cargo e2e test runs it"]
fn the_image_policy_reaches_the_operator() {
    let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let policy = json!({ "allowedRegistries": ["a.example", "b.example/team"], "requireDigest": true, "signatureKey": key });
    let output = render(&["--set-json", &format!("imagePolicy={policy}")]);
    let rendered = String::from_utf8(output.stdout).unwrap();
    for line in [
        "- --allowed-registries=a.example,b.example/team",
        "- --require-digest",
        "- --signature-key=/etc/crm-operator/image-policy/signature-key.pem",
        "mountPath: /etc/crm-operator/image-policy",
        "name: crm-operator-image-policy",
        "signature-key.pem: |",
        "-----BEGIN PUBLIC KEY-----",
        "checksum/image-policy:",
    ] {
        let found = rendered.lines().any(|own| own.trim().starts_with(line));
        assert!(found, "{line:?} is not in:\n{rendered}");
    }
}

fn render(settings: &[&str]) -> Output {
    let built = repository().join("target/e2e/bin/helm");
    let helm = if built.exists() {
        built
    } else {
        PathBuf::from("helm")
    };
    let mut command = Command::new(&helm);
    command
        .args(["template", "crm-operator", "--namespace", "crm-system"])
        .arg(repository().join("charts/crm-operator"))
        .args(settings);
    command.output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}: install helm, or run cargo e2e up",
            helm.display()
        )
    })
}

#[test]
fn samples_parse_and_keep_the_rules() {
    for path in [
        "manifests/samples/acme.yaml",
        "manifests/samples/minimal.yaml",
    ] {
        let found = platforms(path);
        assert_eq!(found.len(), 1, "{path}");
        validate_cel(&found[0]).unwrap_or_else(|errors| panic!("{path}: {errors:?}"));
    }
}
