//! The rules that need no registry.

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn allowing(entries: &[&str]) -> ImagePolicy {
    let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
    ImagePolicy::new(&entries, false, None).unwrap()
}

#[test]
fn without_rules_every_image_is_allowed() {
    assert_eq!(ImagePolicy::default().permits("crm:1"), Ok(()));
    assert!(ImagePolicy::default().trusts(None));
}

#[test]
fn a_registry_and_a_repository_with_what_lies_below_are_allowed() {
    let policy = allowing(&["registry.example:5000", "other.example/team/", "docker.io"]);
    for reference in [
        "registry.example:5000/crm:1",
        "registry.example:5000/any/thing@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "other.example/team:1",
        "other.example/team/crm:1",
        "postgres:15",
        "index.docker.io/library/postgres:15",
    ] {
        assert_eq!(policy.permits(reference), Ok(()), "{reference}");
    }
}

/// Each looks like an allowed one, or is read differently by somebody.
#[test]
fn what_only_looks_like_an_allowed_registry_is_refused() {
    let policy = allowing(&[
        "registry.example",
        "other.example/team",
        "docker.io/library",
    ]);
    for reference in [
        "registry.example.evil.test/crm:1",
        "evil.test/registry.example/crm:1",
        "registry.example:5000/crm:1",
        "Registry.example/crm:1",
        "other.example/team-b/crm:1",
        "other.example/teamcrm:1",
        "other.example/crm:1",
        "other.example/team/../crm:1",
        "registry.example@evil.test/crm:1",
        "someone/crm:1",
        "Library/crm:1",
        "",
    ] {
        assert!(policy.permits(reference).is_err(), "{reference}");
    }
}

/// A node takes a first part with a capital letter for a registry.
#[test]
fn a_name_that_a_node_reads_as_another_registry_is_refused() {
    let policy = allowing(&["docker.io"]);
    assert_eq!(policy.permits("someone/crm:1"), Ok(()));
    assert!(policy.permits("Someone/crm:1").is_err());
}

#[test]
fn a_refusal_says_where_the_image_is_and_what_is_allowed() {
    let policy = allowing(&[
        "a.example",
        "b.example/team",
        "c.example",
        "d.example",
        "e.example",
        "f.example",
    ]);
    let words = policy.permits("evil.test/crm:1").unwrap_err();
    assert!(
        words.starts_with("is in evil.test/crm, which this operator does not allow"),
        "{words}"
    );
    assert!(words.contains("a.example, b.example/team"), "{words}");
    assert!(
        words.contains("and 1 more") && words.contains("--allowed-registries"),
        "{words}"
    );
}

#[test]
fn an_entry_that_names_no_registry_is_refused_and_not_left_out() {
    for entry in [
        "",
        "/",
        "team",
        "https://registry.example",
        "*.example",
        "registry.example/crm:1",
        "registry.example//x",
        "Registry.example",
        "registry.example/a b",
    ] {
        let error = ImagePolicy::new(
            &["registry.example".to_owned(), entry.to_owned()],
            false,
            None,
        );
        assert!(
            error.is_err_and(|error| error.to_string().contains("such as registry.example:5000")),
            "{entry:?}"
        );
    }
}

#[test]
fn a_reference_without_a_digest_is_refused_where_one_is_asked_for() {
    let policy = ImagePolicy::new(&[], true, None).unwrap();
    assert_eq!(
        policy.permits(&format!("registry.example/crm@{DIGEST}")),
        Ok(())
    );
    assert_eq!(
        policy.permits(&format!("registry.example/crm:1@{DIGEST}")),
        Ok(())
    );
    for reference in [
        "registry.example/crm:1",
        "registry.example/crm",
        "registry.example/crm@sha256:aa",
    ] {
        assert!(policy.permits(reference).is_err(), "{reference}");
    }
    let words = policy.permits("registry.example/crm:1").unwrap_err();
    assert!(words.contains("repository@sha256:"), "{words}");
}
