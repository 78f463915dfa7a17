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
    list: Vec<Arc<Address>>,
    /// The position of the one that last took a connection: a dead one is tried once, not with each connection.
    preferred: AtomicUsize,
    looked_up: Instant,
    /// Somebody asked since the last look-up; names that nobody asks for are forgotten.
    used: AtomicBool,
}

/// One address of a name. The same for as long as the name has it.
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    /// The name doesn't lead here any more: what is connected finishes, and nothing new begins.
    gone: AtomicBool,
}

impl Address {
    const fn new(ip: IpAddr) -> Self {
        Self { ip, gone: AtomicBool::new(false) }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Addresses {
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// The address at `distance` from the preferred one, around the end of the list.
    pub(crate) fn at(&self, distance: usize) -> Option<&Arc<Address>> {
        let position = self.preferred.load(Ordering::Relaxed) + distance;
        self.list.get(position % self.list.len().max(1))
    }

    /// Some connection leads there.
    fn are_connected(&self) -> bool {
        self.list.iter().any(|address| Arc::strong_count(address) > 1)
    }

    /// With the addresses that are still in use as they were, and the others gone.
    fn following(mut self, before: &Self) -> Self {
        for address in &mut self.list {
            if let Some(same) = before.list.iter().find(|same| same.ip == address.ip) {
                *address = Arc::clone(same);
            }
        }
        for old in &before.list {
            let stays = self.list.iter().any(|address| address.ip == old.ip);
            old.gone.store(!stays, Ordering::Relaxed);
        }
        self
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
type Found = (Arc<str>, Result<Addresses, ResolveError>);

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
        let (done, mut results) = mpsc::unbounded_channel();
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
                    let answer: Answer = answer.map(|addresses| self.publish(&host, addresses));
                    for sender in waiting.remove(&host).unwrap_or_default() {
                        let _ = sender.send(answer.clone());
                    }
                }
                now = refresh.tick() => self.refresh(now, &mut waiting, &done),
            }
        }
    }

    fn publish(&self, host: &Arc<str>, addresses: Addresses) -> Arc<Addresses> {
        let mut names = Names::clone(&self.names.load());
        let addresses = match names.get(host) {
            Some(before) => addresses.following(before),
            None => addresses,
        };
        let addresses = Arc::new(addresses);
        names.insert(host.clone(), addresses.clone());
        self.names.store(Arc::new(names));
        addresses
    }

    /// Looks up again what is old and in use, and forgets what is old and unused. A failed look-up keeps the old
    /// addresses.
    fn refresh(
        &self,
        now: Instant,
        waiting: &mut HashMap<Arc<str>, Vec<oneshot::Sender<Answer>>>,
        done: &mpsc::UnboundedSender<Found>,
    ) {
        let mut names = Names::clone(&self.names.load());
        let before = names.len();
        names.retain(|host, addresses| {
            if now.duration_since(addresses.looked_up) < FRESH || waiting.contains_key(host) {
                return true;
            }
            let used = addresses.used.swap(false, Ordering::Relaxed) || addresses.are_connected();
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

async fn look_up(host: Arc<str>, done: mpsc::UnboundedSender<Found>) {
    let answer = match tokio::net::lookup_host((&*host, 0)).await {
        Ok(addresses) => Ok(Addresses {
            list: addresses.map(|address| Arc::new(Address::new(address.ip()))).collect(),
            preferred: AtomicUsize::new(0),
            looked_up: Instant::now(),
            used: AtomicBool::new(true),
        }),
        Err(error) => Err(ResolveError { host: host.to_string(), reason: error.to_string() }),
    };
    let _ = done.send((host, answer));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_took_a_connection_is_the_next_to_begin_with() {
        let ips: Vec<IpAddr> = ["::1", "127.0.0.1", "127.0.0.2"].map(|ip| ip.parse().unwrap()).into();
        let (preferred, used) = (AtomicUsize::new(0), AtomicBool::new(true));
        let list = ips.iter().map(|ip| Arc::new(Address::new(*ip))).collect();
        let addresses = Addresses { list, preferred, looked_up: Instant::now(), used };
        let at = |distance| addresses.at(distance).map(|address| address.ip);
        assert_eq!((addresses.count(), at(0), at(2)), (3, Some(ips[0]), Some(ips[2])));
        addresses.prefer(1);
        assert_eq!((at(0), at(1), at(2)), (Some(ips[1]), Some(ips[2]), Some(ips[0])));
        addresses.prefer(2);
        assert_eq!(at(0), Some(ips[0]));
    }
}
