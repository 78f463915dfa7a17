//! The client id and secret with which workers and users of the admin API call a leader.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::settings::{Cluster, ClusterLeader};

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
    let path = data_directory.join(FILE);
    match existing(settings, &path)? {
        Some(credentials) => Ok(credentials),
        None => generate(&path),
    }
}

/// Those of the settings or of the data directory, for whoever calls a leader by hand.
pub(crate) fn known(settings: &ClusterLeader, data_directory: &Path) -> anyhow::Result<Credentials> {
    let path = data_directory.join(FILE);
    existing(settings, &path)?.with_context(|| {
        format!(
            "the leader's credentials aren't known: set cluster.leader.clientId and cluster.leader.clientSecret, or \
             dataDirectory to the leader's, which has a file {FILE}; {} isn't there",
            path.display()
        )
    })
}

fn existing(settings: &ClusterLeader, path: &Path) -> anyhow::Result<Option<Credentials>> {
    if let Some(credentials) = from_settings(settings)? {
        return Ok(Some(credentials));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let pair =
                text.trim().split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty());
            let (id, secret) = pair.with_context(|| {
                format!("{}: must hold clientId:clientSecret; remove it to have a new pair", path.display())
            })?;
            Ok(Some(Credentials { id: id.to_owned(), secret: secret.to_owned() }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// A worker can't invent them. With the token of a pod it needs none, nor with a certificate of its own towards leaders with
/// https; they are empty then.
pub(crate) fn for_worker(settings: &Cluster) -> anyhow::Result<Credentials> {
    if let Some(credentials) = from_settings(&settings.leader)? {
        return Ok(credentials);
    }
    if settings.worker.token_file.is_some() {
        return Ok(Credentials { id: String::new(), secret: String::new() });
    }
    let is_certified = settings.mtls.enabled && !settings.mtls.certs.is_empty();
    let urls = &settings.leader.urls;
    if is_certified && urls.iter().all(|url| url.starts_with("https:")) {
        return Ok(Credentials { id: String::new(), secret: String::new() });
    }
    anyhow::bail!(
        "a worker needs the leader's credentials: set cluster.leader.clientId and cluster.leader.clientSecret \
         (KOMAINU_CLUSTER_LEADER_CLIENT_ID and KOMAINU_CLUSTER_LEADER_CLIENT_SECRET); a leader that generated its own \
         keeps them in the file `credentials` of its data directory; a leader with https can know workers by \
         cluster.mtls.certs instead, and one in Kubernetes by cluster.worker.tokenFile"
    )
}

/// Secrets that are in documents: Otoroshi's defaults, and those of its clustering page.
const KNOWN: [&str; 2] = ["admin-api-apikey-secret", "secret"];

/// A secret that everybody knows is none for a port that others reach.
pub(crate) fn refuse_known(credentials: &Credentials, within_machine: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        within_machine || !KNOWN.contains(&credentials.secret.as_str()),
        "cluster.leader.clientSecret is one that everybody knows: choose another one, for instance with \
         `openssl rand -hex 24`, on leaders and workers"
    );
    Ok(())
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
    write(path, &credentials).with_context(|| format!("can't write {}", path.display()))?;
    tracing::info!(file = %path.display(), "generated credentials for the admin API and for workers");
    Ok(credentials)
}

/// The file appears whole under its name: half a secret would be taken for one.
fn write(path: &Path, credentials: &Credentials) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(format!("{}:{}\n", credentials.id, credentials.secret).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::settings::Mtls;

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
    fn a_broken_file_is_no_empty_secret() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "komainu", "komainu:", ":secret"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = for_leader(&ClusterLeader::default(), folder.path()).unwrap_err();
            assert!(error.to_string().contains("clientId:clientSecret"), "{text:?}: {error}");
        }
    }

    #[test]
    fn by_hand_a_leader_is_called_with_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let settings = ClusterLeader::default();
        let error = known(&settings, folder.path()).unwrap_err().to_string();
        assert!(error.contains("cluster.leader.clientSecret") && error.contains("credentials"), "{error}");
        assert!(!folder.path().join(FILE).exists(), "nobody needs credentials that no leader has");
        let generated = for_leader(&settings, folder.path()).unwrap();
        assert_eq!(known(&settings, folder.path()).unwrap(), generated);
    }

    #[test]
    fn half_a_pair_is_refused() {
        let settings = ClusterLeader { client_id: Some("me".into()), ..ClusterLeader::default() };
        assert!(for_worker(&Cluster { leader: settings, ..Cluster::default() }).is_err());
        assert!(for_worker(&Cluster::default()).unwrap_err().to_string().contains("clientSecret"));
    }

    #[test]
    fn a_worker_with_a_certificate_needs_none_over_https() {
        let of = |enabled, urls: &[&str]| {
            let urls = urls.iter().map(ToString::to_string).collect();
            let mtls = Mtls { enabled, certs: vec!["worker.crt".into()], ..Mtls::default() };
            let leader = ClusterLeader { urls, ..ClusterLeader::default() };
            for_worker(&Cluster { mtls, leader, ..Cluster::default() })
        };
        assert_eq!(of(true, &["https://a", "https://b"]).unwrap().id, "");
        assert!(of(true, &["https://a", "http://b"]).is_err(), "nothing is shown in clear text");
        assert!(of(false, &["https://a"]).is_err());
    }
}
