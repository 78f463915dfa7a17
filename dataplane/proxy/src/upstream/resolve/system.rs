use std::path::Path;

use crate::NameSettings;

/// What the system's files say about names. They change while a process runs: with the network of a laptop, and when a
/// container gets its own.
#[derive(PartialEq, Eq)]
pub(super) struct System {
    /// Servers, search list and options: resolv.conf(5).
    pub(super) resolv_conf: Vec<u8>,
    /// Names that need no server: hosts(5).
    pub(super) hosts: Vec<u8>,
}

impl System {
    /// Reads both files, small ones on this machine. One that can't be read is as good as empty.
    pub(super) fn read(settings: &NameSettings) -> Self {
        let read = |path: &Path| std::fs::read(path).unwrap_or_default();
        Self { resolv_conf: read(&settings.resolv_conf), hosts: read(&settings.hosts) }
    }
}
