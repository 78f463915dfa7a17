//! One scope's list and watch.
//!
//! The watcher of kube's runtime isn't used: it doesn't tell the resource version of a list, and without that a leader that
//! starts after a deletion would claim to have seen less than its predecessor.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::{Epoch, Kind};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::collection::Listed;
use crate::error::{Asked, SourceError};
use crate::named::SecretName;
use crate::read::{lighten, revision};
use crate::scope::Scope;

/// Objects per page of a list, so that a large cluster's answer is bounded.
const PAGE: u32 = 500;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// After this time the API server ends a watch, in seconds; a connection that died silently is noticed then.
const WATCH_SECONDS: u32 = 120;
/// What a watch may take longer than it was asked to, before its connection counts as dead.
const WATCH_GRACE: Duration = Duration::from_secs(10);
/// The pause after the first failure, and the longest; doubled from one to the next.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// After this time a kind that the cluster doesn't know is asked for again.
const ABSENT: Duration = Duration::from_secs(10);
/// HTTP 410: the API server doesn't remember that far back.
const GONE: u16 = 410;
/// The namespace whose uid names the cluster: it exists in each and lives as long as it.
pub(crate) const CLUSTER_NAMESPACE: &str = "kube-system";

/// What a scope's loop has to tell.
pub(crate) enum Heard {
    Listed(Listed),
    Applied(Box<DynamicObject>),
    Deleted(Box<DynamicObject>),
    /// Of an optional kind there is nothing, for this reason.
    Absent {
        epoch: Epoch,
        revision: u64,
        reason: SourceError,
    },
    /// Nothing else has happened up to here.
    Reached(u64),
    /// The loop tries again by itself.
    Failed(SourceError),
}

/// Who heard something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ear {
    /// The place among all scopes.
    Scope(usize),
    Secret(SecretName),
}

pub(crate) struct Follower {
    /// Told with whatever it hears.
    pub(crate) ear: Ear,
    pub(crate) scope: Scope,
    pub(crate) client: Client,
    pub(crate) heard: mpsc::Sender<(Ear, Heard)>,
    /// Asks for a new list.
    pub(crate) again: Arc<Notify>,
    /// Which version of the API the cluster has; see [`Scope::versions`].
    pub(crate) version: usize,
}

/// Why a watch ended.
enum Ended {
    /// As agreed: it goes on where it stopped.
    Resume,
    /// What happened since then isn't known any more.
    TooOld,
}

impl Follower {
    /// Lists, watches, and begins anew when it must, until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut pause = PAUSE.0;
        loop {
            match self.list().await {
                Ok((listed, version)) => {
                    self.tell(Heard::Listed(listed)).await;
                    self.watch(version).await;
                    pause = PAUSE.0;
                }
                Err(error) if self.means_none(&error) => {
                    self.version = (self.version + 1) % self.scope.versions();
                    if self.version == 0 {
                        self.absent(error, &mut pause).await;
                    }
                }
                Err(error) => {
                    self.failed(error, &mut pause).await;
                }
            }
        }
    }

    fn means_none(&self, error: &SourceError) -> bool {
        self.scope.is_optional()
            && matches!(error, SourceError::CrdMissing(_) | SourceError::Forbidden { .. })
    }

    /// Tells that there is nothing, and waits.
    async fn absent(&self, reason: SourceError, pause: &mut Duration) {
        match self.nothing(reason).await {
            Ok(absent) => {
                self.tell(absent).await;
                let _ = timeout(ABSENT, self.again.notified()).await;
            }
            Err(error) => {
                self.failed(error, pause).await;
            }
        }
    }

    /// A kind that isn't known has no revision of its own; custom resources count theirs together.
    async fn nothing(&self, reason: SourceError) -> Result<Heard, SourceError> {
        let epoch = self.epoch().await?;
        let known = Scope::new(Kind::Backend, self.scope.namespace().map(str::to_owned));
        let (api, one) = (known.api(&self.client, 0), ListParams::default().limit(1));
        let version = self.ask(Asked::ListOrWatch, api.list_metadata(&one)).await?.metadata.resource_version;
        let revision = numbered(&version.unwrap_or_default())?;
        Ok(Heard::Absent { epoch, revision, reason })
    }

    /// A complete list and the version to watch from, or an error; never a part of it.
    async fn list(&self) -> Result<(Listed, String), SourceError> {
        let epoch = self.epoch().await?;
        let api = self.scope.api(&self.client, self.version);
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.field_selector = self.scope.fields();
        let mut objects = Vec::new();
        loop {
            let page = self.ask(Asked::ListOrWatch, api.list(&parameters)).await?;
            let light = page.items.into_iter().map(|object| self.lightened(object));
            objects.extend(light);
            if let Some(next) = page.metadata.continue_.filter(|token| !token.is_empty()) {
                parameters.continue_token = Some(next);
                continue;
            }
            let version = page.metadata.resource_version.unwrap_or_default();
            let revision = numbered(&version)?;
            return Ok((Listed { epoch, revision, objects }, version));
        }
    }

    fn lightened(&self, mut object: DynamicObject) -> DynamicObject {
        lighten(self.scope.kind(), &mut object);
        object
    }

    async fn epoch(&self) -> Result<Epoch, SourceError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = self.ask(Asked::ReadEpoch, namespaces.get_metadata(CLUSTER_NAMESPACE)).await?;
        let created = found.metadata.creation_timestamp.map(|time| time.0.as_millisecond());
        let created_at = created.and_then(|millis| u64::try_from(millis).ok());
        match (found.metadata.uid, created_at) {
            (Some(id), Some(created_at)) => Ok(Epoch { id, created_at }),
            _ => Err(SourceError::Garbled(format!(
                "the namespace {CLUSTER_NAMESPACE} has no uid or no creation time"
            ))),
        }
    }

    async fn ask<T>(
        &self,
        asked: Asked,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, SourceError> {
        match timeout(REQUEST_TIMEOUT, request).await {
            Ok(answer) => answer.map_err(|error| SourceError::of(&error, asked, &self.scope)),
            Err(_) => Err(SourceError::Slow(REQUEST_TIMEOUT.as_secs())),
        }
    }

    /// Watches from `version` on until a new list is needed.
    async fn watch(&self, mut version: String) {
        let mut pause = PAUSE.0;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = self.again.notified() => return,
                ended = self.watch_once(&mut version, &mut pause) => ended,
            };
            match ended {
                // One that ends at once isn't asked for again at once.
                Ok(Ended::Resume) if begun.elapsed() < PAUSE.0 => sleep(PAUSE.0).await,
                Ok(Ended::Resume) => {}
                Ok(Ended::TooOld) => return,
                Err(error) if self.means_none(&error) => return,
                Err(error) => {
                    if self.failed(error, &mut pause).await {
                        return;
                    }
                }
            }
        }
    }

    /// One watch request. `version` follows what is told, so that the next request goes on there.
    async fn watch_once(&self, version: &mut String, pause: &mut Duration) -> Result<Ended, SourceError> {
        let api = self.scope.api(&self.client, self.version);
        let parameters = WatchParams::default().timeout(WATCH_SECONDS);
        let parameters = WatchParams { field_selector: self.scope.fields(), ..parameters };
        let end = Instant::now() + Duration::from_secs(WATCH_SECONDS.into()) + WATCH_GRACE;
        let events = match self.ask(Asked::ListOrWatch, api.watch(&parameters, version)).await {
            Err(SourceError::Refused { code: GONE, .. }) => return Ok(Ended::TooOld),
            events => events?,
        };
        // It is taken: whoever waited for news of a failure has it.
        if let Some(reached) = revision(Some(version)) {
            self.tell(Heard::Reached(reached)).await;
        }
        let mut events = pin!(events);
        while let Ok(next) = timeout_at(end, events.try_next()).await {
            let event = match next {
                Ok(None) => return Ok(Ended::Resume),
                Ok(Some(WatchEvent::Error(status))) => Err(kube::Error::Api(status)),
                Ok(Some(event)) => Ok(event),
                Err(error) => Err(error),
            };
            match event.map_err(|error| SourceError::of(&error, Asked::ListOrWatch, &self.scope)) {
                Err(SourceError::Refused { code: GONE, .. }) => return Ok(Ended::TooOld),
                Err(error) => return Err(error),
                Ok(event) => self.happened(event, version).await,
            }
            *pause = PAUSE.0;
        }
        Ok(Ended::Resume)
    }

    async fn happened(&self, event: WatchEvent<DynamicObject>, version: &mut String) {
        let heard = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                reach(version, &object);
                Heard::Applied(Box::new(self.lightened(object)))
            }
            WatchEvent::Deleted(object) => {
                reach(version, &object);
                Heard::Deleted(Box::new(object))
            }
            WatchEvent::Bookmark(bookmark) => {
                version.clone_from(&bookmark.metadata.resource_version);
                let Some(reached) = revision(Some(version)) else { return };
                Heard::Reached(reached)
            }
            // Taken as an error by the caller.
            WatchEvent::Error(_) => return,
        };
        self.tell(heard).await;
    }

    async fn tell(&self, heard: Heard) {
        // Nobody listens only when this loop is about to be dropped too.
        let _ = self.heard.send((self.ear.clone(), heard)).await;
    }

    /// Tells the error and waits before the next try, or until it is asked for a new list: whether that is how it ended.
    async fn failed(&self, error: SourceError, pause: &mut Duration) -> bool {
        self.tell(Heard::Failed(error)).await;
        let is_asked = timeout(*pause, self.again.notified()).await.is_ok();
        *pause = (*pause * 2).min(PAUSE.1);
        is_asked
    }
}

fn numbered(version: &str) -> Result<u64, SourceError> {
    revision(Some(version))
        .ok_or_else(|| SourceError::Garbled(format!("the resourceVersion {version:?} isn't a number")))
}

fn reach(version: &mut String, object: &DynamicObject) {
    if let Some(reached) = &object.metadata.resource_version {
        version.clone_from(reached);
    }
}
