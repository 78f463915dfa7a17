//! Certificates in files that settings name, on the leader's port and towards leaders, and what follows their replacement.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use dataplane_core::{CertifiedKey, TargetTls};
use dataplane_proxy::worker::LeaderTls;
use dataplane_snapshot::{Key, Kind};
use operator_core::{CertificateSpec, Problem};
use operator_files::{CertificateFile, CertificateFiles};
use operator_server::port::PortTls;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::settings::{AdminTls, Mtls};

/// How often the files are looked at. Others than before are read at the second look.
const LOOK: Duration = Duration::from_secs(1);

/// What the port is greeted with, as its files have it from now on; `None`: in clear text.
pub(super) fn of_port(tls: &AdminTls) -> anyhow::Result<Option<watch::Receiver<PortTls>>> {
    let (certificate, key) = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (None, None) if tls.client_authorities.is_none() => return Ok(None),
        (None, None) => anyhow::bail!(
            "setting admin.tls.clientAuthorities: client certificates are shown inside TLS: set admin.tls.certificate and \
             admin.tls.key, too"
        ),
        _ => {
            anyhow::bail!("settings admin.tls.certificate and admin.tls.key go together: set both or neither")
        }
    };
    let mut files = vec![CertificateFile { certificate, key: Some(key) }];
    files.extend(tls.client_authorities.clone().map(to_trust));
    let make = |specs: Vec<CertificateSpec>| {
        let (own, authorities) = specs.split_first().context("no certificate")?;
        Ok(PortTls::new(own, &chains(authorities))?)
    };
    follow("admin.tls", files, make).map(Some)
}

/// How leaders with https are called, as the files have it from now on.
pub(crate) fn of_worker(mtls: &Mtls) -> anyhow::Result<watch::Receiver<LeaderTls>> {
    let mut files = Vec::new();
    let (mut own, mut trust_all) = (0, false);
    if mtls.enabled {
        own = mtls.certs.len();
        files.extend(mtls.certs.iter().map(|certificate| CertificateFile {
            key: Some(key_of(certificate)),
            certificate: certificate.clone(),
        }));
        files.extend(mtls.trusted_certs.iter().cloned().map(to_trust));
        trust_all = mtls.trust_all && !mtls.loose;
    }
    let make = move |specs: Vec<CertificateSpec>| {
        let (own, trusted) = specs.split_at_checked(own).unwrap_or_default();
        let own = own.iter().zip(0..).map(|(spec, number)| certified(spec, number)).collect();
        LeaderTls::new(&TargetTls::new(own, chains(trusted), trust_all)).map_err(anyhow::Error::msg)
    };
    follow("cluster.mtls", files, make)
}

const fn to_trust(certificate: PathBuf) -> CertificateFile {
    CertificateFile { certificate, key: None }
}

/// The private key is in the file of its name with the ending `key`, or in the certificate's own file.
fn key_of(certificate: &Path) -> PathBuf {
    let beside = certificate.with_extension("key");
    if beside.exists() { beside } else { certificate.to_owned() }
}

fn chains(specs: &[CertificateSpec]) -> Vec<Bytes> {
    specs.iter().flat_map(|spec| &spec.chain).cloned().collect()
}

/// `number` is that of the setting, for messages.
fn certified(spec: &CertificateSpec, number: usize) -> Arc<CertifiedKey> {
    let key = spec.key.clone().unwrap_or_else(|| operator_core::PrivateKey(Bytes::new()));
    let name = Key::new(Kind::Certificate, "settings", format!("cluster.mtls.certs.{number}"));
    Arc::new(CertifiedKey { name, chain: spec.chain.clone(), key })
}

/// Reads the files now, and again whenever they are replaced, for as long as somebody has the result. Files that can't be used
/// leave it as it is.
///
/// # Errors
/// What is wrong with the files now.
fn follow<T: Send + Sync + 'static>(
    setting: &'static str,
    files: Vec<CertificateFile>,
    make: impl Fn(Vec<CertificateSpec>) -> anyhow::Result<T> + Send + Sync + 'static,
) -> anyhow::Result<watch::Receiver<T>> {
    let has_files = !files.is_empty();
    let mut files = CertificateFiles::new(files);
    let first = read(setting, &mut files, &make).with_context(|| format!("setting {setting}"))?;
    let (sender, receiver) = watch::channel(first);
    if has_files {
        tokio::spawn(keep(setting, files, make, sender));
    }
    Ok(receiver)
}

fn read<T>(
    setting: &str,
    files: &mut CertificateFiles,
    make: impl Fn(Vec<CertificateSpec>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let specs = files.read().map_err(|problem: Problem| anyhow::Error::msg(problem.to_string()))?;
    for warning in specs.iter().flat_map(|spec| &spec.warnings) {
        tracing::warn!(setting, "{warning}");
    }
    make(specs)
}

async fn keep<T: Send + Sync + 'static>(
    setting: &'static str,
    mut files: CertificateFiles,
    make: impl Fn(Vec<CertificateSpec>) -> anyhow::Result<T> + Send + Sync + 'static,
    sender: watch::Sender<T>,
) {
    let make = Arc::new(make);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = sender.closed() => return,
        }
        let make = make.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let made = files.are_replaced().then(|| read(setting, &mut files, &*make));
            (files, made)
        });
        let Ok((back, made)) = looked.await else { return };
        files = back;
        match made {
            None => {}
            Some(Ok(made)) => {
                tracing::info!(setting, "certificates were replaced");
                sender.send_replace(made);
            }
            Some(Err(error)) => {
                tracing::warn!(
                    setting,
                    "replaced certificates can't be used, the ones before stay: {error:#}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rcgen::generate_simple_self_signed;

    use super::*;

    /// A certificate and its key in PEM, both in one text.
    fn pem() -> String {
        let rcgen::CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        cert.pem() + &signing_key.serialize_pem()
    }

    #[tokio::test]
    async fn replaced_files_are_followed_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        std::fs::write(&path, pem()).unwrap();
        let file = CertificateFile { certificate: path.clone(), key: Some(key_of(&path)) };
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let one = move |specs: Vec<CertificateSpec>| {
            count.fetch_add(1, Ordering::Relaxed);
            let chain = chains(&specs);
            anyhow::ensure!(chain.len() == 1, "another number of certificates");
            Ok(chain)
        };
        let mut seen = follow("admin.tls", vec![file], one).unwrap();
        let mut before = seen.borrow_and_update().clone();
        for _ in 0..2 {
            let refused = asked.load(Ordering::Relaxed) + 1;
            std::fs::write(&path, format!("{}{}", pem(), pem())).unwrap();
            while asked.load(Ordering::Relaxed) < refused {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(!seen.has_changed().unwrap());
            std::fs::write(&path, pem()).unwrap();
            tokio::time::timeout(Duration::from_secs(60), seen.changed()).await.unwrap().unwrap();
            let now = seen.borrow_and_update().clone();
            assert!(now.len() == 1 && now != before);
            before = now;
        }
    }

    #[tokio::test]
    async fn a_port_needs_both_files_and_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        std::fs::write(&path, pem()).unwrap();
        let [good, bad] = ["a.pem", "b.pem"].map(|name| Some(folder.path().join(name)));
        let of = |certificate: &Option<PathBuf>, key: &Option<PathBuf>, authorities: &Option<PathBuf>| {
            of_port(&AdminTls {
                certificate: certificate.clone(),
                key: key.clone(),
                client_authorities: authorities.clone(),
            })
        };
        assert!(of(&None, &None, &None).unwrap().is_none(), "clear text");
        assert!(of(&good, &good, &None).unwrap().is_some());
        assert!(of(&good, &good, &good).unwrap().is_some());
        for (certificate, key, authorities, said) in [
            (&good, &None, &None, "go together"),
            (&None, &good, &None, "go together"),
            (&None, &None, &good, "set admin.tls.certificate and"),
            (&good, &bad, &None, "b.pem:1:1: can't be read"),
            (&good, &good, &bad, "b.pem:1:1: can't be read"),
        ] {
            let error = format!("{:#}", of(certificate, key, authorities).unwrap_err());
            assert!(error.contains(said) && error.contains("admin.tls"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_worker_reads_its_files_only_if_they_count() {
        let missing = vec!["/nowhere/worker.crt".into()];
        let of = |enabled, certs: &Vec<PathBuf>| {
            let trusted_certs = certs.clone();
            of_worker(&Mtls { enabled, certs: certs.clone(), trusted_certs, trust_all: true, loose: false })
        };
        assert!(of(false, &missing).err().is_none_or(|error| !error.to_string().contains("nowhere")));
        let error = format!("{:#}", of(true, &missing).unwrap_err());
        assert!(error.starts_with("setting cluster.mtls: /nowhere/worker.crt:1:1: can't be read"), "{error}");
        assert!(of(true, &Vec::new()).is_ok(), "anything is trusted");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.crt");
        std::fs::write(&path, pem()).unwrap();
        assert!(of(true, &vec![path]).is_ok());
    }
}
