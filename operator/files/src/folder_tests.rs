use std::fs;

use operator_core::{Origin, Spec};
use tempfile::TempDir;

use super::*;

fn backend(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: komainu.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  targets: [{{ hostname: a, port: {port} }}]\n"
    )
}

struct Folder {
    dir: TempDir,
    source: FolderSource,
}

impl Folder {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let source = FolderSource::open(dir.path()).unwrap();
        Self { dir, source }
    }

    /// Writes the file, reads it again and gives all problems, with the folder's name left out.
    fn write(&mut self, name: &str, text: impl AsRef<[u8]>) -> Vec<String> {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.source.read_file(path.clone(), Stamp::of(&path).unwrap());
        self.problems()
    }

    fn problems(&mut self) -> Vec<String> {
        let (problems, _) = self.source.settle(&BTreeMap::<_, ()>::new(), &mut || 7);
        let folder = format!("{}/", self.dir.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.source.objects().keys().map(dataplane_snapshot::Key::name).collect()
    }
}

#[test]
fn reads_subfolders_and_leaves_out_what_is_hidden_or_something_else() {
    let dir = TempDir::new().unwrap();
    for (name, object) in [
        ("a.yaml", "a"),
        ("sub/b.yml", "b"),
        ("c.json", "c"),
        (".d.yaml", "d"),
        (".git/e.yaml", "e"),
        ("f.txt", "f"),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, backend(object, 1)).unwrap();
    }
    let loaded = FolderSource::load(dir.path()).unwrap();
    let names: Vec<_> = loaded.objects.keys().map(|key| key.name().to_owned()).collect();
    assert_eq!((names, loaded.problems), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], vec![]));
}

#[test]
fn a_missing_folder_is_an_error_that_says_so() {
    let error = FolderSource::load("/does/not/exist").unwrap_err().to_string();
    assert!(error.starts_with("the folder /does/not/exist can't be read: No such file"), "{error}");
}

#[test]
fn a_file_that_is_no_yaml_keeps_what_it_gave_until_it_is_mended() {
    let mut folder = Folder::new();
    folder.write("a.yaml", backend("x", 1) + &backend("z", 1));
    let told = folder.write("a.yaml", backend("x", 2) + "  root: [\n---\nb: {\n");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("a.yaml:7:"), "{told:?}");
    assert_eq!(folder.names(), ["x", "z"]);
    assert_eq!(folder.write("a.yaml", backend("z", 2)), [""; 0]);
    assert_eq!(folder.names(), ["z"]);
}

#[test]
fn a_slip_in_the_head_of_an_object_takes_nothing_away() {
    let mut folder = Folder::new();
    folder.write("a.yaml", backend("x", 1) + &backend("z", 1));
    let told =
        folder.write("a.yaml", backend("x", 2) + &backend("z", 1).replace("kind: Backend", "kind: Bakend"));
    assert_eq!(told, [r#"a.yaml:9:1: kind: "Bakend" isn't known; did you mean "Backend"?"#]);
    assert_eq!(folder.names(), ["x", "z"]);
    // The rest of the file counts.
    let x = folder.source.objects().values().next().unwrap();
    let Spec::Backend(spec) = &x.spec else { panic!("{x:?}") };
    assert_eq!(spec.targets[0].port, Some(2));
    // An object of another group is no slip: what is missing beside it is gone.
    folder.write("a.yaml", backend("x", 2) + "---\napiVersion: v1\nkind: Service\nmetadata: { name: z }\n");
    assert_eq!(folder.names(), ["x"]);
}

#[test]
fn text_that_is_not_utf8_has_a_place() {
    let mut folder = Folder::new();
    let told = folder.write("a.yaml", b"a: 1\nbc: \xff\n");
    assert_eq!(told, ["a.yaml:2:5: isn't UTF-8 text from here on; save the file as UTF-8"]);
}

#[test]
fn a_name_in_two_files_is_told_with_both_places() {
    let mut folder = Folder::new();
    folder.write("a.yaml", backend("x", 1));
    let told = folder.write("b.yaml", backend("x", 2));
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("b.yaml:2:1: metadata.name: backend/default/x is there already, at a.yaml:2:1,")
    );
    let path = folder.dir.path().join("a.yaml");
    folder.source.forget(&path);
    assert_eq!(folder.problems(), [""; 0]);
    assert_eq!(folder.names(), ["x"]);
}

#[test]
fn an_edit_leaves_the_other_objects_of_the_file_as_they_are() {
    let mut folder = Folder::new();
    folder.write("a.yaml", backend("x", 1) + &backend("z", 1));
    let before = folder.source.objects().clone();
    folder.write("a.yaml", backend("x", 1) + &backend("z", 2));
    let same: Vec<_> =
        before.values().zip(folder.source.objects().values()).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, false]);
    let Origin::File(place) = &before.values().next().unwrap().origin else { panic!() };
    assert_eq!(folder.source.locate(place, "spec.targets[0].port").unwrap().line, 6);
}

#[test]
fn links_in_a_circle_end() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/a.yaml"), backend("x", 1)).unwrap();
    std::os::unix::fs::symlink("..", dir.path().join("sub/up")).unwrap();
    assert_eq!(FolderSource::load(dir.path()).unwrap().objects.len(), 1);
}
