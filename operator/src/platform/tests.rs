//! A spec through the real parser, from the smallest YAML that is sound.

use super::*;
use crate::api::CrmPlatformSpec;
use crate::api::status::ResolvedImage;

fn object(yaml: &str) -> CrmPlatform {
    let spec: CrmPlatformSpec = serde_saphyr::from_str(yaml).unwrap();
    let mut object = CrmPlatform::new("acme", spec);
    object.metadata.namespace = Some("crm".into());
    object.metadata.uid = Some("u1".into());
    object
}

/// A platform that is sound.
pub(crate) fn parsed(object: &CrmPlatform) -> Platform {
    let mut object = object.clone();
    object.metadata.uid = Some("u1".into());
    Platform::parse(&object, &settings()).unwrap()
}

fn settings() -> Settings {
    Settings {
        postgres_image: "postgres:15".into(),
        operator_image: Some("registry.example/crm-operator:1".into()),
        images: Default::default(),
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    }
}

const SOUND: &str = "
image: registry.example/crm:1
services: [{name: sales, dependsOn: [customer]}, {name: customer}]
database: {embedded: {}}
tests: [{name: smoke, when: [Gate]}]
";

#[test]
fn puts_services_in_the_order_of_their_dependencies() {
    let platform = Platform::parse(&object(SOUND), &settings()).unwrap();
    let names: Vec<_> = platform
        .wanted
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(names, ["customer", "sales"]);
}

#[test]
fn refuses_a_circle_of_dependencies_by_name() {
    let circle = SOUND.replace("{name: customer}", "{name: customer, dependsOn: [sales]}");
    let invalid = Platform::parse(&object(&circle), &settings()).unwrap_err();
    assert_eq!(invalid.field, "spec.services[].dependsOn");
    assert!(invalid.to_string().contains("sales, customer"), "{invalid}");
}

#[test]
fn refuses_a_required_gate_without_tests() {
    let untested = SOUND.replace(
        "tests: [{name: smoke, when: [Gate]}]",
        "tests: [{name: smoke, when: [Verify]}]",
    );
    assert_eq!(
        Platform::parse(&object(&untested), &settings())
            .unwrap_err()
            .field,
        "spec.tests"
    );
}

#[test]
fn a_test_of_a_service_comes_with_its_image() {
    let image = |service: &str, test: &str| {
        let spec = SOUND
            .replace("{name: customer}", &format!("{{name: customer{service}}}"))
            .replace("{name: smoke, ", &format!("{{name: smoke{test}, "));
        let platform = Platform::parse(&object(&spec), &settings());
        platform.map(|platform| platform.wanted.tests[0].image.clone())
    };
    let (all, own) = ("registry.example/crm:1", "registry.example/customer:7");
    let with_own = format!(", image: {own:?}");
    for (service, test, expected) in [
        (with_own.as_str(), ", service: customer", own),
        (&with_own, ", service: sales", all),
        (&with_own, "", all),
        ("", ", service: customer", all),
        ("", &with_own, own),
    ] {
        assert_eq!(image(service, test).unwrap(), expected, "{service} {test}");
    }
    let unknown = image("", ", service: support").unwrap_err();
    assert_eq!(unknown.field, "spec.tests[smoke].service");
    assert!(unknown.to_string().contains("is support"), "{unknown}");
}

#[test]
fn waits_for_every_digest_before_there_is_a_release() {
    let platform = Platform::parse(&object(SOUND), &settings()).unwrap();
    assert_eq!(platform.references(), ["registry.example/crm:1"]);
    assert!(platform.wanted(&[]).is_none());
    let known = ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: "registry.example/crm@sha256:aa".into(),
        signed_by: None,
    };
    assert_eq!(
        platform.wanted(&[known]).unwrap().services[0].image,
        "registry.example/crm@sha256:aa"
    );
}

#[test]
fn the_id_of_a_release_never_changes_with_the_operator() {
    let platform = Platform::parse(&object(SOUND), &settings()).unwrap();
    let known = ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: "registry.example/crm@sha256:aa".into(),
        signed_by: None,
    };
    let release = platform.wanted(&[known]).unwrap();
    insta::assert_snapshot!(release.id());
}

#[test]
fn scaling_is_not_a_release_but_an_argument_is() {
    let known = [ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: "registry.example/crm@sha256:aa".into(),
        signed_by: None,
    }];
    let id = |yaml: &str| {
        Platform::parse(&object(yaml), &settings())
            .unwrap()
            .wanted(&known)
            .unwrap()
            .id()
    };
    assert_eq!(
        id(SOUND),
        id(&SOUND.replace("{name: customer}", "{name: customer, replicas: 5}"))
    );
    assert_ne!(
        id(SOUND),
        id(&SOUND.replace("{name: customer}", "{name: customer, args: [serve]}"))
    );
}

#[test]
fn the_steps_of_a_canary_must_rise() {
    let with = |steps: &str| {
        let strategy = format!("release: {{strategy: {{type: Canary, steps: {steps}}}}}");
        let spec = format!("{}\n{strategy}\n", SOUND.trim_end());
        Platform::parse(&object(&spec), &settings()).map(|platform| platform.strategy.steps.len())
    };
    assert_eq!(with("[{weight: 10}, {weight: 50}]"), Ok(2));
    let refused = with("[{weight: 50}, {weight: 50}]").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "spec.release.strategy.steps has weight 50 after 50: give each step a greater weight than the one before it"
    );
}

#[test]
fn refuses_more_names_of_images_than_the_status_has_room_for() {
    let services = |length: usize, digest: &str| {
        let service = |index: usize| {
            let image = format!("{index:0>2}{}", "x".repeat(length));
            format!("{{name: s{index}, image: {image:?}}}").replace("x\"", &format!("x{digest}\""))
        };
        let all: Vec<_> = (0..10).map(service).collect();
        SOUND.replace(
            "{name: sales, dependsOn: [customer]}, {name: customer}",
            &all.join(", "),
        )
    };
    let parse = |yaml: String| Platform::parse(&object(&yaml), &settings());
    assert!(parse(services(95, "")).is_ok());
    let invalid = parse(services(110, "")).unwrap_err();
    assert!(invalid.to_string().contains("at most 1024"), "{invalid}");
    // What is named by digest need not be remembered.
    assert!(parse(services(250, &format!("@sha256:{}", "0".repeat(64)))).is_ok());
}

#[test]
fn what_stands_around_the_pods_is_no_release() {
    let known = [ResolvedImage {
        reference: "registry.example/crm:1".into(),
        image: "registry.example/crm@sha256:aa".into(),
        signed_by: None,
    }];
    let requests = "resources: {requests: {cpu: 50m}}";
    let id = |customer: &str, more: &str| {
        let spec = SOUND.replace(
            "{name: customer}",
            &format!("{{name: customer, {requests}{customer}}}"),
        );
        let platform = Platform::parse(&object(&format!("{spec}{more}")), &settings());
        platform.unwrap().wanted(&known).unwrap().id()
    };
    let around = ", autoscaling: {minReplicas: 2, maxReplicas: 5}, egress: [{cidr: 10.0.0.1/32, ports: [25]}]";
    let exposed =
        "exposure: {hosts: [a.example], ingress: {}}\nnetwork: {from: [{cidr: 10.0.0.0/8}]}\n";
    assert_eq!(id("", ""), id(around, exposed));
}

#[test]
fn refuses_what_could_neither_scale_nor_lead_anywhere() {
    let field = |customer: &str, more: &str| {
        let spec = SOUND.replace(
            "{name: customer}",
            &format!("{{name: customer, {customer}}}"),
        );
        let invalid = Platform::parse(&object(&format!("{spec}{more}")), &settings());
        invalid.unwrap_err().to_string()
    };
    let scaled = "autoscaling: {minReplicas: 2, maxReplicas: 5}";
    assert!(field(scaled, "").contains("resources.requests.cpu"));
    let turned = "autoscaling: {minReplicas: 5, maxReplicas: 2}, resources: {requests: {cpu: 1}}";
    assert!(field(turned, "").starts_with("spec.services[customer].autoscaling has more"));
    let twice = "exposure: {hosts: [a.example], ingress: {}, gateway: {name: public}}\n";
    let refused = field("port: 8080", twice);
    assert_eq!(
        refused,
        "spec.exposure is ambiguous: set exactly one of gateway and ingress"
    );
}

#[test]
fn refuses_what_the_api_server_would_refuse_in_what_stands_around_the_pods() {
    let parse = |yaml: &str| Platform::parse(&object(yaml), &settings());
    let egress = |cidr: &str| {
        let field = format!("{{name: customer, egress: [{{cidr: '{cidr}', ports: [25]}}]}}");
        parse(&SOUND.replace("{name: customer}", &field))
    };
    for sound in ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7/32", "0.0.0.0/0"] {
        assert!(egress(sound).is_ok(), "{sound}");
    }
    for unfit in [
        "10.0.0.256/32",
        "10.0.0.0/33",
        "10.0.0/8",
        "::/129",
        "10.0.0.0/08",
    ] {
        let refused = egress(unfit).unwrap_err().to_string();
        assert!(
            refused.starts_with("spec.services[customer].egress[].cidr"),
            "{refused}"
        );
    }
    let by = |key: &str| {
        parse(&format!(
            "{SOUND}network: {{from: [{{podLabels: {{'{key}': x}}}}]}}\n"
        ))
    };
    for sound in [
        "app",
        "app.kubernetes.io/name",
        "a_b.c-d",
        "kubernetes.io/metadata.name",
    ] {
        assert!(by(sound).is_ok(), "{sound}");
    }
    for unfit in [
        "",
        "a b",
        "-app",
        "a/b/c",
        "/app",
        "A.b/app",
        "app/",
        &"a".repeat(64),
    ] {
        let refused = by(unfit).unwrap_err().to_string();
        assert!(refused.starts_with("spec.network.from[]"), "{refused}");
    }
    let from = "network: {from: [{cidr: 10.0.0.0/99}]}\n";
    assert!(parse(&format!("{SOUND}{from}")).is_err());
    for host in [
        "192.0.2.10".to_owned(),
        format!("{}.example", "a".repeat(64)),
    ] {
        let exposure = format!("exposure: {{hosts: ['{host}'], ingress: {{}}}}\n");
        let refused = parse(&format!("{SOUND}{exposure}"))
            .unwrap_err()
            .to_string();
        assert!(refused.starts_with("spec.exposure.hosts"), "{refused}");
    }
}

#[test]
fn a_budget_that_is_left_out_is_no_part_of_the_form_and_counts_as_twenty() {
    let tests = |more: &str| {
        let yaml = SOUND.replace(
            "{name: smoke, when: [Gate]}",
            &format!("{{name: smoke, when: [Gate]}}, {{name: load, when: [Performance]{more}}}"),
        );
        let known = ResolvedImage {
            reference: "registry.example/crm:1".into(),
            image: "registry.example/crm@sha256:aa".into(),
            signed_by: None,
        };
        let platform = Platform::parse(&object(&yaml), &settings()).unwrap();
        platform.wanted(&[known]).unwrap().tests
    };
    let [smoke, load] = &tests("")[..] else {
        panic!("two tests")
    };
    assert_eq!((smoke.budget(), load.budget()), (None, Some(20)));
    let form = serde_json::to_string(load).unwrap();
    assert!(!form.contains("egression"), "{form}");
    assert_eq!(tests(", maxRegressionPercent: 50")[1].budget(), Some(50));
}

#[test]
fn only_environment_secrets_and_resources_of_services_are_configuration() {
    let release = |yaml: &str| Platform::parse(&object(yaml), &settings()).unwrap().wanted;
    let before = release(SOUND);
    let customer = |fields: &str| {
        let service = format!("{{name: customer, {fields}}}");
        SOUND.replace("{name: customer}", &service)
    };
    for configuration in [
        "env: [{name: LOG, value: info}]",
        "secrets: [mail]",
        "resources: {limits: {memory: 64Mi}}",
    ] {
        let changed = release(&customer(configuration));
        assert!(changed.has_code_of(&before), "{configuration}");
        assert_ne!(changed.id(), before.id());
    }
    let with = |from: &str, to: &str| SOUND.replace(from, to);
    for code in [
        customer("args: [serve]"),
        customer("port: 9090"),
        customer("image: registry.example/other:1"),
        customer("migrate: {args: [migrate]}"),
        customer("seed: {args: [seed]}"),
        with(", dependsOn: [customer]", ""),
        with(", {name: customer}", "").replace(", dependsOn: [customer]", ""),
        with("crm:1", "crm:2"),
        with("{embedded: {}}", "{secret: db}"),
        with("{embedded: {}}", "{embedded: {}, rehearsal: {data: None}}"),
        with("when: [Gate]", "when: [Gate], args: [x]"),
        with("when: [Gate]", "when: [Gate, Verify]"),
        with("tests:", "gate: None\ntests:"),
    ] {
        assert!(!release(&code).has_code_of(&before), "{code}");
    }
}
