use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dataplane_core::{Location, subscription};
use dataplane_snapshot::Scope;
use tokio::sync::watch;

use super::{LeaderTls, LeaderUrl, Look, Network, Tcp};

/// What a worker needs to know to follow its leaders.
#[derive(Clone)]
pub struct WorkerSettings {
    /// Where leaders may be found; one is chosen at random and left when it fails.
    pub leaders: Vec<LeaderUrl>,
    /// Without a client id nothing is shown but a certificate, which [`Self::tls`] has then.
    pub client_id: String,
    pub client_secret: String,
    /// A file with a token that is shown instead, read anew for each request: Kubernetes replaces it before it expires.
    pub token_file: Option<PathBuf>,
    /// How leaders with https are called, from the next connection on; needed if there is one.
    pub tls: Option<watch::Receiver<LeaderTls>>,
    /// The `Host` to ask for, where that isn't what a leader's URL says.
    pub host: Option<String>,
    /// Leaders may compress what they send.
    pub compression: bool,
    /// Of this process, which it tells leaders; a new one if absent.
    pub id: Option<String>,
    /// Shown in the list of members; visible ASCII.
    pub name: String,
    /// Of which Routes this worker takes the state. A leader that doesn't know scopes is refused then.
    pub scope: Scope,
    /// Where what is served is kept for a start without a leader; none: nowhere.
    pub state_file: Option<PathBuf>,
    /// How long a leader may hold a poll that has nothing new; whole seconds, at most 25. Also the interval of polls that
    /// aren't held.
    pub hold: Duration,
    /// Polls are never held. If they may be, and are cut on the way, that is noticed.
    pub plain: bool,
    pub connect_timeout: Duration,
    /// Added to the hold for the head of an answer; also the longest pause within an answer.
    pub answer_timeout: Duration,
    /// How long readiness waits for a leader at boot.
    pub boot_wait: Duration,
    pub backoff: subscription::Backoff,
    /// The longest state that is accepted, in bytes.
    pub max_state_bytes: usize,
    /// How leaders are reached.
    pub network: Arc<dyn Network>,
    /// What leaders are told about this process; none: nothing.
    pub look: Option<Look>,
    /// Is told where leaders say that this worker runs, with each answer that says it.
    pub on_location: Option<OnLocation>,
}

/// Takes a location of which region and zone are known at most.
pub type OnLocation = Arc<dyn Fn(Location) + Send + Sync>;

impl WorkerSettings {
    pub fn new(leaders: Vec<LeaderUrl>, client_id: String, client_secret: String, name: String) -> Self {
        let subscription::Settings { hold, plain, boot_wait, backoff, .. } = subscription::Settings::new(0);
        Self {
            leaders,
            client_id,
            client_secret,
            token_file: None,
            tls: None,
            host: None,
            compression: true,
            id: None,
            name,
            scope: Scope::default(),
            state_file: None,
            hold,
            plain,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(15),
            boot_wait,
            backoff,
            max_state_bytes: 512 << 20,
            network: Arc::new(Tcp),
            look: None,
            on_location: None,
        }
    }

    pub(super) fn subscription(&self) -> subscription::Settings {
        subscription::Settings {
            leaders: self.leaders.len(),
            hold: self.hold,
            plain: self.plain,
            boot_wait: self.boot_wait,
            backoff: self.backoff,
        }
    }
}

impl fmt::Debug for WorkerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything but the secret.
        f.debug_struct("WorkerSettings")
            .field("leaders", &self.leaders)
            .field("client_id", &self.client_id)
            .field("name", &self.name)
            .field("scope", &self.scope)
            .field("state_file", &self.state_file)
            .field("hold", &self.hold)
            .finish_non_exhaustive()
    }
}
