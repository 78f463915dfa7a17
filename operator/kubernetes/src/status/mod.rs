//! Shows statuses where people look: as conditions of the custom resources.

mod apply;
mod pace;
mod task;

pub(crate) use task::{Told, show};

/// The field manager of all status writes, as `kubectl get --show-managed-fields` tells it.
pub const FIELD_MANAGER: &str = "komainu-status";
