//! Health checks on real sockets, run by the control thread: what [`dataplane_core::health`] decides about.

mod ask;
mod board;
mod prober;
mod watch;

use std::rc::Rc;

use dataplane_core::Moment;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) use board::Board;
pub use board::TargetHealth;
pub(crate) use prober::Prober;

use crate::Limits;
use crate::buffers::Buffers;
use crate::draw::Draw;
use crate::tls::Connectors;
use crate::upstream::Resolver;

/// What all probes share.
pub(crate) struct Surroundings {
    pub(crate) resolver: Resolver,
    pub(crate) limits: Limits,
    /// When the proxy began, for moments that its threads compare.
    pub(crate) epoch: Instant,
    pub(crate) draw: Draw,
    pub(crate) board: Board,
    pub(crate) connectors: Connectors,
    buffers: Rc<Buffers>,
    /// One for each probe that is under way.
    permits: Semaphore,
}

impl Surroundings {
    /// Probes under way at the same time: enough for some hundred targets that don't answer, few enough for the files that
    /// a process may open.
    const AT_ONCE: usize = 256;

    pub(crate) fn new(resolver: Resolver, limits: Limits, epoch: Instant, draw: Draw, board: Board) -> Self {
        let permits = Semaphore::new(Self::AT_ONCE);
        Self {
            resolver,
            limits,
            epoch,
            draw,
            board,
            connectors: Connectors::default(),
            buffers: Rc::default(),
            permits,
        }
    }

    fn now(&self) -> Moment {
        Moment::default().after(self.epoch.elapsed())
    }
}
