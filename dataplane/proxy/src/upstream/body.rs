use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of a request to a target. hyper takes frames from the slot, the client's side puts them in; both run in one
/// task, so there is no waker here.
pub(crate) enum RequestBody {
    Empty,
    Stream(Rc<Slot>),
}

/// Room for one frame: what a client sends is read only when the target takes it.
pub(crate) struct Slot(RefCell<State>);

struct State {
    frame: Option<Frame<Bytes>>,
    /// Bytes that hyper hasn't taken, if the length is known.
    left: Option<u64>,
    ended: bool,
    failed: bool,
    wanted: bool,
    touched: bool,
}

/// The client's part of the body ended early. hyper then closes the connection without an end of the body.
#[derive(Debug, thiserror::Error)]
#[error("the request body ended early")]
pub(crate) struct BodyAborted;

impl Slot {
    pub(crate) fn new(length: Option<u64>) -> Rc<Self> {
        Rc::new(Self(RefCell::new(State {
            frame: None,
            left: length,
            ended: false,
            failed: false,
            wanted: false,
            touched: false,
        })))
    }

    /// hyper asked for a frame and there was none.
    pub(crate) fn wants(&self) -> bool {
        let state = self.0.borrow();
        state.wanted && state.frame.is_none() && !state.ended && !state.failed
    }

    pub(crate) fn put(&self, frame: Frame<Bytes>) {
        let mut state = self.0.borrow_mut();
        state.wanted = false;
        state.ended |= frame.is_trailers();
        state.frame = Some(frame);
    }

    pub(crate) fn end(&self) {
        self.0.borrow_mut().ended = true;
    }

    pub(crate) fn fail(&self) {
        self.0.borrow_mut().failed = true;
    }

    /// All of the body was taken.
    pub(crate) fn is_finished(&self) -> bool {
        let state = self.0.borrow();
        state.ended && state.frame.is_none()
    }

    /// Some of the body was taken, so the request can't be sent again.
    pub(crate) fn is_touched(&self) -> bool {
        self.0.borrow().touched
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyAborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyAborted>>> {
        let Self::Stream(slot) = &*self else { return Poll::Ready(None) };
        let mut state = slot.0.borrow_mut();
        if state.failed {
            return Poll::Ready(Some(Err(BodyAborted)));
        }
        if let Some(frame) = state.frame.take() {
            state.touched = true;
            let len = frame.data_ref().map_or(0, Bytes::len) as u64;
            state.left = state.left.map(|left| left.saturating_sub(len));
            return Poll::Ready(Some(Ok(frame)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.wanted = true;
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(slot) => slot.is_finished(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(slot) => slot.0.borrow().left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
