//! The Job of a test whose report is read: the container beside it, and by what a Job of an operator of another version is known.

use super::super::report::{CONTAINER, FOLDER};
use super::*;

type Change = (&'static str, fn(&mut Job));

fn reported(image: Option<&str>) -> Job {
    let (mut platform, release) =
        platform(&SPEC.replace("args: [test]", "args: [test], report: JUnit, minTests: 5"));
    platform.settings.operator_image = image.map(str::to_owned);
    let scope = Scope {
        platform: &platform,
        id: ID,
        release: &release,
    };
    let test = &release.tests[0];
    job::test(scope, &step(Stage::Gate, "smoke"), test, Track::Scratch)
}

fn pod_of(job: &mut Job) -> &mut k8s_openapi::api::core::v1::PodSpec {
    let spec = job.spec.as_mut().unwrap();
    spec.template.spec.as_mut().unwrap()
}

fn collector(job: &mut Job) -> &mut k8s_openapi::api::core::v1::Container {
    &mut pod_of(job).init_containers.as_mut().unwrap()[0]
}

#[test]
fn the_pod_of_a_test_whose_report_is_read() {
    let job = json!(reported(Some("registry.example/crm-operator@sha256:cc")));
    insta::assert_yaml_snapshot!(pod(&job).unwrap());
}

#[test]
fn what_reads_a_report_can_reach_nothing_else() {
    let job = json!(reported(Some("registry.example/crm-operator:1")));
    let pod = pod(&job).unwrap();
    let collector = &pod["initContainers"][0];
    assert_eq!(collector["name"], CONTAINER);
    assert_eq!(collector["securityContext"], container_security());
    assert_eq!(
        collector["volumeMounts"],
        json!([{ "name": CONTAINER, "mountPath": FOLDER, "readOnly": true }])
    );
    assert!(!collector.to_string().contains("secretKeyRef"));
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn a_test_without_a_report_has_one_container() {
    with_scope(|scope| {
        let test = &scope.release.tests[0];
        let job = job::test(scope, &step(Stage::Gate, "smoke"), test, Track::Scratch);
        let job = json!(job);
        let pod = pod(&job).unwrap();
        assert!(pod["initContainers"].as_array().is_none_or(Vec::is_empty));
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_job_of_an_operator_of_another_version_is_known() {
    let versions = ["crm-operator:1", "crm-operator:2", "crm-operator@sha256:dd"];
    let of = |image: &str| fingerprint(&reported(Some(&format!("registry.example/{image}"))));
    assert_eq!(
        versions.map(of),
        [of(versions[0]), of(versions[0]), of(versions[0])]
    );
}

#[test]
fn a_job_whose_report_is_read_in_another_way_is_not_known() {
    let changes: [Change; 9] = [
        ("by an image from elsewhere", |job| {
            collector(job).image = Some("elsewhere.example/crm-operator:1".into());
        }),
        ("by an image whose name only begins like it", |job| {
            collector(job).image = Some("registry.example/crm-operator-2:1".into());
        }),
        ("by another command", |job| {
            collector(job).command = Some(vec!["true".into()]);
        }),
        ("with other arguments", |job| {
            collector(job).args = Some(vec!["crd".into()]);
        }),
        ("in another folder", |job| {
            collector(job).env.as_mut().unwrap()[0].value = Some("/elsewhere".into());
        }),
        ("in another volume", |job| {
            let mounts = collector(job).volume_mounts.as_mut().unwrap();
            mounts[0].name = "tmp".into();
        }),
        ("in a volume that was filled before", |job| {
            let volumes = pod_of(job).volumes.as_mut().unwrap();
            let volume = volumes.iter_mut().find(|volume| volume.name == CONTAINER);
            volume.unwrap().empty_dir = None;
        }),
        ("once only, before the test", |job| {
            collector(job).restart_policy = None;
        }),
        ("by nothing", |job| pod_of(job).init_containers = None),
    ];
    let ours = fingerprint(&reported(Some("registry.example/crm-operator:1")));
    for (how, change) in changes {
        let mut job = reported(Some("registry.example/crm-operator:1"));
        change(&mut job);
        assert_ne!(fingerprint(&job), ours, "{how}");
    }
}

#[test]
fn all_reports_of_a_release_find_room() {
    let test = |name: &str, when: &str| format!("{{name: {name}, when: [{when}], report: JUnit}}");
    let bytes = |tests: &[String]| {
        let tests = format!("tests: [{}]", tests.join(", "));
        let begin = SPEC.find("tests: [").unwrap();
        let (_, release) = platform(&format!("{}{tests}\n", &SPEC[..begin]));
        super::super::report::share(&release)
    };
    assert_eq!(bytes(&[test("one", "Gate")]), 256 * 1024);
    let many: Vec<_> = (0..16)
        .map(|n| test(&format!("t{n}"), "Gate, Verify"))
        .collect();
    assert_eq!(bytes(&many), 20 * 1024);
}

#[test]
fn what_is_kept_of_a_release_belongs_to_its_record() {
    with_scope(|scope| {
        let kept = vec![("gate-smoke-1.xml.gz".to_owned(), vec![31, 139])];
        insta::assert_yaml_snapshot!(json!(reports::config_map(scope, "rev1", kept)));
    });
}
