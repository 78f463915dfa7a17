use smallvec::SmallVec;

use super::spread;
use crate::{Choice, CompiledTarget, Moment, RequestHead};

/// When health checks are no longer believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Panic {
    /// If they leave no target at all.
    #[default]
    NoneHealthy,
    /// If fewer than so many percent of the targets are healthy; 0: never.
    Below(u32),
}

impl Panic {
    fn sets_in(self, healthy: u64, members: u64) -> bool {
        match self {
            Self::NoneHealthy => healthy == 0,
            Self::Below(percent) => healthy * 100 < u64::from(percent) * members,
        }
    }
}

/// The targets that a request may go to now, by their positions, in order. They are found in this order:
///
/// 1. Targets whose predicate holds and whose weight isn't 0; further steps know no others.
/// 2. Primaries that are eligible, those first that the request wasn't sent to yet.
/// 3. Eligible backups, if no primary is eligible or the request was sent to each of them; those first that it wasn't
///    sent to yet. Where there is no primary at all, backups count as primaries.
/// 4. If no backup is eligible and too few primaries are healthy, as [`Panic`] says: primaries in spite of what health
///    checks found, so that a bad check can't take a whole backend away. An open breaker is respected nevertheless: it
///    goes by requests, and sees by itself when it has to close.
/// 5. Of those that are left, the ones that are near, if there are any.
#[derive(Debug)]
pub(crate) struct Candidates<'t> {
    targets: &'t [CompiledTarget],
    positions: SmallVec<[u16; 128]>,
    /// Health was believed, so that targets which came back are spared.
    sound: bool,
}

/// Primaries or backups.
struct Tier {
    backup: bool,
    members: u64,
    healthy: u64,
    eligible: SmallVec<[u16; 128]>,
    /// Some of `eligible` wasn't tried yet.
    fresh: bool,
}

impl Tier {
    fn of<H: RequestHead>(targets: &[CompiledTarget], backup: bool, choice: &Choice<'_, H>) -> Self {
        let mut tier = Self { backup, members: 0, healthy: 0, eligible: SmallVec::new(), fresh: false };
        for target in members(targets, backup, choice) {
            tier.members += 1;
            if !target.state.is_healthy() {
                continue;
            }
            tier.healthy += 1;
            if target.state.is_closed(choice.now) {
                tier.eligible.push(target.position);
                tier.fresh |= !choice.tried.contains(target);
            }
        }
        tier
    }
}

fn members<'t, H: RequestHead>(
    targets: &'t [CompiledTarget],
    backup: bool,
    choice: &Choice<'_, H>,
) -> impl Iterator<Item = &'t CompiledTarget> {
    targets.iter().filter(move |target| target.backup == backup && target.takes_part(choice.head))
}

/// Whether the health checks are disbelieved for requests that all targets are for: step 4 of [`Candidates`].
pub(crate) fn is_disbelieved(targets: &[CompiledTarget], panic: Panic, now: Moment) -> bool {
    let members = |backup| targets.iter().filter(move |target| target.backup == backup && target.weight > 0);
    let has_primaries = members(false).next().is_some();
    if has_primaries && members(true).any(|target| target.state.is_eligible(now)) {
        return false;
    }
    let count = members(!has_primaries).count() as u64;
    let healthy = members(!has_primaries).filter(|target| target.state.is_healthy()).count() as u64;
    healthy < count && panic.sets_in(healthy, count)
}

impl<'t> Candidates<'t> {
    pub(crate) fn find<H: RequestHead>(
        targets: &'t [CompiledTarget],
        panic: Panic,
        choice: &Choice<'_, H>,
    ) -> Self {
        let (mut first, mut second) = (Tier::of(targets, false, choice), Tier::of(targets, true, choice));
        if first.members == 0 {
            std::mem::swap(&mut first, &mut second);
        }
        if second.eligible.is_empty() && panic.sets_in(first.healthy, first.members) {
            let closed =
                members(targets, first.backup, choice).filter(|target| target.state.is_closed(choice.now));
            let positions = closed.map(|target| target.position).collect();
            return Self { targets, positions, sound: false }.untried(choice).near();
        }
        let uses_second = !first.fresh && (second.fresh || first.eligible.is_empty());
        let positions = if uses_second { second.eligible } else { first.eligible };
        Self { targets, positions, sound: true }.untried(choice).near()
    }

    /// Those that the request wasn't sent to yet; all of them if there is none.
    fn untried<H>(self, choice: &Choice<'_, H>) -> Self {
        if choice.tried.count() == 0 { self } else { self.prefer(|target| !choice.tried.contains(target)) }
    }

    fn near(self) -> Self {
        self.prefer(|target| target.near)
    }

    /// Those that take the request although they came back not long ago; all of them if there is none.
    pub(crate) fn warm<H>(self, choice: &Choice<'_, H>) -> Self {
        if self.sound { self.prefer(|target| target.is_warm(choice)) } else { self }
    }

    fn prefer(mut self, wanted: impl Fn(&CompiledTarget) -> bool) -> Self {
        if self.iter().any(&wanted) {
            let targets = self.targets;
            self.positions.retain(|position| targets.get(usize::from(*position)).is_some_and(&wanted));
        }
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'t CompiledTarget> {
        self.positions.iter().filter_map(|position| self.targets.get(usize::from(*position)))
    }

    pub(crate) fn contains(&self, target: &CompiledTarget) -> bool {
        self.positions.binary_search(&target.position).is_ok()
    }

    /// Whether they are primaries as `other` is one, or backups as it is one, and as near.
    pub(crate) fn are_like(&self, other: &CompiledTarget) -> bool {
        self.iter().next().is_some_and(|target| (target.backup, target.near) == (other.backup, other.near))
    }

    pub(crate) fn without(mut self, other: &CompiledTarget) -> Self {
        self.positions.retain(|position| *position != other.position);
        self
    }

    /// The one with the lowest score; one of several by weight.
    pub(crate) fn least(
        &self,
        random: u64,
        score: impl Fn(&CompiledTarget) -> f64,
    ) -> Option<&'t CompiledTarget> {
        let mut least: Option<(&CompiledTarget, f64, u64)> = None;
        for target in self.iter() {
            let (score, weight) = (score(target), u64::from(target.weight).max(1));
            least = match least {
                Some((best, lowest, total)) if score == lowest => {
                    let total = total + weight;
                    let wins = spread(random ^ u64::from(target.position)) % total < weight;
                    Some((if wins { target } else { best }, lowest, total))
                }
                Some((_, lowest, _)) if score > lowest => least,
                _ => Some((target, score, weight)),
            };
        }
        least.map(|(target, ..)| target)
    }

    /// One of them by weight.
    pub(crate) fn by_weight(&self, random: u64) -> Option<&'t CompiledTarget> {
        let total: u64 = self.iter().map(|target| u64::from(target.weight)).sum();
        let mut left = spread(random).checked_rem(total)?;
        self.iter().find(|target| {
            let found = left < u64::from(target.weight);
            left = left.saturating_sub(u64::from(target.weight));
            found
        })
    }
}
