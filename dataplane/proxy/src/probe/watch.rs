use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use dataplane_core::health::{Colour, Health, Judgement, Probe, Standing, Tally};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::board::TargetHealth;
use super::{Surroundings, ask};

/// One server that is asked regularly. Dropping it ends that.
pub(super) struct Watch {
    watched: Rc<Watched>,
    task: AbortHandle,
}

struct Watched {
    probe: RefCell<Probe>,
    tally: Cell<Tally>,
    colour: Cell<Option<Colour>>,
    around: Rc<Surroundings>,
}

impl Watch {
    /// Begins, with what `previous` knew, if that was about the same server.
    pub(super) fn start(probe: Probe, previous: Option<&Self>, around: &Rc<Surroundings>) -> Self {
        let previous = previous
            .map(|watch| &watch.watched)
            .filter(|watched| watched.probe.borrow().server == probe.server);
        let (tally, colour) = previous.map(|it| (it.tally.get(), it.colour.get())).unwrap_or_default();
        let watched = Rc::new(Watched {
            probe: RefCell::new(probe),
            tally: Cell::new(tally),
            colour: Cell::new(colour),
            around: around.clone(),
        });
        watched.publish();
        let task = tokio::task::spawn_local(watched.clone().run()).abort_handle();
        Self { watched, task }
    }

    /// Takes over the targets of `probe`, unless it asks something else.
    pub(super) fn goes_on(&self, probe: &Probe) -> bool {
        let mut old = self.watched.probe.borrow_mut();
        let same_check = Arc::ptr_eq(&old.check, &probe.check) || old.check == probe.check;
        if !same_check || old.server != probe.server {
            return false;
        }
        old.states.clone_from(&probe.states);
        drop(old);
        self.watched.publish();
        true
    }

    /// What isn't checked any more gets traffic.
    pub(super) fn forget(&self) {
        self.watched.tally.set(Tally::default());
        self.watched.publish();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    async fn run(self: Rc<Self>) {
        let check = self.probe.borrow().check.clone();
        let mut begin = Instant::now() + check.pace.first_wait(self.around.draw.next());
        loop {
            sleep_until(begin).await;
            // Never closed.
            let Ok(permit) = self.around.permits.acquire().await else { return };
            begin = Instant::now();
            let server = self.probe.borrow().server.clone();
            let judgement = ask::ask(&server, &check, &self.around).await;
            drop(permit);
            self.take(&judgement);
            begin += check.pace.next_wait(self.around.draw.next());
        }
    }

    fn take(&self, judgement: &Judgement) {
        let (mut tally, thresholds) = (self.tally.get(), self.probe.borrow().check.thresholds);
        let before = tally.health().standing;
        let change = tally.handle(judgement.colour, &thresholds, self.around.now());
        self.tally.set(tally);
        if change.is_some() {
            self.publish();
        }
        self.report(judgement, tally.health());
        let before_colour = self.colour.replace(Some(judgement.colour));
        match change {
            Some(health) => self.log_change(judgement, before, health),
            None if before_colour != Some(judgement.colour) => self.log_colour(judgement),
            None => {}
        }
    }

    /// For the choice of targets.
    fn publish(&self) {
        let health = self.tally.get().health();
        for (_, state) in &self.probe.borrow().states {
            state.set_health(health);
        }
    }

    /// For people.
    fn report(&self, judgement: &Judgement, health: Health) {
        let probe = self.probe.borrow();
        for (target, _) in &probe.states {
            self.around.board.put(TargetHealth {
                backend: probe.backend.clone(),
                target: target.clone(),
                standing: health.standing,
                colour: judgement.colour,
                reason: judgement.reason.clone(),
                since: SystemTime::now(),
            });
        }
    }

    fn log_change(&self, judgement: &Judgement, before: Standing, health: Health) {
        let probe = self.probe.borrow();
        let Judgement { colour, reason } = judgement;
        // Not `target`: the log has its own field of that name.
        let (backend, id) = (&probe.backend, probe.target.as_deref().unwrap_or("all"));
        match (before, health.standing) {
            (_, Standing::Out) => {
                tracing::warn!(%backend, id, %colour, reason, "a target fails its health check and gets no traffic");
            }
            (Standing::Out, _) => {
                tracing::info!(%backend, id, %colour, reason, "a target is healthy again and gets traffic");
            }
            _ => {
                tracing::debug!(%backend, id, %colour, reason, "a target was checked for the first time")
            }
        }
    }

    fn log_colour(&self, judgement: &Judgement) {
        let probe = self.probe.borrow();
        let Judgement { colour, reason } = judgement;
        let (backend, id) = (&probe.backend, probe.target.as_deref().unwrap_or("all"));
        tracing::info!(%backend, id, %colour, reason, "a target's health check has another result than before");
    }
}
