//! An open session of psql in the embedded database, for what holds a lock while something else happens.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};

use super::Platform;
use crate::process::end_child;

/// Printed by psql after a statement, so that its end is known.
const DONE: &str = "-- done --";

/// A session as superuser; dropping it ends it, and rolls back what was not committed.
pub struct Session {
    psql: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Platform {
    /// Opens a session that ends by itself after `seconds`.
    ///
    /// # Errors
    /// When psql cannot be started.
    pub fn open_session(&self, seconds: u32) -> Result<Session> {
        let pod = format!("{}-postgres-0", self.name);
        let mut kubectl = self.cluster.kubectl(seconds);
        kubectl.args([
            "--namespace",
            &self.namespace,
            "exec",
            "--stdin",
            &pod,
            "--",
        ]);
        kubectl.args(["psql", "-U", "postgres", "-d", "crm", "-Atq"]);
        kubectl.args(["-v", "ON_ERROR_STOP=1"]);
        let mut psql = kubectl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot open a session of psql")?;
        let input = psql.stdin.take().expect("standard input is piped");
        let output = psql.stdout.take().expect("standard output is piped");
        Ok(Session {
            psql,
            input,
            output: BufReader::new(output).lines(),
        })
    }
}

impl Session {
    /// Runs a statement; returns when the server has done it.
    ///
    /// # Errors
    /// When it fails, or the session's time is up.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        writeln!(self.input, "{statement};\n\\echo '{DONE}'")
            .with_context(|| format!("the session had ended before: {statement}"))?;
        for line in &mut self.output {
            if line? == DONE {
                return Ok(());
            }
        }
        bail!("the session ended at: {statement}")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        end_child(&mut self.psql);
    }
}
