//! `generated/` holds what the types say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const HEADER: &str = "# Generated from the types in crds/src; `make generate` writes it anew.\n";

fn yaml(crd: &CustomResourceDefinition) -> String {
    HEADER.to_owned() + &serde_saphyr::to_string(crd).unwrap()
}

#[test]
fn the_generated_files_are_those_of_the_types() {
    for crd in crds::crds() {
        let file = format!("{}.yaml", crd.spec.names.plural);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated").join(&file);
        let expected = yaml(&crd);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let actual = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(actual == expected, "crds/generated/{file} isn't what the types say: run `make generate`");
    }
}

#[test]
fn what_is_printed_reads_back_as_the_definitions() {
    if std::env::var_os("UPDATE").is_some() {
        return; // The files that were compiled in are older than those that are just being written.
    }
    let printed = crds::to_yaml();
    let read: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&printed).unwrap();
    assert!(read == crds::crds(), "the printed definitions aren't those of the types: run `make generate`");
}
