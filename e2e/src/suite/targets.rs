//! Which programs with tests the workspace has. In: what cargo says of its manifests. Out: options of `cargo test`.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{command, paths};

/// The tests on the cluster.
pub const CLUSTER: [&str; 4] = ["test", "--workspace", "--test", "cluster"];

/// All programs with tests but that of [`CLUSTER`]: an option of cargo for this there is not.
///
/// # Errors
/// When cargo cannot read the manifests.
pub fn others() -> Result<Vec<String>> {
    let mut cargo = command::within(60, "cargo");
    cargo
        .current_dir(paths::checkout())
        .args(["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&command::output(&mut cargo)?)
        .context("cannot read what cargo says of the workspace")?;
    Ok(beside_the_cluster(&metadata))
}

fn beside_the_cluster(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let names = targets
        .filter(|target| target["kind"][0] == "test" && target["test"] == true)
        .filter_map(|target| target["name"].as_str())
        .filter(|name| *name != CLUSTER[3]);
    let fixed = ["test", "--workspace", "--lib", "--bins"].into_iter();
    let options = fixed.chain(names.flat_map(|name| ["--test", name]));
    options.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_programs_with_tests_but_that_on_the_cluster() {
        let target = |kind: &str, name: &str, test: bool| json!({ "kind": [kind], "name": name, "test": test });
        let metadata = json!({ "packages": [
            { "targets": [target("lib", "crm_operator", true), target("test", "wire", true), target("test", "simulation", false)] },
            { "targets": [target("test", "cluster", true), target("test", "documents", true)] },
        ] });
        assert_eq!(
            beside_the_cluster(&metadata),
            [
                "test",
                "--workspace",
                "--lib",
                "--bins",
                "--test",
                "wire",
                "--test",
                "documents"
            ]
        );
    }

    #[test]
    fn they_are_found_in_this_workspace() {
        let others = others().unwrap().join(" ");
        assert!(others.contains("--test runner"), "{others}");
        assert!(!others.contains("cluster"), "{others}");
    }
}
