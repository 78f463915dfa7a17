use super::{Colour, Health, Standing, Thresholds};
use crate::Moment;

/// What the probes of one target add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    health: Health,
    /// The last probes in a row that speak for another standing.
    against: u32,
}

impl Tally {
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Counts one probe; gives the health if the standing changes by it.
    ///
    /// The first good probe decides at once. A target that was never good is taken out like any other: only by as many bad
    /// ones in a row as the threshold says.
    pub fn handle(&mut self, colour: Colour, thresholds: &Thresholds, now: Moment) -> Option<Health> {
        let next = if colour.is_against(thresholds) { Standing::Out } else { Standing::In };
        if next == self.health.standing {
            self.against = 0;
            return None;
        }
        let needed = match (self.health.standing, next) {
            (Standing::NotChecked, Standing::In) => 1,
            (_, Standing::Out) => thresholds.unhealthy,
            _ => thresholds.healthy,
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        *self = Self { health: Health { standing: next, since: now }, against: 0 };
        Some(self.health)
    }
}
