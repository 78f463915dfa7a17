use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long addresses are used before they are looked up again in the background.
const FRESH: Duration = Duration::from_secs(30);

/// The addresses of host names, as last looked up. Read by all threads, written by the control thread only.
pub(crate) type Names = HashMap<Arc<str>, Arc<Addresses>>;

pub(crate) struct Addresses {
    /// In the order in which the system gives them (RFC 6724); at least one.
    list: Vec<IpAddr>,
    /// The position of the one that last took a connection: a dead one is tried once, not with each connection.
    preferred: AtomicUsize,
    looked_up: Instant,
    /// Somebody asked since the last look-up; names that nobody asks for are forgotten.
    used: AtomicBool,
}

impl Addresses {
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// The address at `distance` from the preferred one, around the end of the list.
    pub(crate) fn at(&self, distance: usize) -> Option<IpAddr> {
        let position = self.preferred.load(Ordering::Relaxed) + distance;
        self.list.get(position % self.list.len().max(1)).copied()
    }

    /// The address at `distance` took a connection and is the one to begin with.
    pub(crate) fn prefer(&self, distance: usize) {
        let position = self.preferred.load(Ordering::Relaxed) + distance;
        self.preferred.store(position % self.list.len().max(1), Ordering::Relaxed);
    }
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("resolving {host}: {reason}")]
pub(crate) struct ResolveError {
    host: String,
    reason: String,
}

type Answer = Result<Arc<Addresses>, ResolveError>;

/// Asks the control thread for names that aren't known yet.
#[derive(Clone)]
pub(crate) struct Resolver {
    names: Arc<ArcSwap<Names>>,
    queue: mpsc::UnboundedSender<(Arc<str>, oneshot::Sender<Answer>)>,
}

/// The control thread's end.
pub(crate) struct Lookups {
    names: Arc<ArcSwap<Names>>,
    queue: mpsc::UnboundedReceiver<(Arc<str>, oneshot::Sender<Answer>)>,
}

impl Resolver {
    pub(crate) fn new() -> (Self, Lookups) {
        let names = Arc::new(ArcSwap::from_pointee(Names::new()));
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { names: names.clone(), queue: sender }, Lookups { names, queue: receiver })
    }

    /// The addresses of `host`, at least one. A known name costs no wait, also when it is due for a new look-up.
    pub(crate) async fn resolve(&self, host: &str) -> Result<Arc<Addresses>, ResolveError> {
        let failed = |reason: &str| ResolveError { host: host.to_owned(), reason: reason.to_owned() };
        let known = self.names.load().get(host).cloned();
        let addresses = match known {
            Some(addresses) => addresses,
            None => {
                let (sender, receiver) = oneshot::channel();
                self.queue.send((host.into(), sender)).map_err(|_| failed("the resolver has stopped"))?;
                receiver.await.map_err(|_| failed("the resolver has stopped"))??
            }
        };
        if !addresses.used.load(Ordering::Relaxed) {
            addresses.used.store(true, Ordering::Relaxed);
        }
        if addresses.list.is_empty() { Err(failed("no address")) } else { Ok(addresses) }
    }
}

impl Lookups {
    /// Looks names up until all resolvers are gone.
    pub(crate) async fn run(mut self) {
        let mut refresh = tokio::time::interval(FRESH / 6);
        let (done, mut results) = mpsc::unbounded_channel::<(Arc<str>, Answer)>();
        let mut waiting: HashMap<Arc<str>, Vec<oneshot::Sender<Answer>>> = HashMap::new();
        loop {
            tokio::select! {
                question = self.queue.recv() => {
                    let Some((host, sender)) = question else { return };
                    let asked = waiting.entry(host.clone()).or_default();
                    asked.push(sender);
                    if asked.len() == 1 {
                        tokio::spawn(look_up(host, done.clone()));
                    }
                }
                result = results.recv() => {
                    let Some((host, answer)) = result else { return };
                    if let Ok(addresses) = &answer {
                        self.publish(&host, addresses.clone());
                    }
                    for sender in waiting.remove(&host).unwrap_or_default() {
                        let _ = sender.send(answer.clone());
                    }
                }
                now = refresh.tick() => self.refresh(now, &mut waiting, &done),
            }
        }
    }

    fn publish(&self, host: &Arc<str>, addresses: Arc<Addresses>) {
        let mut names = Names::clone(&self.names.load());
        names.insert(host.clone(), addresses);
        self.names.store(Arc::new(names));
    }

    /// Looks up again what is old and in use, and forgets what is old and unused. A failed look-up keeps the old
    /// addresses.
    fn refresh(
        &self,
        now: Instant,
        waiting: &mut HashMap<Arc<str>, Vec<oneshot::Sender<Answer>>>,
        done: &mpsc::UnboundedSender<(Arc<str>, Answer)>,
    ) {
        let mut names = Names::clone(&self.names.load());
        let before = names.len();
        names.retain(|host, addresses| {
            if now.duration_since(addresses.looked_up) < FRESH || waiting.contains_key(host) {
                return true;
            }
            let used = addresses.used.swap(false, Ordering::Relaxed);
            if used {
                waiting.insert(host.clone(), Vec::new());
                tokio::spawn(look_up(host.clone(), done.clone()));
            }
            used
        });
        if names.len() != before {
            self.names.store(Arc::new(names));
        }
    }
}

async fn look_up(host: Arc<str>, done: mpsc::UnboundedSender<(Arc<str>, Answer)>) {
    let answer = match tokio::net::lookup_host((&*host, 0)).await {
        Ok(addresses) => Ok(Arc::new(Addresses {
            list: addresses.map(|address| address.ip()).collect(),
            preferred: AtomicUsize::new(0),
            looked_up: Instant::now(),
            used: AtomicBool::new(true),
        })),
        Err(error) => Err(ResolveError { host: host.to_string(), reason: error.to_string() }),
    };
    let _ = done.send((host, answer));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_took_a_connection_is_the_next_to_begin_with() {
        let list: Vec<IpAddr> = ["::1", "127.0.0.1", "127.0.0.2"].map(|ip| ip.parse().unwrap()).into();
        let (preferred, used) = (AtomicUsize::new(0), AtomicBool::new(true));
        let addresses = Addresses { list: list.clone(), preferred, looked_up: Instant::now(), used };
        assert_eq!((addresses.count(), addresses.at(0), addresses.at(2)), (3, Some(list[0]), Some(list[2])));
        addresses.prefer(1);
        assert_eq!(
            (addresses.at(0), addresses.at(1), addresses.at(2)),
            (Some(list[1]), Some(list[2]), Some(list[0]))
        );
        addresses.prefer(2);
        assert_eq!(addresses.at(0), Some(list[0]));
    }
}
