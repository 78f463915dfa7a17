//! The client id and secret with which workers and users of the admin API call a leader.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::settings::ClusterLeader;

const FILE: &str = "credentials";

/// A client id and its secret. `Debug` doesn't show the secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials {{ id: {:?}, secret: … }}", self.id)
    }
}

/// The credentials from the settings, or, on a leader, those of the data directory, generated the first time. Nothing
/// ever listens with a secret that others know.
pub(crate) fn for_leader(settings: &ClusterLeader, data_directory: &Path) -> anyhow::Result<Credentials> {
    if let Some(credentials) = from_settings(settings)? {
        return Ok(credentials);
    }
    let path = data_directory.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (id, secret) = text.trim().split_once(':').with_context(|| {
                format!("{}: must hold clientId:clientSecret on one line", path.display())
            })?;
            Ok(Credentials { id: id.to_owned(), secret: secret.to_owned() })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => generate(&path),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// A worker can't invent them.
pub(crate) fn for_worker(settings: &ClusterLeader) -> anyhow::Result<Credentials> {
    from_settings(settings)?.context(
        "a worker needs the leader's credentials: set cluster.leader.clientId and cluster.leader.clientSecret \
         (KOMAINU_CLUSTER_LEADER_CLIENT_ID and KOMAINU_CLUSTER_LEADER_CLIENT_SECRET); a leader that generated its own \
         keeps them in the file `credentials` of its data directory",
    )
}

fn from_settings(settings: &ClusterLeader) -> anyhow::Result<Option<Credentials>> {
    match (&settings.client_id, &settings.client_secret) {
        (Some(id), Some(secret)) if !id.contains(':') && !id.is_empty() && !secret.is_empty() => {
            Ok(Some(Credentials { id: id.clone(), secret: secret.clone() }))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            anyhow::bail!(
                "cluster.leader.clientId and clientSecret must not be empty, and the id must hold no colon"
            )
        }
        _ => anyhow::bail!(
            "cluster.leader.clientId and cluster.leader.clientSecret go together: set both or neither"
        ),
    }
}

fn generate(path: &Path) -> anyhow::Result<Credentials> {
    let mut random = [0_u8; 24];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let credentials = Credentials { id: "komainu".to_owned(), secret };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("can't write {}", path.display()))?;
    writeln!(file, "{}:{}", credentials.id, credentials.secret)?;
    file.sync_all()?;
    tracing::info!(file = %path.display(), "generated credentials for the admin API and for workers");
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn generated_once_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let settings = ClusterLeader::default();
        let first = for_leader(&settings, folder.path()).unwrap();
        assert_eq!(for_leader(&settings, folder.path()).unwrap(), first);
        let mode = folder.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{first:?}").contains(&first.secret));
    }

    #[test]
    fn half_a_pair_is_refused() {
        let settings = ClusterLeader { client_id: Some("me".into()), ..ClusterLeader::default() };
        assert!(for_worker(&settings).is_err());
        assert!(for_worker(&ClusterLeader::default()).unwrap_err().to_string().contains("clientSecret"));
    }
}
