use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

/// How long one send counts against the limit. A worker that reads slower than that doesn't keep others from theirs.
const LONGEST_SEND: Duration = Duration::from_secs(30);

/// How much of a state is handed to the connection at a time.
const SLICE: usize = 64 * 1024;

/// A body of shared bytes that gives its permit back when it has been sent, dropped, or has taken too long.
struct StateBody {
    rest: Bytes,
    _done: oneshot::Sender<()>,
}

/// See [`StateBody`].
pub(super) fn body(bytes: Bytes, permit: OwnedSemaphorePermit) -> Body {
    let (done, is_done) = oneshot::channel();
    tokio::spawn(async move {
        let _ = timeout(LONGEST_SEND, is_done).await;
        drop(permit);
    });
    Body::new(StateBody { rest: bytes, _done: done })
}

impl http_body::Body for StateBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
