//! What a handler leaves of a request's body: read and thrown away before the answer leaves, so that a caller who is
//! refused gets the answer and keeps the connection. Bounded in size and time; beyond that the connection is closed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::Request;
use axum::http::header;
use futures::stream::{Stream, StreamExt as _, poll_fn};

/// Most bytes that are thrown away.
const LIMIT: usize = 1024 * 1024;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The end of a request's body, of which a handler may have read some.
pub struct Remainder {
    body: Arc<Mutex<BodyDataStream>>,
    /// The caller sends the body only when it is asked to.
    waits: bool,
}

impl Remainder {
    /// Keeps hold of the body of a request; of none when it has none.
    pub fn of(request: Request) -> (Request, Option<Remainder>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let waits = request.headers().contains_key(header::EXPECT);
        let (parts, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body.into_data_stream()));
        let request = Request::from_parts(parts, Body::from_stream(chunks(body.clone())));
        (request, Some(Remainder { body, waits }))
    }

    /// Reads to the end; `false` when the connection has more than is worth reading.
    pub async fn discard(self) -> bool {
        // To read would be to ask for a body that is not wanted.
        if self.waits {
            return false;
        }
        let mut chunks = chunks(self.body);
        let read = async {
            let mut left = LIMIT;
            while let Some(chunk) = chunks.next().await {
                match chunk.map(|bytes| left.checked_sub(bytes.len())) {
                    Ok(Some(rest)) => left = rest,
                    Ok(None) | Err(_) => return false,
                }
            }
            true
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
    }
}

/// A body that somebody else can go on reading.
fn chunks(
    body: Arc<Mutex<BodyDataStream>>,
) -> impl Stream<Item = <BodyDataStream as Stream>::Item> + Unpin + Send {
    poll_fn(move |context| {
        let mut body = body
            .lock()
            .expect("reading a piece of a body does not panic");
        body.poll_next_unpin(context)
    })
}
