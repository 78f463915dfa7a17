use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use dataplane_snapshot::Key;
use operator_core::reports::{Colour, Sums, colour, troubles};

use super::Cluster;

/// What the members of a cluster add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many workers have each colour, in the order of [`Colour::ALL`].
    pub colours: [usize; Colour::ALL.len()],
    /// For how long there has been a state that some worker lacks; zero if all have the current one.
    pub config_age: Duration,
    /// Objects that some worker can't use.
    pub rejected: usize,
    /// Since the newest state was planned. Absent: there is none yet.
    pub state_age: Option<Duration>,
    pub targets: Sums,
}

impl Cluster {
    pub fn figures(&self) -> Figures {
        let now = self.now();
        let hash = self.introduction.get().map(|introduction| (introduction.look)().0.settings_hash);
        let hash = hash.unwrap_or_default();
        let published = *self.published_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures = Figures { state_age: published.map(|at| at.elapsed()), ..Figures::default() };
        let sessions = self.lock();
        let mut rejected: BTreeSet<Key> = BTreeSet::new();
        for member in sessions.session.members().list(now) {
            let colour = colour(&troubles(&member, sessions.reports.of(&member.identity.id), &hash, now));
            for (count, of) in figures.colours.iter_mut().zip(Colour::ALL) {
                *count += usize::from(colour == of);
            }
            figures.config_age = figures.config_age.max(member.behind_for);
            rejected.extend(member.applied.into_iter().flat_map(|applied| applied.rejected.into_keys()));
        }
        figures.rejected = rejected.len();
        figures.targets = sessions.reports.health().sums();
        figures
    }
}
