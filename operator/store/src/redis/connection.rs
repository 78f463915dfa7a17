use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, IntoConnectionInfo as _, RedisResult, TlsCertificates,
};
use tokio::sync::Mutex;

use crate::StoreError;
use crate::shared::{SharedSettings, place};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take. A full read of a large store is one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long nobody tries again after a connection couldn't be made, and at most; doubled from one to the next.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// One connection that all calls of a store share, made anew after it broke.
pub(super) struct Connection {
    settings: SharedSettings,
    place: String,
    slot: Mutex<Slot>,
}

enum Slot {
    /// The number tells one connection from the next.
    Open(u64, MultiplexedConnection),
    Closed {
        made: u64,
        failed: Option<Failed>,
    },
}

#[derive(Clone)]
struct Failed {
    at: Instant,
    pause: Duration,
    reason: String,
}

impl Connection {
    pub(super) fn new(settings: &SharedSettings) -> Result<Self, StoreError> {
        // What can't be used is said at once.
        client(settings)?;
        let slot = Mutex::new(Slot::Closed { made: 0, failed: None });
        Ok(Self { settings: settings.clone(), place: place(&settings.url), slot })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Lets `work` use the connection. After an error it isn't used again: what is still on its way in it may be an answer to
    /// somebody who doesn't wait any more, or the server isn't the one that writes.
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let (number, mut connection) = self.get().await?;
        match work(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.close(number).await;
                Err(self.unavailable(&error.to_string()))
            }
        }
    }

    fn unavailable(&self, reason: &str) -> StoreError {
        StoreError::Unavailable { reason: format!("{}: {reason}", self.place) }
    }

    async fn get(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        // Who waits here waits for the one who connects.
        let mut slot = self.slot.lock().await;
        let (made, failed) = match &*slot {
            Slot::Open(number, connection) => return Ok((*number, connection.clone())),
            Slot::Closed { made, failed } => (*made, failed.clone()),
        };
        if let Some(failed) = failed.as_ref().filter(|failed| failed.at.elapsed() < failed.pause) {
            return Err(self.unavailable(&failed.reason));
        }
        match self.connect().await {
            Ok(connection) => {
                *slot = Slot::Open(made + 1, connection.clone());
                Ok((made + 1, connection))
            }
            Err(reason) => {
                let pause = failed.map_or(PAUSE.0, |failed| (failed.pause * 2).min(PAUSE.1));
                let unavailable = self.unavailable(&reason);
                *slot = Slot::Closed { made, failed: Some(Failed { at: Instant::now(), pause, reason }) };
                Err(unavailable)
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let client = client(&self.settings).map_err(|error| error.to_string())?;
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| error.to_string())
    }

    async fn close(&self, number: u64) {
        let mut slot = self.slot.lock().await;
        if matches!(&*slot, Slot::Open(open, _) if *open == number) {
            *slot = Slot::Closed { made: number, failed: None };
        }
    }
}

/// With password and certificates as they are now.
pub(super) fn client(settings: &SharedSettings) -> Result<Client, StoreError> {
    let wrong = |error: redis::RedisError| {
        StoreError::Misconfigured(format!("setting store.url: {}: {error}", place(&settings.url)))
    };
    let info = settings.url.as_str().into_connection_info().map_err(wrong)?;
    let mut user = info.redis_settings().clone();
    if let Some(name) = &settings.username {
        user = user.set_username(name);
    }
    if let Some(password) = settings.password()? {
        user = user.set_password(password);
    }
    let info = info.set_redis_settings(user);
    if !settings.url.starts_with("rediss:") {
        return Client::open(info).map_err(wrong);
    }
    let client_tls = settings
        .tls
        .read_certificate()?
        .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    let certificates = TlsCertificates { client_tls, root_cert: settings.tls.read_authorities()? };
    Client::build_with_tls(info, certificates).map_err(wrong)
}
