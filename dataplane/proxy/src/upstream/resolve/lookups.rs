use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::register::Register;
use super::{Names, Question, Resolver};
use crate::NameSettings;
use crate::draw::Draw;
use crate::stats::Counters;

/// The control thread's end of [`Resolver`].
pub(crate) struct Lookups {
    queue: mpsc::UnboundedReceiver<Question>,
    around: Around,
}

/// What looking names up takes.
pub(super) struct Around {
    pub(super) names: Arc<ArcSwap<Names>>,
    pub(super) settings: NameSettings,
    /// When the proxy began, for moments.
    pub(super) epoch: Instant,
    pub(super) draw: Draw,
    /// Those of the control thread.
    pub(super) counters: Arc<Counters>,
}

impl Resolver {
    pub(crate) fn new(
        settings: NameSettings,
        epoch: Instant,
        draw: Draw,
        counters: Arc<Counters>,
    ) -> (Self, Lookups) {
        let names = Arc::<ArcSwap<Names>>::default();
        let (sender, queue) = mpsc::unbounded_channel();
        let around = Around { names: names.clone(), settings, epoch, draw, counters };
        (Self { names, queue: sender }, Lookups { queue, around })
    }
}

impl Lookups {
    /// Looks names up until all resolvers are gone.
    pub(crate) async fn run(mut self) {
        let mut files = interval(self.around.settings.follow_every);
        files.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut register, mut results) = Register::new(self.around);
        loop {
            let due = register.due();
            tokio::select! {
                question = self.queue.recv() => match question {
                    Some((host, sender)) => register.ask(host, sender),
                    None => return,
                },
                Some(first) = results.recv() => {
                    let more = std::iter::from_fn(|| results.try_recv().ok());
                    register.settle(std::iter::once(first).chain(more).collect());
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => register.refresh(),
                _ = files.tick(), if !register.is_empty() => register.look_at_files(),
            }
        }
    }
}
