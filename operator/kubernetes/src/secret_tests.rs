use serde_json::{Value, json};

use super::*;

const NOW: &str = "20300101000000Z";

fn pem(name: &str) -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}

fn observed(type_: &str, data: &[(&str, &str)]) -> Vec<Arc<Observed>> {
    let bytes = |text: &str| serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap();
    let data: Value = data.iter().map(|(name, text)| ((*name).to_owned(), bytes(text))).collect();
    let object = json!({ "metadata": {}, "type": type_, "data": data });
    read("default", "site", &serde_json::from_value(object).unwrap(), NOW)
}

fn certificate(observed: &[Arc<Observed>]) -> &CertificateSpec {
    match &observed.first().unwrap().spec {
        Spec::Certificate(spec) => spec,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_of_type_tls_is_a_certificate_with_its_key() {
    let (crt, key) = pem("site.test");
    let (ca, _) = pem("ca.test");
    let it = observed("kubernetes.io/tls", &[("tls.crt", &crt), ("tls.key", &key)]);
    assert_eq!(it.iter().map(|it| it.key.to_string()).collect::<Vec<_>>(), ["certificate/default/site"]);
    assert!(certificate(&it).key.is_some() && certificate(&it).authorities.is_empty());
    let it = observed("kubernetes.io/tls", &[("tls.crt", &crt), ("tls.key", &key), ("ca.crt", &ca)]);
    assert_eq!((certificate(&it).chain.len(), certificate(&it).authorities.len()), (1, 1));
    let empty = observed("kubernetes.io/tls", &[("tls.crt", &crt), ("tls.key", &key), ("ca.crt", "")]);
    assert!(certificate(&empty).authorities.is_empty(), "as cert-manager leaves it where nobody signs");
}

#[test]
fn any_other_has_entries_and_maybe_somebody_to_trust() {
    let it = observed("Opaque", &[("password", "s3cret\n"), ("key", "")]);
    let [secret] = it.as_slice() else { panic!("{it:?}") };
    let Spec::Secret(entries) = &secret.spec else { panic!("{secret:?}") };
    assert_eq!(entries.entries.get("password").map(String::as_str), Some("s3cret"));
    assert!(!format!("{it:?}").contains("s3cret"));
    let it = observed("Opaque", &[("ca.crt", &[pem("a.test").0, pem("b.test").0].concat())]);
    assert_eq!(certificate(&it).chain.len(), 2);
    assert_eq!(it.len(), 2);
    assert_eq!(observed("Opaque", &[]).len(), 1);
}

#[test]
fn says_which_entry_is_wrong() {
    let ((crt, key), (_, other)) = (pem("a.test"), pem("b.test"));
    for (data, field) in [
        ([("tls.crt", "x"), ("tls.key", &*key)], "tls.crt"),
        ([("tls.crt", &*crt), ("tls.key", "x")], "tls.key"),
        ([("tls.crt", &*crt), ("tls.key", &*other)], "tls.key"),
        ([("tls.crt", &*crt), ("ca.crt", "x")], "ca.crt"),
    ] {
        let it = observed("kubernetes.io/tls", &data);
        let Spec::Invalid(problems) = &it.first().unwrap().spec else { panic!("{it:?}") };
        let problem = problems.first().unwrap();
        assert_eq!((&*problem.field, &problem.place), (field, &None), "{problem}");
    }
}
