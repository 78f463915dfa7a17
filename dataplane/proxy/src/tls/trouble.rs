use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why TLS with a target failed, for people.
#[derive(Debug, thiserror::Error)]
#[error("TLS with {name}: {}", Sentence(.error))]
pub(crate) struct TlsTrouble {
    /// The target as it was asked for.
    pub(crate) name: Box<str>,
    pub(crate) error: io::Error,
}

/// What TLS says of an error of a byte stream, for people; `None`: it isn't an error of TLS.
pub(crate) fn explain(error: &io::Error) -> Option<String> {
    cause(error).map(|_| Sentence(error).to_string())
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

struct Sentence<'a>(&'a io::Error);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match cause(self.0) {
            Some(Error::InvalidCertificate(error)) => certificate(error, f),
            Some(Error::AlertReceived(alert)) => refusal(*alert, f),
            Some(Error::InvalidMessage(_)) => f.write_str("what it answers isn't TLS"),
            Some(error) => error.fmt(f),
            None if self.0.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it closed in the middle of the handshake")
            }
            None => self.0.fmt(f),
        }
    }
}

fn certificate(error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        CertificateError::UnknownIssuer => f.write_str("its certificate isn't signed by a trusted authority"),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            f.write_str("its certificate is for no name")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            write!(f, "its certificate is for other names: {}", names.join(", "))
        }
        CertificateError::NotValidForName => f.write_str("its certificate is for other names"),
        CertificateError::Expired => f.write_str("its certificate has expired"),
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = time.as_secs().saturating_sub(not_after.as_secs());
            write!(f, "its certificate expired {ago} seconds ago")
        }
        CertificateError::NotValidYet => f.write_str("its certificate isn't valid yet"),
        CertificateError::NotValidYetContext { time, not_before } => {
            let left = not_before.as_secs().saturating_sub(time.as_secs());
            write!(f, "its certificate becomes valid in {left} seconds")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            f.write_str("its certificate isn't one for servers")
        }
        CertificateError::Other(other)
            if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            f.write_str("its certificate is an authority's and not one of those that are trusted")
        }
        error => write!(f, "its certificate is refused: {error}"),
    }
}

/// The name in `DnsName("a.test")` and the like, which is how rustls shows them.
fn bare(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

fn refusal(alert: AlertDescription, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match alert {
        AlertDescription::CertificateRequired => f.write_str("it wants a client certificate"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => write!(f, "it refuses the client certificate ({alert:?})"),
        AlertDescription::ProtocolVersion => f.write_str("it speaks neither TLS 1.2 nor TLS 1.3"),
        AlertDescription::UnrecognisedName => f.write_str("it knows no such name"),
        AlertDescription::NoApplicationProtocol => f.write_str("it doesn't speak the target's protocol"),
        alert => write!(f, "it refuses the handshake ({alert:?})"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn of(error: Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        TlsTrouble { name: "a.test".into(), error }.to_string()
    }

    #[test]
    fn says_what_is_wrong() {
        let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        let presented = ["DnsName(\"b.test\")", "IpAddress(10.0.0.1)", "c.test"].map(str::to_owned).to_vec();
        let expected = ServerName::try_from("a.test").unwrap();
        let authority = CertificateError::Other(OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity)));
        for (error, sentence) in [
            (CertificateError::UnknownIssuer, "its certificate isn't signed by a trusted authority"),
            (
                CertificateError::NotValidForNameContext { expected, presented },
                "its certificate is for other names: b.test, 10.0.0.1, c.test",
            ),
            (
                CertificateError::ExpiredContext { time: at(9), not_after: at(2) },
                "its certificate expired 7 seconds ago",
            ),
            (authority, "its certificate is an authority's and not one of those that are trusted"),
        ] {
            assert_eq!(of(Error::InvalidCertificate(error)), format!("TLS with a.test: {sentence}"));
        }
        let refused = of(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(refused, "TLS with a.test: it wants a client certificate");
        let gone = TlsTrouble { name: "a.test".into(), error: io::ErrorKind::UnexpectedEof.into() };
        assert_eq!(gone.to_string(), "TLS with a.test: it closed in the middle of the handshake");
    }
}
