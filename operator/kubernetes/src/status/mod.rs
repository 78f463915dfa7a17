//! Shows overviews where people look: as the status of the custom resources, and as events on what changes in it.

mod apply;
mod changes;
mod entry;
mod events;
mod limits;
mod pace;
mod task;

pub(crate) use task::{Shows, Told, show};

/// The field manager of all status writes, as `kubectl get --show-managed-fields` tells it.
pub const FIELD_MANAGER: &str = "komainu-status";
