//! The choice of a tag, as people who know Flux, npm or cargo expect it.

use super::*;
use crate::api::CrmPlatform;
use crate::cost::Prices;
use crate::platform::Settings;

fn spec(image: &str, semver: &str) -> CrmPlatformSpec {
    let spec = format!(
        "{{image: '{image}', imageUpdate: {{semver: '{semver}'}}, services: [{{name: sales}}], database: {{embedded: {{}}}}, tests: [{{name: smoke, when: [Gate]}}]}}"
    );
    serde_saphyr::from_str(&spec).unwrap()
}

fn update(image: &str, semver: &str) -> Update {
    Update::parse(&spec(image, semver)).unwrap().unwrap()
}

fn tags(all: &[&str]) -> Tags {
    Tags::of(all.iter().map(ToString::to_string))
}

fn known(image: &str) -> ImageUpdate {
    let found_at = "2026-01-01T12:00:00Z".parse().unwrap();
    ImageUpdate {
        image: image.to_owned(),
        found_at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(found_at),
        passed_over: None,
        message: None,
    }
}

/// The tag that a platform at 1.0.0 begins with.
fn first(semver: &str, all: &[&str]) -> String {
    let newer = update("host:5000/crm:1.0.0", semver).newer(None, &tags(all));
    let image = newer.first().map_or("host:5000/crm:1.0.0", String::as_str);
    image.strip_prefix("host:5000/crm:").unwrap().to_owned()
}

#[test]
fn ranges_mean_what_they_mean_in_flux() {
    let all = [
        "1.0.0",
        "1.2.3",
        "1.2.9",
        "1.3.0",
        "1.10.0",
        "2.0.0",
        "2.1.0-rc.1",
        "3.0.0",
    ];
    for (semver, newest) in [
        (">=1.0.0 <2.0.0", "1.10.0"),
        (">=1.0.0, <2.0.0", "1.10.0"),
        (">= 1.0.0 < 1.3", "1.2.9"),
        ("~1.2", "1.2.9"),
        ("^1.2.0", "1.10.0"),
        ("1.x", "1.10.0"),
        ("1.2", "1.2.9"),
        ("v1.2.3", "1.2.3"),
        ("1.2.3", "1.2.3"),
        ("2.1.0-rc.1", "2.1.0-rc.1"),
        ("*", "3.0.0"),
        ("1.2.x || 2.x", "2.0.0"),
        (">=2.1.0-0 <3.0.0", "2.1.0-rc.1"),
        (">=4.0.0", "1.0.0"),
    ] {
        assert_eq!(first(semver, &all), newest, "{semver}");
    }
}

#[test]
fn what_is_no_version_is_left_out_and_one_version_has_one_tag() {
    let odd = [
        "latest",
        "1",
        "1.4",
        "01.4.0",
        "1.4.0.1",
        "1.4.0+b",
        "1.4.0 ",
        "99999999999999999999.0.0",
        "../1.4.0",
        "sha256-aa.sig",
        "",
        "v",
        "1.4.0\n",
    ];
    assert_eq!(tags(&odd), Tags::default());
    let long = format!("1.4.0-{}", "a".repeat(200));
    assert_eq!(tags(&[&long]), Tags::default());
    for both in [["v1.4.0", "1.4.0"], ["1.4.0", "v1.4.0"]] {
        assert_eq!(first("*", &both), "1.4.0");
    }
    assert_eq!(
        first("*", &["v1.4.0"]),
        "v1.4.0",
        "the tag as it is written"
    );
}

#[test]
fn nothing_below_what_was_found_or_what_the_spec_names_is_chosen() {
    let update = update("host:5000/crm:1.2.0", ">=1.0.0");
    assert!(update.newer(None, &tags(&["1.1.0", "1.2.0"])).is_empty());
    let found = known("host:5000/crm:1.4.0");
    let newer = |all: &[&str]| update.newer(Some(&found), &tags(all));
    assert!(newer(&["1.2.0", "1.3.0"]).is_empty(), "1.4.0 has vanished");
    assert!(newer(&["1.4.0", "v1.4.0", "1.4.0-rc.1"]).is_empty());
    assert_eq!(
        newer(&["1.4.1", "1.5.0"]),
        ["host:5000/crm:1.5.0", "host:5000/crm:1.4.1"]
    );
    let many = (0..100).map(|patch| format!("1.5.{patch}"));
    let newest = update.newer(Some(&found), &Tags::of(many));
    assert_eq!(newest.len(), LOOKED_AT);
    assert_eq!(newest[0], "host:5000/crm:1.5.99");
}

#[test]
fn what_was_passed_over_is_not_found_again() {
    let update = update("host:5000/crm:1.0.0", ">=1.0.0");
    let found = ImageUpdate {
        passed_over: Some("1.5.0".into()),
        ..known("host:5000/crm:1.4.0")
    };
    let newer = |all: &[&str]| update.newer(Some(&found), &tags(all));
    assert!(newer(&["1.4.5", "1.5.0"]).is_empty());
    assert_eq!(newer(&["1.4.5", "1.5.1"]), ["host:5000/crm:1.5.1"]);
}

/// Of another repository, outside of a changed range, below a changed spec, or written by somebody else.
#[test]
fn what_the_spec_does_not_let_stand_for_its_image_is_not_kept() {
    let update = update("host:5000/crm:1.2.0", ">=1.0.0 <2.0.0");
    let kept = |image: &str| update.stands_for_it(Some(&known(image))).is_some();
    assert!(kept("host:5000/crm:1.4.0") && kept("host:5000/crm:1.2.0"));
    for image in [
        "host:5000/other:1.4.0",
        "host:5000/crm-two:1.4.0",
        "evil.test/crm:1.4.0",
        "host:5000/crm:2.0.0",
        "host:5000/crm:1.1.0",
        "host:5000/crm:latest",
        "host:5000/crm",
    ] {
        assert!(!kept(image), "{image}");
    }
    assert!(update.stands_for_it(None).is_none());
    let outside = self::update("host:5000/crm:0.1.0", ">=1.0.0");
    assert!(
        outside
            .stands_for_it(Some(&known("host:5000/crm:0.1.0")))
            .is_some(),
        "the image of the spec itself need not be in the range"
    );
}

#[test]
fn what_cannot_be_followed_is_said_with_field_and_remedy() {
    for image in [
        "crm",
        "crm:latest",
        "host:5000/crm",
        "crm:1.0",
        "crm:1.0.0@sha256:aa",
    ] {
        let invalid = Update::parse(&spec(image, "1.x")).unwrap_err();
        assert_eq!(invalid.field, "spec.image", "{image}");
        assert!(invalid.remedy.contains("repository:1.4.0"));
    }
    for semver in [
        "",
        "new",
        "1.0 - 2.0",
        ">1 || ",
        "!=1.0.0",
        ">=1.0.0 <",
        "1.2.3.4",
    ] {
        let invalid = Update::parse(&spec("crm:1.0.0", semver)).unwrap_err();
        assert_eq!(invalid.field, "spec.imageUpdate.semver", "{semver}");
        assert!(invalid.remedy.contains(">=1.4.0 <2.0.0"));
    }
}

fn platform(status: Option<ImageUpdate>) -> Platform {
    let mut object = CrmPlatform::new("acme", spec("host:5000/crm:1.0.0", ">=1.0.0"));
    object.metadata.uid = Some("u1".into());
    object.status = Some(crate::api::CrmPlatformStatus {
        memory: Memory {
            image_update: status,
            ..Memory::default()
        },
        ..Default::default()
    });
    let settings = Settings {
        postgres_image: "postgres:15".into(),
        operator_image: None,
        images: Default::default(),
        prices: Prices {
            cpu_hour: 1.0,
            memory_gib_hour: 1.0,
        },
    };
    Platform::parse(&object, &settings).unwrap()
}

/// Nothing may begin with an image that is about to be replaced; then the release is the one of a spec that names the tag itself.
#[test]
fn an_image_that_was_found_stands_for_that_of_the_spec() {
    let open = platform(None);
    assert!(open.image_is_open && open.questions(&[]).is_empty());
    let resolved = |tag: &str| crate::api::status::ResolvedImage {
        reference: format!("host:5000/crm:{tag}"),
        image: format!("host:5000/crm@sha256:{tag}"),
        signed_by: None,
    };
    let all = [resolved("1.0.0"), resolved("1.4.0")];
    assert!(open.wanted(&all).is_none());
    let found = platform(Some(known("host:5000/crm:1.4.0")));
    assert_eq!(found.references(), ["host:5000/crm:1.4.0"]);
    let wanted = found.wanted(&all).unwrap();
    assert_eq!(wanted.services[0].image, "host:5000/crm@sha256:1.4.0");
    assert_eq!(wanted.tests[0].image, "host:5000/crm@sha256:1.4.0");
}

#[test]
fn of_many_versions_the_newest_stay_and_what_that_hides_is_said() {
    let many = (0..=KEPT).map(|minor| format!("2.{minor}.0"));
    let mut all: Vec<_> = many.collect();
    all.push("1.5.0".to_owned());
    let tags = Tags::of(all.clone());
    assert_eq!(tags.newest.len(), KEPT);
    assert_eq!(&*tags.newest[0], "2.1000.0");
    let found = known("host/crm:1.0.0");
    let update = |semver: &str| update("host/crm:1.0.0", semver);
    let newer = update("2.x").newer(Some(&found), &tags);
    assert_eq!(newer[0], "host/crm:2.1000.0");
    let narrow = update("1.x");
    assert!(narrow.newer(Some(&found), &tags).is_empty());
    let why = narrow.out_of_sight(Some(&found), &tags).unwrap();
    assert!(why.contains("more than 1000 versions"), "{why}");
    let newest = known("host/crm:2.1000.0");
    assert_eq!(update("2.x").out_of_sight(Some(&newest), &tags), None);
    let few = Tags::of(all.split_off(500));
    assert_eq!(narrow.out_of_sight(Some(&found), &few), None);
}
