//! Secrets in the folders named `secrets`: each has a folder of its own, and in it a file for each entry, as Kubernetes mounts
//! them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};
use operator_core::{Place, Problem, SecretSpec, Spec};

use crate::metadata::is_name;
use crate::parse::{Object, file_problem};

/// The folder in which they are.
const FOLDER: &str = "secrets";

/// Secrets have no place to name another namespace.
const NAMESPACE: &str = "default";

/// Larger files are refused, in bytes.
pub(crate) const MAX_BYTES: u64 = 64 * 1024;

/// Whether a file of this name is an entry of a secret.
pub(crate) fn is_entry(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::parent).and_then(Path::file_name);
    folder.is_some_and(|folder| folder == FOLDER)
}

/// One entry, without the line end that editors put behind it.
///
/// # Errors
/// What is wrong with the file; no message repeats anything of its content.
pub(crate) fn read(file: &Arc<str>, bytes: Vec<u8>) -> Result<String, Problem> {
    let text =
        String::from_utf8(bytes).map_err(|_| file_problem(file, "isn't UTF-8 text: save it as UTF-8"))?;
    let text = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
    Ok(text.to_owned())
}

/// The secrets of all entries, which are given with their files, and the problems of names that can't be used.
pub(crate) fn join<'f>(entries: impl Iterator<Item = (&'f Path, &'f str)>) -> (Vec<Object>, Vec<Problem>) {
    let mut secrets: BTreeMap<&Path, BTreeMap<String, String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, text) in entries {
        let Some(folder) = path.parent() else { continue };
        match path.file_name().and_then(|name| name.to_str()) {
            Some(key) => {
                secrets.entry(folder).or_default().insert(key.to_owned(), text.to_owned());
            }
            None => {
                problems.push(file_problem(&path.to_string_lossy().into(), "has a name that isn't UTF-8"))
            }
        }
    }
    let mut objects = Vec::with_capacity(secrets.len());
    for (folder, entries) in secrets {
        let file: Arc<str> = folder.to_string_lossy().into();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name))
        else {
            problems.push(file_problem(&file, "name it by lower-case letters, digits, '-' and '.'"));
            continue;
        };
        objects.push(Object {
            key: Key::new(Kind::Secret, NAMESPACE, name),
            labels: BTreeMap::new(),
            spec: Spec::Secret(Arc::new(SecretSpec { entries })),
            place: Place { file, line: 1, column: 1 },
        });
    }
    (objects, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, String> {
        read(&"file".into(), bytes.to_vec()).map_err(|problem| problem.message)
    }

    #[test]
    fn one_line_end_behind_it_is_no_part_of_an_entry() {
        for (bytes, expected) in [
            (&b"hunter2\n"[..], "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b" a b \n\n", " a b \n"),
            ("pä:ss".as_bytes(), "pä:ss"),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), Ok(expected.to_owned()));
        }
        let message = text(b"hunter2\xff").unwrap_err();
        assert!(message.contains("UTF-8") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn a_file_two_folders_below_secrets_is_an_entry() {
        for (path, expected) in [
            ("/a/secrets/proxy/password", true),
            ("secrets/proxy/a.yaml", true),
            ("/a/secrets/password", false),
            ("/a/secrets/x/y/password", false),
            ("/secrets/a.yaml", false),
        ] {
            assert_eq!(is_entry(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_folder_is_a_secret() {
        let entries = [("/a/secrets/b/one", "1"), ("/a/secrets/B_/one", "1"), ("/a/secrets/b/two", "2")];
        let (objects, problems) = join(entries.iter().map(|(path, text)| (Path::new(path), *text)));
        assert_eq!((objects.len(), problems.len()), (1, 1));
        assert_eq!(objects[0].key.to_string(), "secret/default/b");
        let Spec::Secret(secret) = &objects[0].spec else { panic!("{:?}", objects[0].spec) };
        assert_eq!(
            secret.entries,
            BTreeMap::from([("one", "1"), ("two", "2")].map(|(a, b)| (a.into(), b.into())))
        );
        assert_eq!(format!("{secret:?}"), r#"SecretSpec["one", "two"]"#);
        assert!(problems[0].message.contains("lower-case"), "{problems:?}");
    }
}
