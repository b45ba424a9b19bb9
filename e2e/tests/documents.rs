//! What the documents say of the tests is true: each test that `docs/pain-points.md` names is there, and none is planned that is there already.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = "docs/pain-points.md";
/// How many troubles there are.
const ROWS: usize = 53;

/// Where each kind of test lives.
const PLACES: [(&str, &str); 8] = [
    ("cluster", "e2e/tests/cluster"),
    ("simulation", "operator/tests/simulation"),
    ("wire", "operator/tests/wire.rs"),
    ("generated", "operator/tests/generated.rs"),
    ("operator", "operator/src"),
    ("runner", "crm-service/tests/runner"),
    ("api", "crm-service/tests/api"),
    ("service", "crm-service/src"),
];

/// A test as a row names it.
#[derive(Debug)]
struct Named {
    place: &'static str,
    name: String,
    planned: bool,
}

#[test]
fn every_pain_point_has_its_row() {
    let rows: Vec<_> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(rows, (1..=ROWS).collect::<Vec<_>>());
}

#[test]
fn every_row_has_a_test_or_says_why_not() {
    for (number, settled) in rows() {
        let words = ["Does not apply: ", "Not yet: "];
        assert!(
            !named(&settled).is_empty() || words.iter().any(|word| settled.contains(word)),
            "row {number} of {TABLE} names no test: name one, or begin with one of {words:?}"
        );
    }
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let tests = PLACES.map(|(kind, place)| (kind, tests_in(place)));
    for (number, settled) in rows() {
        for named in named(&settled) {
            let (_, there) = tests.iter().find(|(kind, _)| *kind == named.place).unwrap();
            let (is, name) = (there.contains(&named.name), &named.name);
            assert!(
                is || named.planned,
                "row {number} of {TABLE}: there is no test {name} in {}",
                named.place
            );
            assert!(
                !(is && named.planned),
                "row {number} of {TABLE}: the test {name} is there, so take (planned) away and look whether the row says enough"
            );
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Number and last column of each row.
fn rows() -> Vec<(usize, String)> {
    let text = fs::read_to_string(root().join(TABLE)).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, _, settled] = cells[..] else {
            return None;
        };
        Some((number.parse().ok()?, settled.to_owned()))
    });
    rows.collect()
}

/// The tests of a cell: a word for the place, then names in backticks, until the next word for a place. A name without a place is a mistake.
fn named(cell: &str) -> Vec<Named> {
    let mut place = None;
    let mut all: Vec<Named> = Vec::new();
    for (at, part) in cell.split('`').enumerate() {
        if at % 2 == 0 {
            if let (Some(last), true) = (all.last_mut(), part.starts_with(" (planned)")) {
                last.planned = true;
            }
            let word = part.split_whitespace().next_back();
            let found = PLACES.iter().find(|(kind, _)| Some(*kind) == word);
            place = found.map_or(place, |(kind, _)| Some(*kind));
        } else if part.contains('_') {
            all.push(Named {
                place: place
                    .unwrap_or_else(|| panic!("{part} stands without its place in: {cell}")),
                name: part.to_owned(),
                planned: false,
            });
        }
    }
    all
}

/// Names of the tests below a place; in the simulation those of the stories too.
fn tests_in(place: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for file in sources(&root().join(place)) {
        let text = fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            let function = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = function.strip_prefix("fn ") {
                if is_test {
                    tests.extend(rest.split('(').next().map(str::to_owned));
                }
                is_test = false;
            }
        }
        if file.ends_with("simulation/stories.rs") {
            tests.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    tests
}

/// The Rust files at a place: all in that folder, or itself and those in the folder of its name.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        let folder = place.with_extension("");
        let modules = if folder.is_dir() {
            sources(&folder)
        } else {
            Vec::new()
        };
        return [place.to_owned()].into_iter().chain(modules).collect();
    }
    let entries =
        fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.extension() {
            Some(extension) if extension != "rs" => Vec::new(),
            _ => sources(&path),
        })
        .collect()
}
