use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dataplane_core::Moment;
use dataplane_core::names::{Avoidance, order};
use smallvec::SmallVec;

/// The addresses of a name.
pub(crate) struct Addresses {
    /// In the order of their numbers; at least one.
    list: Vec<Arc<Address>>,
    /// Connections of requests began so often.
    turn: AtomicUsize,
    /// Probes have turns of their own: by turns with requests each would always get the same address.
    probe_turn: AtomicUsize,
}

/// One address of a name. The same for as long as the name has it.
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    avoidance: Avoidance,
    /// The name doesn't lead here any more: what is connected finishes, and nothing new begins.
    gone: AtomicBool,
}

/// Addresses in the order in which a connection tries them.
type InTurn = SmallVec<[Arc<Address>; 4]>;

impl Address {
    fn new(ip: IpAddr) -> Self {
        Self { ip, avoidance: Avoidance::default(), gone: AtomicBool::new(false) }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// It took a connection.
    pub(crate) fn succeed(&self) {
        self.avoidance.succeed();
    }

    /// It took none, and is tried last for a while.
    pub(crate) fn fail(&self, now: Moment) {
        self.avoidance.fail(now);
    }
}

impl Addresses {
    /// Addresses that were there before are the same ones, and the others of before are gone.
    pub(super) fn following(ips: &[IpAddr], before: Option<&Self>) -> Self {
        let known = before.map(|before| &*before.list).unwrap_or_default();
        let same = |ip: &IpAddr| known.iter().find(|address| address.ip == *ip).cloned();
        for old in known {
            old.gone.store(!ips.contains(&old.ip), Ordering::Relaxed);
        }
        let turn = |of: fn(&Self) -> &AtomicUsize| {
            AtomicUsize::new(before.map_or(0, |before| of(before).load(Ordering::Relaxed)))
        };
        Self {
            list: ips.iter().map(|ip| same(ip).unwrap_or_else(|| Arc::new(Address::new(*ip)))).collect(),
            turn: turn(|before| &before.turn),
            probe_turn: turn(|before| &before.probe_turn),
        }
    }

    /// Nobody keeps a connection by this name in use, or open, from now on.
    pub(super) fn leave(&self) {
        self.list.iter().for_each(|address| address.gone.store(true, Ordering::Relaxed));
    }

    /// Some connection leads there.
    pub(super) fn are_connected(&self) -> bool {
        self.list.iter().any(|address| Arc::strong_count(address) > 1)
    }

    /// For a connection of requests.
    pub(crate) fn in_turn(&self, now: Moment) -> InTurn {
        self.ordered(&self.turn, now)
    }

    /// For a probe.
    pub(crate) fn in_turn_of_probes(&self, now: Moment) -> InTurn {
        self.ordered(&self.probe_turn, now)
    }

    fn ordered(&self, turn: &AtomicUsize, now: Moment) -> InTurn {
        let avoidances = self.list.iter().map(|address| &address.avoidance);
        let order = order(avoidances, turn.fetch_add(1, Ordering::Relaxed), now);
        order.into_iter().filter_map(|position| self.list.get(position).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips<const N: usize>(ips: [&str; N]) -> Vec<IpAddr> {
        ips.map(|ip| ip.parse().unwrap()).into()
    }

    fn first(in_turn: &InTurn) -> IpAddr {
        in_turn.first().unwrap().ip
    }

    #[test]
    fn requests_and_probes_go_round_by_themselves() {
        let (all, now) = (ips(["::1", "127.0.0.1", "127.0.0.2"]), Moment::default());
        let addresses = Addresses::following(&all, None);
        let begun: Vec<_> = (0..3).map(|_| first(&addresses.in_turn(now))).collect();
        assert_eq!(begun, all);
        assert_eq!(first(&addresses.in_turn_of_probes(now)), all[0]);
        addresses.in_turn(now);
        let after = Addresses::following(&all, Some(&addresses));
        assert_eq!(first(&after.in_turn(now)), all[1], "a new look-up doesn't begin the round anew");
        assert_eq!(first(&after.in_turn_of_probes(now)), all[1]);
    }

    #[test]
    fn an_address_is_itself_until_it_is_gone() {
        let now = Moment::default();
        let before = Addresses::following(&ips(["10.0.0.1", "10.0.0.2"]), None);
        let [stays, goes] = [0, 1].map(|position: usize| before.list[position].clone());
        stays.fail(now);
        let after = Addresses::following(&ips(["10.0.0.1", "10.0.0.3"]), Some(&before));
        assert!(!stays.is_gone() && goes.is_gone());
        assert_eq!(first(&after.in_turn(now)), ips(["10.0.0.3"])[0], "what is known of it stays");
        drop((before, goes));
        assert!(after.are_connected());
        drop(stays);
        assert!(!after.are_connected());
        let back = Addresses::following(&ips(["10.0.0.2"]), Some(&after));
        assert!(back.list.iter().all(|address| !address.is_gone()));
        assert!(after.list.iter().all(|address| address.is_gone()));
        let held = back.list[0].clone();
        back.leave();
        assert!(held.is_gone());
    }
}
