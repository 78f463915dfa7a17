//! The YAML that people copy: every example, and every block in the documentation that has objects of ours.
#![expect(clippy::unwrap_used, reason = "what a test can't go on without")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use operator_files::check;
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// The fenced YAML blocks of a Markdown file that have objects of ours. Lines outside are left empty, so that places are
/// those of the Markdown file.
fn objects(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for (number, line) in markdown.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```yaml" => block = Some("\n".repeat(number + 1)),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks.retain(|block| block.lines().any(|line| line.starts_with("apiVersion: komainu.dev")));
    blocks
}

/// Those that the documentation names.
fn certificates(folder: &Path) {
    let folder = folder.join("certificates");
    fs::create_dir(&folder).unwrap();
    for name in ["internal-ca", "gateway"] {
        let pair = rcgen::generate_simple_self_signed(vec![format!("{name}.test")]).unwrap();
        fs::write(folder.join(format!("{name}.crt")), pair.cert.pem()).unwrap();
        let key = folder.join(format!("{name}.key"));
        fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn every_object_in_the_documentation_is_good() {
    let mut documents = vec![repository().join("README.md")];
    files(&repository().join("docs"), "md", &mut documents);
    let mut checked = 0;
    for document in documents {
        for block in objects(&fs::read_to_string(&document).unwrap()) {
            let dir = TempDir::new().unwrap();
            let file = dir.path().join(document.file_name().unwrap()).with_extension("yaml");
            fs::write(&file, block).unwrap();
            certificates(dir.path());
            let report = check(&[dir.path().to_owned()], None);
            assert!(report.ok() && report.warnings.is_empty(), "{}:\n{report}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no block found: the README has at least one");
}

#[test]
fn every_example_is_good_but_the_one_that_is_refused_on_purpose() {
    // Those for a cluster have objects of Kubernetes, too: a real API server is asked about them.
    let examples = repository().join("examples/quickstart");
    let report = check(std::slice::from_ref(&examples), None);
    let (refused, others): (Vec<_>, Vec<_>) = report.problems.iter().partition(|problem| {
        problem.place.as_ref().is_some_and(|place| place.file.ends_with("quickstart/refused.yaml"))
    });
    assert!(others.is_empty() && report.warnings.is_empty(), "{report}");
    let of_the_backend = refused.iter().find(|problem| problem.field == "spec.targets[0].protocol");
    let place = of_the_backend.expect("refused").place.as_ref().unwrap();
    assert_eq!((place.line, place.column), (11, 7), "{report}");
    assert!(report.files >= 4, "{report}");
}

#[test]
fn blocks_are_found_with_their_lines() {
    let text = "# T\n```yaml\napiVersion: komainu.dev/v1alpha1\n```\n```yaml\na: 1\n```\n";
    assert_eq!(objects(text), ["\n\napiVersion: komainu.dev/v1alpha1\n"]);
}
