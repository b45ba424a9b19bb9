//! Two rules about the sources that no compiler checks: columns are always listed, and the OpenAPI documents in the
//! repository are those of this build.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic; the lint only knows functions that are tests themselves"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crm_service::openapi;
use crm_service::service::Service;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            // The tests inside have bad statements on purpose, and are not part of the program.
            Some("rs" | "sql") if !path.ends_with("tests.rs") => found.push(path),
            _ if path.is_dir() => files(&path, found),
            _ => {}
        }
    }
}

/// Where a text takes all columns of a table, whatever they are.
fn starred(text: &str) -> Option<String> {
    let words = text
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let patterns = ["select *", "returning *", "select distinct *"];
    let literal = patterns
        .iter()
        .find(|pattern| words.contains(*pattern))
        .map(|pattern| (*pattern).to_owned());
    literal.or_else(|| {
        words
            .split(' ')
            .find(|word| is_all_of_a_table(word))
            .map(str::to_owned)
    })
}

/// `t.*`, bare or next to punctuation.
fn is_all_of_a_table(word: &str) -> bool {
    let table = word.trim_matches(['"', '(', ')', ',']).strip_suffix(".*");
    table.is_some_and(|table| {
        !table.is_empty()
            && table
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[test]
fn no_statement_takes_all_columns() {
    let mut sources = Vec::new();
    files(&root().join("src"), &mut sources);
    assert!(sources.len() > 30);
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            starred(&text),
            None,
            "{}: list the columns: one that a later release adds must not change the result",
            path.display()
        );
    }
}

#[test]
fn a_statement_that_takes_all_columns_is_noticed() {
    for text in [
        "SELECT\n  * from t",
        "insert into t returning *",
        "select t.*, 1 from t",
        "select distinct * from t",
    ] {
        assert!(starred(text).is_some(), "{text}");
    }
    assert_eq!(
        starred("select count(*) from t where a * b > 2 -- select one"),
        None
    );
}

#[test]
fn the_committed_openapi_documents_are_those_of_this_build() {
    for service in Service::ALL {
        let path = root().join(format!("openapi/{service}.json"));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let remedy = format!(
            "cargo run -p crm-service -- openapi --service {service} > crm-service/openapi/{service}.json"
        );
        assert!(
            committed == openapi::printed(service),
            "{} differs; write it anew: {remedy}",
            path.display()
        );
    }
}
