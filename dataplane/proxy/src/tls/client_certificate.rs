//! The certificate of a client as its targets see it (RFC 9440).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use crate::http1::response::CRLF;

/// The fields for `chain`, the client's own certificate first; empty if there is none.
pub(super) fn fields(chain: &[CertificateDer<'_>]) -> Box<[u8]> {
    let mut out = Vec::new();
    let Some((own, issuers)) = chain.split_first() else { return Box::default() };
    out.extend_from_slice(b"client-cert: ");
    bytes(&mut out, own);
    out.extend_from_slice(CRLF);
    for (index, issuer) in issuers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"client-cert-chain: " } else { b", " });
        bytes(&mut out, issuer);
    }
    if !issuers.is_empty() {
        out.extend_from_slice(CRLF);
    }
    out.into()
}

/// A byte sequence of RFC 8941 section 3.3.5.
fn bytes(out: &mut Vec<u8>, der: &[u8]) {
    out.push(b':');
    out.extend_from_slice(STANDARD.encode(der).as_bytes());
    out.push(b':');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_byte_sequences() {
        let chain = [&b"own"[..], b"ca", b"root!"].map(CertificateDer::from);
        let text = |chain: &[CertificateDer<'_>]| String::from_utf8(fields(chain).to_vec()).unwrap();
        assert_eq!(text(&[]), "");
        assert_eq!(text(&chain[..1]), "client-cert: :b3du:\r\n");
        assert_eq!(text(&chain), "client-cert: :b3du:\r\nclient-cert-chain: :Y2E=:, :cm9vdCE=:\r\n");
    }
}
