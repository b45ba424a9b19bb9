//! IO in: the logs that a plan asks for, when it finds a verdict that they explain. Best effort within a few seconds: what cannot be read is told in words and holds up nothing.
//!
//! In: names of pods and containers. Out: bounded bytes, whatever the container has written. Must not look into them.

use std::time::Duration;

use futures::AsyncReadExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::time::timeout;

use crate::context::{Context, PlatformKey};
use crate::kept::{log, whole};
use crate::observed::{Ask, LogPart, Logs};

/// For one log; all of them are read at once.
const DEADLINE: Duration = Duration::from_secs(3);
/// Lines at the end of a log, and bytes that are read of them: a limit in bytes cuts the end off, not the beginning.
const LINES: i64 = 400;
const LINES_BYTES: usize = 4 * log::LOG_BYTES;
/// Lines that are read instead when those were longer than that.
const FEW_LINES: i64 = 12;

/// Reads logs; each is answered.
pub async fn read(ctx: &Context, platform: &PlatformKey, asks: &[Ask]) -> Logs {
    let pods = Api::<Pod>::namespaced(ctx.client.clone(), &platform.namespace);
    let answers = asks.iter().map(async |ask| {
        let read = timeout(DEADLINE, one(&pods, ask)).await;
        let late = || Err(format!("no answer within {} seconds", DEADLINE.as_secs()));
        let read = read.unwrap_or_else(|_| late());
        if let Err(why) = &read {
            tracing::warn!(%platform, pod = ask.pod, container = ask.container, why, "a log could not be read; its verdict stands without it");
        }
        (ask.clone(), read)
    });
    join_all(answers).await.into_iter().collect()
}

async fn one(pods: &Api<Pod>, ask: &Ask) -> Result<Vec<u8>, String> {
    if ask.part == LogPart::Report {
        return part(pods, ask, (None, whole::LOG_BYTES)).await;
    }
    let end = part(pods, ask, (Some(LINES), LINES_BYTES)).await?;
    match end.len() >= LINES_BYTES {
        true => part(pods, ask, (Some(FEW_LINES), LINES_BYTES)).await,
        false => Ok(end),
    }
}

/// The last lines of a log, or all of it, up to so many bytes.
async fn part(
    pods: &Api<Pod>,
    ask: &Ask,
    (lines, bytes): (Option<i64>, usize),
) -> Result<Vec<u8>, String> {
    let params = LogParams {
        container: Some(ask.container.to_owned()),
        limit_bytes: i64::try_from(bytes).ok(),
        tail_lines: lines,
        previous: ask.part == LogPart::EndBefore,
        ..LogParams::default()
    };
    let stream = pods.log_stream(&ask.pod, &params).await;
    let stream = stream.map_err(|error| crate::error::short(&error))?;
    let mut read = Vec::new();
    // Bounded here too, whatever the other side thinks of the limit.
    let mut stream = stream.take(u64::try_from(bytes).unwrap_or(u64::MAX));
    let done = stream.read_to_end(&mut read).await;
    done.map_err(|error| error.to_string())?;
    Ok(read)
}
