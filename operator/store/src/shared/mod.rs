//! What the stores on a server of their own have in common.

mod life;
mod text;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use life::{Life, Reached, first_epoch, following};
pub(crate) use text::{
    as_of, as_of_text, column, epoch, epoch_text, labels_text, number, record, record_text,
};

use crate::StoreError;

/// The version of what the stores on servers keep, and how. A later version that changes it raises the number and migrates.
/// One that only adds to it, as that of what workers count, doesn't: earlier versions go on as if it weren't there, and a
/// store that they made gets it when it is opened.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// Certificate and key in PEM.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// As long as the name of a schema of PostgreSQL may be.
const MAX_PREFIX: usize = 63;

/// How a store on a server is reached, and what it keeps.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// With the scheme that names the kind of store; user and password may be in it.
    pub url: String,
    /// Instead of what the URL says.
    pub username: Option<String>,
    pub password: Option<String>,
    /// Instead of `password`: a file that has nothing else.
    pub password_file: Option<PathBuf>,
    pub tls: StoreTls,
    /// What the names of all that is kept begin with: several clusters may share a server.
    pub prefix: String,
    /// How many deletions per owner are remembered for [`crate::StateStore::changes_since`]; who asks for more reads all.
    pub deletions: u64,
    /// How often a store that gives no hints is asked for its revision.
    pub poll_every: Duration,
}

/// What is at a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Postgres,
    Cassandra,
}

/// Files in PEM. Whether there is TLS at all, the URL says. They are read for each connection, as the one with the password is:
/// what is renewed while a leader runs counts from the next one on.
#[derive(Clone, Debug, Default)]
pub struct StoreTls {
    /// Who signed the server's certificate, instead of the authorities of the system.
    pub authorities: Option<PathBuf>,
    /// Shown to the server, with its key.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl SharedSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            password_file: None,
            tls: StoreTls::default(),
            prefix: "komainu".to_owned(),
            deletions: 10_000,
            poll_every: Duration::from_millis(100),
        }
    }
}

impl SharedSettings {
    pub(crate) fn kind(&self) -> Result<Kind, StoreError> {
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("redis" | "rediss") => Ok(Kind::Redis),
            Some("postgresql" | "postgres") => Ok(Kind::Postgres),
            Some("cassandra") => Ok(Kind::Cassandra),
            _ => Err(StoreError::Misconfigured(
                "setting store.url: it begins with redis://, rediss:// (TLS), postgresql:// or cassandra://, and goes on \
                 with host:port/database"
                    .to_owned(),
            )),
        }
    }

    /// As it is now; `None`: as the URL says. The line end that editors put behind it isn't a part of it.
    pub(crate) fn password(&self) -> Result<Option<String>, StoreError> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            StoreError::Misconfigured(format!("setting store.passwordFile: {}: {error}", path.display()))
        })?;
        match text.trim_end_matches(['\r', '\n']) {
            // As one that is being written.
            "" => Err(StoreError::Misconfigured(format!(
                "setting store.passwordFile: {}: it is empty",
                path.display()
            ))),
            password => Ok(Some(password.to_owned())),
        }
    }

    /// What no server has to be asked for.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let starts = self.prefix.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts || self.prefix.len() > MAX_PREFIX || !self.prefix.bytes().all(is_name) {
            return Err(StoreError::Misconfigured(format!(
                "setting store.prefix: {:?} isn't a name: write up to {MAX_PREFIX} letters, digits, -, _ and ., \
                 and a letter or digit first",
                self.prefix
            )));
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err(StoreError::Misconfigured(
                "settings store.password and store.passwordFile: give one of them".to_owned(),
            ));
        }
        let StoreTls { authorities, certificate, key } = &self.tls;
        let has_tls = !self.url.starts_with("redis:")
            && !["sslmode=disable", "ssl-mode=disable"].iter().any(|off| self.url.contains(off))
            && (!self.url.starts_with("cassandra:") || self.url.ends_with("?tls=true"));
        if !has_tls && (authorities.is_some() || certificate.is_some() || key.is_some()) {
            return Err(StoreError::Misconfigured(
                "settings store.tls: the URL asks for no TLS; write rediss://, sslmode=verify-full behind \
                 postgresql://, or ?tls=true behind cassandra://"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl StoreTls {
    /// The authorities in PEM.
    pub(crate) fn read_authorities(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.authorities.as_ref().map(read).transpose()
    }

    pub(crate) fn read_certificate(&self) -> Result<Option<Pair>, StoreError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((read(certificate)?, read(key)?))),
            _ => Err(StoreError::Misconfigured(
                "settings store.tls.certificate and store.tls.key belong together: give both or none"
                    .to_owned(),
            )),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path)
        .map_err(|error| StoreError::Misconfigured(format!("setting store.tls: {}: {error}", path.display())))
}

/// A URL without user and password, for people.
pub fn place(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    // Then the question mark may have been in the password.
    if query.contains('@') { format!("{scheme}://…") } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_lead_nowhere_are_refused() {
        let of = |url: &str, prefix: &str, tls: bool| {
            let authorities = tls.then(|| PathBuf::from("ca.crt"));
            let tls = StoreTls { authorities, ..StoreTls::default() };
            SharedSettings { prefix: prefix.to_owned(), tls, ..SharedSettings::new(url) }.check()
        };
        for (url, tls) in [
            ("redis://a", false),
            ("rediss://a", true),
            ("postgresql://a/b", true),
            ("postgresql://a/b?sslmode=disable", false),
            ("cassandra://a/b", false),
            ("cassandra://a/b?tls=true", true),
        ] {
            assert_eq!(of(url, "a-b_c.1", tls), Ok(()), "{url}");
        }
        for url in
            ["redis://a", "postgresql://a/b?sslmode=disable", "cassandra://a/b", "cassandra://a/b?tls=false"]
        {
            assert!(of(url, "a", true).unwrap_err().to_string().contains("asks for no TLS"), "{url}");
        }
        for prefix in ["", "-a", "a}b", "a b", &"a".repeat(64)] {
            assert!(
                of("redis://a", prefix, false).unwrap_err().to_string().contains("store.prefix"),
                "{prefix}"
            );
        }
        assert_eq!(of("redis://a", &"a".repeat(63), false), Ok(()));
        let two = SharedSettings {
            password: Some("hush".to_owned()),
            password_file: Some(PathBuf::from("password")),
            ..SharedSettings::new("redis://a")
        };
        assert!(two.check().unwrap_err().to_string().contains("give one of them"));
    }

    #[test]
    fn a_password_in_a_file_is_read_when_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let settings =
            SharedSettings { password_file: Some(file.clone()), ..SharedSettings::new("redis://a") };
        assert!(settings.password().unwrap_err().to_string().contains("store.passwordFile"));
        std::fs::write(&file, "\n").unwrap();
        assert!(settings.password().unwrap_err().to_string().contains("it is empty"));
        for (text, expected) in [("hush\r\n", "hush"), (" a b ", " a b "), ("later\n", "later")] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(settings.password(), Ok(Some(expected.to_owned())));
        }
    }

    #[test]
    fn people_see_no_password() {
        for (url, shown) in [
            ("redis://me:p@ss@one:6379/2", "redis://one:6379/2"),
            ("postgresql://one,two/komainu?password=hush", "postgresql://one,two/komainu"),
            ("postgresql://one/komainu?password=hu@sh", "postgresql://…"),
            ("redis://:hu?sh@one:6379", "redis://…"),
        ] {
            assert_eq!(place(url), shown);
        }
    }
}
