//! Where a leader keeps what it is told.

use std::path::PathBuf;

use operator_store::{SharedSettings, StoreTls};
use serde::{Deserialize, Serialize};

use super::{Millis, written};

/// Of a leader or standalone. Several of them may have one store on a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Store {
    /// If absent, the store is in a file of the data directory and this process alone has it.
    #[serde(deserialize_with = "written::secret")]
    pub(crate) url: Option<String>,
    /// Instead of what the URL says.
    pub(crate) username: Option<String>,
    #[serde(deserialize_with = "written::secret")]
    pub(crate) password: Option<String>,
    /// Instead of it: a file with nothing else.
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) tls: Tls,
    /// What the names of all that is kept begin with, so that clusters can share a server.
    pub(crate) prefix: String,
    /// How often a store that gives no hints is asked whether it has changed.
    pub(crate) poll_every: Millis,
}

/// Files in PEM. Whether there is TLS at all, the URL says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// What the server's certificate is signed by; what the system trusts if absent.
    pub(crate) authorities: Option<PathBuf>,
    /// Shown to the server, with its key.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Default for Store {
    fn default() -> Self {
        let SharedSettings { prefix, poll_every, .. } = SharedSettings::new("");
        let poll_every = Millis(u64::try_from(poll_every.as_millis()).unwrap_or(u64::MAX));
        let (username, password, password_file) = (None, None, None);
        Self { url: None, username, password, password_file, tls: Tls::default(), prefix, poll_every }
    }
}

impl Store {
    /// The store on a server that is asked for; `None` for the one in a file.
    pub(crate) fn shared(&self) -> Option<SharedSettings> {
        let Self { url, username, password, password_file, tls, prefix, poll_every } = self.clone();
        let Tls { authorities, certificate, key } = tls;
        Some(SharedSettings {
            username,
            password,
            password_file,
            tls: StoreTls { authorities, certificate, key },
            prefix,
            poll_every: poll_every.duration(),
            ..SharedSettings::new(url?)
        })
    }
}
