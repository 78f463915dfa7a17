//! The folder on a real file system, changed in the ways that people and programs change files.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test can't go on without"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dataplane_snapshot::{Epoch, Key, Kind};
use operator_core::{Observed, Problem, SourceView, Spec};
use operator_files::{Numbering, Watching, watch};
use tempfile::TempDir;
use tokio::sync::watch::{Receiver, channel};

/// For what must come; far more than it takes, so that a slow machine fails nothing.
const PATIENCE: Duration = Duration::from_secs(20);

struct Followed {
    dir: TempDir,
    view: Receiver<Option<Arc<SourceView>>>,
    problems: Receiver<Arc<Vec<Problem>>>,
    _watching: Watching,
}

fn backend(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: komainu.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  targets: [{{ hostname: a, port: {port} }}]\n"
    )
}

fn follow(prepare: impl FnOnce(&Path)) -> Followed {
    let dir = TempDir::new().unwrap();
    prepare(dir.path());
    let last = AtomicU64::new(41);
    let numbering = Numbering {
        epoch: Epoch { id: "e".to_owned(), created_at: 1 },
        next: Box::new(move || last.fetch_add(1, Ordering::Relaxed) + 1),
    };
    let (view, view_seen) = channel(None);
    let (problems, problems_seen) = channel(Arc::default());
    let watching = watch(dir.path(), numbering, view, problems).unwrap();
    Followed { dir, view: view_seen, problems: problems_seen, _watching: watching }
}

impl Followed {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn until(&mut self, wanted: impl Fn(&SourceView) -> bool) -> Arc<SourceView> {
        let wait = self.view.wait_for(|view| view.as_ref().is_some_and(|view| wanted(view)));
        let seen = tokio::time::timeout(PATIENCE, wait).await.map(|seen| seen.unwrap().clone());
        match seen {
            Ok(view) => view.unwrap(),
            Err(_) => panic!("not seen; the last view: {:?}", self.view.borrow()),
        }
    }

    async fn until_port(&mut self, name: &str, wanted: u16) -> Arc<SourceView> {
        self.until(|view| port(view, name) == Some(wanted)).await
    }

    async fn until_problems(&mut self, wanted: impl Fn(&[Problem]) -> bool) -> Vec<String> {
        let wait = self.problems.wait_for(|problems| wanted(problems));
        let problems = tokio::time::timeout(PATIENCE, wait).await.expect("the problems come").unwrap();
        problems.iter().map(Problem::to_string).collect()
    }
}

/// A certificate with its private key, in PEM.
fn certificate() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}

#[tokio::test]
async fn a_renewed_certificate_is_seen_once_its_key_is_there() {
    let (old, new) = (certificate(), certificate());
    let mut followed = follow(|dir| {
        fs::create_dir(dir.join("certificates")).unwrap();
        fs::write(dir.join("certificates/site.crt"), &old.0).unwrap();
        fs::write(dir.join("certificates/site.key"), &old.1).unwrap();
    });
    let key = Key::new(Kind::Certificate, "default", "site");
    let of = |view: &SourceView| match view.objects.get(&key).map(|observed| &observed.spec) {
        Some(Spec::Certificate(spec)) if spec.key.is_some() => Some(spec.clone()),
        _ => None,
    };
    let first = followed.until(|view| of(view).is_some()).await;
    assert!(first.as_of.revisions.contains_key(&Kind::Certificate));
    fs::write(followed.path("certificates/site.crt"), new.0).unwrap();
    followed.until_problems(|problems| problems.len() == 1).await;
    fs::write(followed.path("certificates/site.key"), new.1).unwrap();
    followed.until(|view| of(view).is_some() && of(view) != of(&first)).await;
    followed.until_problems(<[_]>::is_empty).await;
}

#[tokio::test]
async fn a_secret_is_a_folder_of_files_and_followed() {
    let mut followed = follow(|dir| {
        fs::create_dir_all(dir.join("secrets/proxy")).unwrap();
        fs::write(dir.join("secrets/proxy/password"), "first\n").unwrap();
        fs::write(dir.join("secrets/proxy/.hidden"), "no").unwrap();
    });
    let key = Key::new(Kind::Secret, "default", "proxy");
    let of = |view: &SourceView| match view.objects.get(&key).map(|observed| &observed.spec) {
        Some(Spec::Secret(secret)) => Some(secret.entries.clone()),
        _ => None,
    };
    let entry = |text: &str| Some([("password".to_owned(), text.to_owned())].into());
    let first = followed.until(|view| of(view).is_some()).await;
    assert_eq!(of(&first), entry("first"));
    assert!(!format!("{first:?}").contains("first"));
    fs::write(followed.path("secrets/proxy/password"), "second").unwrap();
    followed.until(|view| of(view) == entry("second")).await;
    // What can't be used isn't, and isn't told.
    fs::write(followed.path("secrets/proxy/password"), b"hunter2\xff").unwrap();
    let problems = followed.until_problems(|problems| problems.len() == 1).await;
    assert!(
        problems[0].contains("secrets/proxy/password") && !problems[0].contains("hunter2"),
        "{problems:?}"
    );
    fs::remove_dir_all(followed.path("secrets")).unwrap();
    followed.until(|view| of(view).is_none()).await;
}

fn object<'v>(view: &'v SourceView, name: &str) -> Option<&'v Arc<Observed>> {
    view.objects.get(&Key::new(Kind::Backend, "default", name))
}

fn port(view: &SourceView, name: &str) -> Option<u16> {
    match &object(view, name)?.spec {
        Spec::Backend(spec) => spec.targets.first()?.port,
        _ => None,
    }
}

#[tokio::test]
async fn the_first_view_is_complete_and_later_ones_are_numbered() {
    let mut folder = follow(|dir| {
        fs::write(dir.join("a.yaml"), backend("a", 1)).unwrap();
        fs::write(dir.join("b.yaml"), backend("b", 1)).unwrap();
    });
    let first = folder.until(|_| true).await;
    assert_eq!(first.objects.len(), 2);
    let revisions = |backend| [(Kind::Route, 42), (Kind::Backend, backend), (Kind::Certificate, 42)].into();
    assert_eq!(first.as_of.revisions, revisions(42));
    fs::write(folder.path("a.yaml"), backend("a", 2)).unwrap();
    let second = folder.until_port("a", 2).await;
    assert_eq!(second.as_of.revisions, revisions(43));
    assert_eq!(object(&second, "a").unwrap().generation, 43);
    assert!(Arc::ptr_eq(object(&first, "b").unwrap(), object(&second, "b").unwrap()));
}

#[tokio::test]
async fn an_empty_folder_is_known_to_be_empty() {
    let mut folder = follow(|_| {});
    assert!(folder.until(|_| true).await.objects.is_empty());
    fs::create_dir_all(folder.path("new/deep")).unwrap();
    fs::write(folder.path("new/deep/a.yaml"), backend("a", 1)).unwrap();
    folder.until_port("a", 1).await;
}

#[tokio::test]
async fn a_removed_file_takes_its_objects_with_it() {
    let mut folder = follow(|dir| {
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/a.yaml"), backend("a", 1)).unwrap();
        fs::write(dir.join("b.yaml"), backend("b", 1)).unwrap();
    });
    folder.until(|view| view.objects.len() == 2).await;
    fs::remove_file(folder.path("b.yaml")).unwrap();
    folder.until(|view| object(view, "b").is_none()).await;
    fs::remove_dir_all(folder.path("sub")).unwrap();
    folder.until(|view| view.objects.is_empty()).await;
}

#[tokio::test]
async fn editors_ways_of_saving_never_take_an_object_away() {
    let mut folder = follow(|dir| fs::write(dir.join("a.yaml"), backend("a", 1)).unwrap());
    let path = folder.path("a.yaml");
    folder.until_port("a", 1).await;
    // In place.
    fs::write(&path, backend("a", 2)).unwrap();
    folder.until_port("a", 2).await;
    // Beside it, and then over it.
    fs::write(folder.path(".a.yaml.swp"), backend("a", 3)).unwrap();
    fs::rename(folder.path(".a.yaml.swp"), &path).unwrap();
    folder.until_port("a", 3).await;
    // The old one away first, as a backup.
    fs::rename(&path, folder.path("a.yaml~")).unwrap();
    fs::write(&path, backend("a", 4)).unwrap();
    folder.until_port("a", 4).await;
    // Removed and written anew, as version control does.
    fs::remove_file(&path).unwrap();
    fs::write(&path, backend("a", 5)).unwrap();
    folder.until_port("a", 5).await;
    // Another name for the same file.
    fs::rename(&path, folder.path("b.yaml")).unwrap();
    fs::write(folder.path("b.yaml"), backend("a", 6)).unwrap();
    let last = folder.until_port("a", 6).await;
    // One number for the first view and one for each edit: had the object been away, that would have been a change too.
    assert_eq!(last.as_of.revisions[&Kind::Backend], 47);
    assert!(folder.problems.borrow().is_empty());
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_read() {
    use std::io::Write as _;
    let mut folder = follow(|dir| {
        fs::write(dir.join("a.yaml"), backend("a", 1)).unwrap();
        fs::write(dir.join("b.yaml"), backend("b", 1)).unwrap();
    });
    folder.until(|view| view.objects.len() == 2).await;
    let mut open = fs::File::create(folder.path("a.yaml")).unwrap();
    open.write_all(b"# nothing yet\n").unwrap();
    fs::write(folder.path("b.yaml"), backend("b", 2)).unwrap();
    let view = folder.until_port("b", 2).await;
    assert_eq!(port(&view, "a"), Some(1));
    open.write_all(backend("a", 2).as_bytes()).unwrap();
    drop(open);
    folder.until_port("a", 2).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_swapped_as_a_whole() {
    let fill = |dir: &Path, version: &str, port| {
        let data = dir.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), backend("a", port)).unwrap();
        fs::write(data.join("b.yaml"), backend("b", port)).unwrap();
        symlink(version, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    };
    let mut folder = follow(|dir| {
        fill(dir, "..2026_01", 1);
        symlink("..data/a.yaml", dir.join("a.yaml")).unwrap();
        symlink("..data/b.yaml", dir.join("b.yaml")).unwrap();
    });
    assert_eq!(folder.until(|_| true).await.objects.len(), 2);
    fill(folder.dir.path(), "..2026_02", 2);
    fs::remove_dir_all(folder.path("..2026_01")).unwrap();
    // Both at once: no view has one of them old and the other new.
    folder
        .until(|view| {
            assert_eq!(port(view, "a"), port(view, "b"));
            port(view, "a") == Some(2)
        })
        .await;
}

/// What the system doesn't tell of: the file that a link points to, outside of the folder.
#[tokio::test]
async fn changes_without_an_event_are_found() {
    let outside = TempDir::new().unwrap();
    let file = outside.path().join("a.yaml");
    fs::write(&file, backend("a", 1)).unwrap();
    let mut folder = follow(|dir| symlink(&file, dir.join("a.yaml")).unwrap());
    folder.until_port("a", 1).await;
    fs::write(&file, backend("a", 2)).unwrap();
    folder.until_port("a", 2).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_away_keeps_what_it_gave_and_is_followed_when_it_is_back() {
    let mut folder = follow(|dir| {
        fs::create_dir(dir.join("all")).unwrap();
        fs::write(dir.join("all/a.yaml"), backend("a", 1)).unwrap();
    });
    drop(folder.until_port("a", 1).await);
    let root = folder.dir.path().to_owned();
    let aside = root.with_extension("aside");
    fs::rename(&root, &aside).unwrap();
    let told = folder.until_problems(|problems| !problems.is_empty()).await;
    assert!(told[0].contains("can't be read"), "{told:?}");
    assert_eq!(port(&*folder.until(|_| true).await, "a"), Some(1));
    fs::rename(&aside, &root).unwrap();
    folder.until_problems(<[Problem]>::is_empty).await;
    fs::write(folder.path("all/a.yaml"), backend("a", 2)).unwrap();
    folder.until_port("a", 2).await;
}

/// The folder is given as the user types it, and named so in places.
#[tokio::test]
async fn a_folder_can_be_named_from_here() {
    let folder = TempDir::new().unwrap();
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    let relative = up.join(folder.path().strip_prefix("/").unwrap());
    let (view, mut seen) = channel(None);
    let (problems, mut told) = channel(Arc::default());
    let epoch = Epoch { id: "e".to_owned(), created_at: 1 };
    let _watching = watch(&relative, Numbering { epoch, next: Box::new(|| 1) }, view, problems).unwrap();
    seen.wait_for(Option::is_some).await.unwrap();
    let start = Instant::now();
    fs::write(folder.path().join("a.yaml"), "a: [\n").unwrap();
    let wait = told.wait_for(|problems| !problems.is_empty());
    let problems = tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    let place = problems[0].place.as_ref().unwrap();
    assert_eq!(Path::new(&*place.file), relative.join("a.yaml"));
    assert!(start.elapsed() < Duration::from_secs(1), "by an event, not by a listing");
}

#[tokio::test]
async fn a_problem_appears_and_goes_when_it_is_mended() {
    let mut folder = follow(|dir| fs::write(dir.join("a.yaml"), backend("a", 1)).unwrap());
    folder.until_port("a", 1).await;
    fs::write(folder.path("a.yaml"), "a: [\n").unwrap();
    let told = folder.until_problems(|problems| !problems.is_empty()).await;
    assert!(told[0].contains("a.yaml:1:4: isn't YAML"), "{told:?}");
    fs::write(folder.path("a.yaml"), backend("a", 2)).unwrap();
    folder.until_problems(<[Problem]>::is_empty).await;
    folder.until_port("a", 2).await;
}

/// The figure itself is the acceptance run's; here only that no timer lies between the write and the view.
#[tokio::test]
async fn an_edit_is_seen_without_a_timer() {
    let mut folder = follow(|dir| fs::write(dir.join("a.yaml"), backend("a", 1)).unwrap());
    folder.until_port("a", 1).await;
    let mut times = Vec::new();
    for port in 2..22 {
        let start = Instant::now();
        fs::write(folder.path("a.yaml"), backend("a", port)).unwrap();
        folder.until_port("a", port).await;
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(50), "{times:?}");
}
