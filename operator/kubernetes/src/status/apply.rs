use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Patch, PatchParams};
use operator_core::healthy::Tally;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::FIELD_MANAGER;
use super::entry::Write;
use crate::error::{Asked, SourceError};
use crate::read::{Present, present};
use crate::scope::Scope;

/// How long one write may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The end of a write.
pub(super) struct Applied {
    pub(super) write: Write,
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
    Applied { write, result }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    observed_generation: i64,
    #[serde(flatten)]
    tally: &'a Tally,
    conditions: &'a [Condition],
}

/// With the uid, so that an object that was deleted and created anew meanwhile isn't told what was said about the old one.
fn body(write: &Write) -> Value {
    let resource = crate::scope::api_resource(write.key.kind(), 0);
    let Write { observed_generation, tally, conditions, .. } = write;
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "namespace": write.key.namespace(), "name": write.key.name(), "uid": write.uid },
        "status": Status { observed_generation: *observed_generation, tally, conditions },
    })
}
