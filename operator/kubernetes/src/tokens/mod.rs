//! Workers and leaders in pods are known by the tokens of their service accounts, which the API server signs. Its keys are
//! cached, also on disk, so that tokens are taken while it is down.

mod verify;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::JwkSet;
use kube::Client;
use operator_core::session::Bearer;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::error::root_cause;
use verify::{Keys, verify};

pub use verify::{TokenError, TokenSettings};

/// How often the keys are read anew.
const REFRESH: Duration = Duration::from_secs(300);
/// The pause between two reads, whatever tokens are shown.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whose token one is.
pub struct Tokens {
    settings: TokenSettings,
    keys: RwLock<Option<Arc<Keys>>>,
    wanted: Notify,
    /// Where the keys are kept for a start without the API server; they are public.
    file: Option<PathBuf>,
}

/// `/.well-known/openid-configuration`, of which this is what counts.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

impl Tokens {
    /// With the keys of the file, if there are some.
    pub fn new(settings: TokenSettings, file: Option<PathBuf>) -> Arc<Self> {
        let kept = file.as_ref().and_then(|file| std::fs::read(file).ok());
        let keys = kept.and_then(|kept| serde_json::from_slice(&kept).ok()).map(Arc::new);
        Arc::new(Self { settings, keys: RwLock::new(keys), wanted: Notify::new(), file })
    }

    /// Who shows this token. An error is a sentence for a log, not for whoever shows it.
    pub fn bearer(&self, token: &str) -> Result<Bearer, TokenError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let verified =
            self.keys().ok_or(TokenError::NoKeys).and_then(|keys| verify(token, &keys, &self.settings, now));
        if matches!(verified, Err(TokenError::NoKeys | TokenError::UnknownKey)) {
            self.wanted.notify_one();
        }
        verified
    }

    /// Keeps the keys fresh for as long as it is awaited.
    pub async fn follow(self: Arc<Self>, client: Client) {
        let mut trouble = None;
        loop {
            let read = read(&client).await;
            match &read {
                Ok(keys) => self.take(keys.clone()),
                Err(error) if trouble.as_ref() != Some(error) => tracing::warn!(
                    error,
                    "the keys that tokens of workers are signed with can't be read; those known are used on"
                ),
                Err(_) => {}
            }
            let again = if read.is_ok() { REFRESH } else { PAUSE };
            trouble = read.err();
            sleep(PAUSE).await;
            let _ = timeout(again.saturating_sub(PAUSE), self.wanted.notified()).await;
        }
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, keys: Keys) {
        if self.keys().is_some_and(|known| *known == keys) {
            return;
        }
        let written = self.file.as_ref().map(|file| {
            let text = serde_json::to_vec(&keys).map_err(std::io::Error::from)?;
            std::fs::write(file, text)
        });
        if let Some(Err(error)) = written {
            tracing::warn!(%error, "the keys that tokens are signed with can't be kept for a start without the API server");
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }
}

/// `Err` is a sentence.
async fn read(client: &Client) -> Result<Keys, String> {
    let discovery: Discovery = get(client, "/.well-known/openid-configuration").await?;
    let set: JwkSet = get(client, "/openid/v1/jwks").await?;
    Ok(Keys { issuer: discovery.issuer, set })
}

async fn get<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<T, String> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    match timeout(REQUEST_TIMEOUT, client.request(request)).await {
        Ok(answer) => answer.map_err(|error| format!("{path}: {}", root_cause(&error))),
        Err(_) => Err(format!("{path}: no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    }
}
