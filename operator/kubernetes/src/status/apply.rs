use std::time::Duration;

use dataplane_snapshot::Key;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::FIELD_MANAGER;
use super::pace::Write;
use crate::error::{Asked, SourceError};
use crate::read::{Present, present};
use crate::scope::Scope;

/// How long one write may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The end of a write.
pub(super) struct Applied {
    pub(super) key: Key,
    pub(super) result: Result<Present, SourceError>,
}

/// Writes a status by server-side apply, and says what the API server shows then.
pub(super) async fn apply(client: Client, write: Write) -> Applied {
    let scope = Scope::new(write.key.kind(), Some(write.key.namespace().to_owned()));
    let api = scope.api(&client, 0);
    // Nobody else is meant to write our conditions; whoever did once, by hand for instance, must not block them for ever.
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(body(&write));
    let request = api.patch_status(write.key.name(), &parameters, &patch);
    let result = match timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(object)) => Ok(present(&object)),
        Ok(Err(error)) => Err(SourceError::of(&error, Asked::WriteStatus, &scope)),
        Err(_) => Err(SourceError::Slow(REQUEST_TIMEOUT.as_secs())),
    };
    Applied { key: write.key, result }
}

/// With the uid, so that an object that was deleted and created anew meanwhile isn't told what was said about the old one.
fn body(write: &Write) -> Value {
    let resource = crate::scope::api_resource(write.key.kind(), 0);
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "namespace": write.key.namespace(), "name": write.key.name(), "uid": write.uid },
        "status": { "observedGeneration": write.observed_generation, "conditions": write.conditions },
    })
}
