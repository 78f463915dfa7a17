//! Pairs in `golden/`: manifests in, the snapshot and the statuses out. `UPDATE=1 cargo test --test golden` writes the
//! second halves anew; read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod manifests;
mod render;

use std::path::{Path, PathBuf};

use operator_core::{Memo, plan};

#[test]
fn every_pair() {
    let mut failures = Vec::new();
    let inputs = inputs();
    assert!(inputs.len() >= 12, "only {} pairs were found", inputs.len());
    for input in inputs {
        let expected_at = PathBuf::from(input.to_string_lossy().replace(".in.yaml", ".out.yaml"));
        let world = manifests::world(&std::fs::read_to_string(&input).unwrap());
        let (plan, _) = plan(&world, &Memo::default());
        let actual = render::plan(&plan);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected_at, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_at).unwrap_or_default();
        if let Some(difference) = first_difference(&expected, &actual) {
            failures.push(format!("{}: {difference}", expected_at.display()));
        }
    }
    assert!(failures.is_empty(), "\n{}\nUPDATE=1 writes what is planned now", failures.join("\n"));
}

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".in.yaml")).collect();
    inputs.sort();
    inputs
}

fn first_difference(expected: &str, actual: &str) -> Option<String> {
    let (mut expected, mut actual) = (expected.lines(), actual.lines());
    (1..).find_map(|line| match (expected.next(), actual.next()) {
        (None, None) => Some(None),
        (old, new) if old == new => None,
        (old, new) => {
            Some(Some(format!("line {line}\n  expected {}\n  planned  {}", or_end(old), or_end(new))))
        }
    })?
}

fn or_end(line: Option<&str>) -> &str {
    line.unwrap_or("(the end)")
}
