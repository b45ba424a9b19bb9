//! The API server's audit log: who asked for what. In: the file, and where to begin. Out: requests; nothing is judged here.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// A request that the API server has answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// For example `create` or `update`.
    pub verb: String,
    /// Plural name, with the subresource behind a slash.
    pub resource: String,
    /// Namespace of the object; empty when it was asked for in all of them.
    pub namespace: String,
    /// Name of the object; empty for lists, watches and objects that are being made.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Reference>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Reference {
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

/// The log of the node's own API server.
pub struct Log {
    file: PathBuf,
}

impl Log {
    /// Opens it.
    ///
    /// # Errors
    /// When the cluster is another one, whose log is out of reach.
    pub fn open() -> Result<Self> {
        let file = paths::log("audit");
        if !file.exists() {
            bail!(
                "there is no {}: only the node of its own writes an audit log that can be read here; run cargo e2e down, then without --kubeconfig and kind",
                file.display()
            );
        }
        Ok(Self { file })
    }

    /// Where it ends now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn end(&self) -> Result<u64> {
        let about = std::fs::metadata(&self.file).context("cannot read the audit log")?;
        Ok(about.len())
    }

    /// What an account asked for between two places.
    ///
    /// # Errors
    /// When it cannot be read, holds a line that is no request, or was begun anew meanwhile.
    pub fn between(&self, (from, to): (u64, u64), account: &str) -> Result<Vec<Request>> {
        if from > to {
            bail!("the audit log was begun anew while it was measured: run it again");
        }
        let mut file = File::open(&self.file).context("cannot open the audit log")?;
        file.seek(SeekFrom::Start(from))?;
        let mut requests = Vec::new();
        let mut left = to - from;
        for line in BufReader::new(file).lines() {
            let line = line.context("cannot read the audit log")?;
            let length = line.len() as u64 + 1;
            if length > left {
                break;
            }
            left -= length;
            requests.extend(request(&line, account)?);
        }
        Ok(requests)
    }
}

/// The request of a line, if it is one of this account.
fn request(line: &str, account: &str) -> Result<Option<Request>> {
    let line: Line = serde_json::from_str(line)
        .with_context(|| format!("the audit log holds a line that is no event: {line}"))?;
    let Some(of) = line
        .object_ref
        .filter(|_| line.stage == "ResponseComplete" && line.user.username == account)
    else {
        return Ok(None);
    };
    let resource = match of.subresource.as_str() {
        "" => of.resource,
        below => format!("{}/{below}", of.resource),
    };
    Ok(Some(Request {
        verb: line.verb,
        resource,
        namespace: of.namespace,
        name: of.name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: &str = "system:serviceaccount:crm-system:crm-operator";
    const STATUS: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/crmplatform.io/v1alpha1/namespaces/bench/crmplatforms/acme/status?&fieldManager=crm-operator","verb":"update","user":{"username":"system:serviceaccount:crm-system:crm-operator","groups":["system:serviceaccounts"]},"sourceIPs":["10.0.0.3"],"userAgent":"crm-operator","objectRef":{"resource":"crmplatforms","namespace":"bench","name":"acme","uid":"u1","apiGroup":"crmplatform.io","apiVersion":"v1alpha1","resourceVersion":"7","subresource":"status"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-01T12:00:00.000000Z","stageTimestamp":"2026-01-01T12:00:00.010000Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;
    const LIST: &str = r#"{"kind":"Event","level":"Metadata","stage":"ResponseComplete","requestURI":"/apis/batch/v1/jobs?limit=500","verb":"list","user":{"username":"system:serviceaccount:crm-system:crm-operator"},"objectRef":{"resource":"jobs","apiGroup":"batch","apiVersion":"v1"}}"#;
    const DISCOVERY: &str = r#"{"kind":"Event","level":"Metadata","stage":"ResponseComplete","requestURI":"/version","verb":"get","user":{"username":"system:serviceaccount:crm-system:crm-operator"}}"#;

    fn parsed(line: &str) -> Option<Request> {
        request(line, OPERATOR).unwrap()
    }

    #[test]
    fn a_request_has_verb_resource_and_object() {
        let status = parsed(STATUS).unwrap();
        assert_eq!(status.verb, "update");
        assert_eq!(status.resource, "crmplatforms/status");
        assert_eq!((&*status.namespace, &*status.name), ("bench", "acme"));
        let list = parsed(LIST).unwrap();
        assert_eq!((&*list.verb, &*list.resource), ("list", "jobs"));
        assert_eq!((&*list.namespace, &*list.name), ("", ""));
    }

    #[test]
    fn others_unanswered_requests_and_addresses_without_an_object_do_not_count() {
        let another = STATUS.replace("crm-system:crm-operator", "crm-system:default");
        assert_eq!(parsed(&another), None);
        let begun = STATUS.replace("ResponseComplete", "ResponseStarted");
        assert_eq!(parsed(&begun), None);
        assert_eq!(parsed(DISCOVERY), None);
    }

    #[test]
    fn a_broken_line_is_an_error_and_not_a_request_less() {
        assert!(request("{\"stage\":", OPERATOR).is_err());
    }
}
