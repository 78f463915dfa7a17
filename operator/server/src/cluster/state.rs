use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use dataplane_snapshot::{Kind, Root, Snapshot, wire};
use http_body::{Frame, SizeHint};
use prost::Message as _;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::reach::Reach;

/// How long one send counts against the limit. A worker that reads slower than that doesn't keep others from theirs.
const LONGEST_SEND: Duration = Duration::from_secs(30);

/// How much of a state is handed to the connection at a time.
const SLICE: usize = 64 * 1024;

/// The current state, once as it is and once for those who may not have secrets. The second is made by the first of them.
pub(super) struct Current {
    whole: Encoded,
    without_secrets: OnceLock<Option<Encoded>>,
}

impl Current {
    pub(super) const fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { whole: Encoded::new(snapshot), without_secrets: OnceLock::new() }
    }

    pub(super) fn state(&self, reach: Reach) -> &Encoded {
        let has_secrets = || self.whole.snapshot.objects_of(Kind::Secret).next().is_some();
        let without = || has_secrets().then(|| Encoded::new(Arc::new(self.whole.snapshot.without_secrets())));
        match reach {
            Reach::Machine => &self.whole,
            Reach::Network => self.without_secrets.get_or_init(without).as_ref().unwrap_or(&self.whole),
        }
    }
}

/// A snapshot and, once somebody asked for it, its encoded form.
pub(super) struct Encoded {
    snapshot: Arc<Snapshot>,
    encoded: OnceCell<Bytes>,
}

impl Encoded {
    const fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, encoded: OnceCell::const_new() }
    }

    pub(super) fn root(&self) -> Root {
        self.snapshot.root()
    }

    /// The bytes of the state. They are made once, by the first who asks, off the threads that serve. `None` only while
    /// the runtime ends.
    pub(super) async fn encoded(&self) -> Option<Bytes> {
        let encode = || async {
            let snapshot = self.snapshot.clone();
            let encode = move || wire::State::from_snapshot(&snapshot).encode_to_vec().into();
            tokio::task::spawn_blocking(encode).await
        };
        self.encoded.get_or_try_init(encode).await.ok().cloned()
    }
}

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
