//! The addresses of targets' names. The control thread looks them up and keeps them fresh; the threads that proxy read what
//! it found.

mod addresses;
mod lookups;
mod register;
mod servers;
mod system;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

pub(crate) use addresses::{Address, Addresses};

/// Host names, as last looked up. Read by all threads, written by the control thread only.
type Names = HashMap<Arc<str>, Arc<Name>>;

struct Name {
    found: Answer,
    /// Somebody asked since it was looked at last; names that nobody asks for are forgotten.
    used: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resolving {host}: {reason}")]
pub(crate) struct ResolveError {
    host: String,
    reason: String,
}

type Answer = Result<Arc<Addresses>, ResolveError>;
/// A name that isn't known yet, and who waits for it.
type Question = (Arc<str>, oneshot::Sender<Answer>);

/// Asks the control thread for names that aren't known yet.
#[derive(Clone)]
pub(crate) struct Resolver {
    names: Arc<ArcSwap<Names>>,
    queue: mpsc::UnboundedSender<Question>,
}

impl Name {
    const fn new(found: Answer) -> Self {
        Self { found, used: AtomicBool::new(true) }
    }

    fn find(&self) -> Answer {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.found.clone()
    }

    /// Somebody asked since the last time that this was called, or is connected.
    fn is_used(&self) -> bool {
        let asked = self.used.swap(false, Ordering::Relaxed);
        asked || self.found.as_ref().is_ok_and(|addresses| addresses.are_connected())
    }
}

impl Resolver {
    /// The addresses of `host`, at least one. Only the first look-up of a name is waited for: later ones happen in the
    /// background, as those of a name do that has no addresses.
    pub(crate) async fn resolve(&self, host: &str) -> Answer {
        if let Some(name) = self.names.load().get(host) {
            return name.find();
        }
        let stopped =
            |()| ResolveError { host: host.to_owned(), reason: "the resolver has stopped".to_owned() };
        let (sender, receiver) = oneshot::channel();
        self.queue.send((host.into(), sender)).map_err(|_| stopped(()))?;
        receiver.await.map_err(|_| stopped(()))?
    }
}
