//! `komainu store`: what a store has, into a file, into another store, and compared.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use operator_core::usage::UsageKey;
use operator_core::{Owner, Spec};
use operator_store::{Content, EmbeddedSettings, EmbeddedStore, StateStore, open_shared, place, view};

use crate::args::{RunArguments, StoreArguments, StoreCommand};
use crate::modes::STORE_FILE;
use crate::settings::{self, Settings};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);
/// How many names of objects are told.
const NAMES: usize = 20;

pub(crate) fn run(arguments: &StoreArguments) -> anyhow::Result<ExitCode> {
    let StoreArguments { config, set, command } = arguments;
    let arguments = RunArguments { config: config.clone(), set: set.clone(), ..RunArguments::default() };
    let settings = settings::load(&arguments, crate::variables())?.settings;
    crate::logs::start(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let begin = Instant::now();
        let makes = matches!(command, StoreCommand::Import { .. });
        let (store, name) = open(&settings, makes).await?;
        say(&format!("{name}: opened in {}", seconds(begin)))?;
        match command {
            StoreCommand::Export { file } => export(&*store, file).await,
            StoreCommand::Import { file, replace } => import(&*store, file, *replace).await,
            StoreCommand::Check { file } => check(&*store, file.as_deref()).await,
        }
    })
}

/// The store of the settings, and its name. But for an import it must be there, and have had something in it.
async fn open(settings: &Settings, makes: bool) -> anyhow::Result<(Arc<dyn StateStore>, String)> {
    if let Some(shared) = settings.store.shared() {
        let name = place(&shared.url);
        let store = open_shared(&shared).await?;
        let is_used = store.list(Owner::Store).await?.revision > 0;
        anyhow::ensure!(
            makes || is_used,
            "{name}: nothing was ever written to the store {:?}: are store.url and store.prefix right?",
            shared.prefix
        );
        return Ok((store, name));
    }
    let path = settings.data_directory.join(STORE_FILE);
    anyhow::ensure!(makes || path.exists(), "there is no store {}: is dataDirectory right?", path.display());
    std::fs::create_dir_all(&settings.data_directory).with_context(|| {
        format!("setting dataDirectory: can't create {}", settings.data_directory.display())
    })?;
    let store = EmbeddedStore::open(&path, EmbeddedSettings::default())?;
    Ok((Arc::new(store), path.display().to_string()))
}

async fn export(store: &dyn StateStore, path: &Path) -> anyhow::Result<ExitCode> {
    let content = read(store).await?;
    let begin = Instant::now();
    write(&content, path).with_context(|| path.display().to_string())?;
    say(&format!("{} written to {} in {}", size(&content), path.display(), seconds(begin)))?;
    Ok(ExitCode::SUCCESS)
}

/// The file appears whole under its name, so that an export that fails leaves the last good one.
fn write(content: &Content, path: &Path) -> anyhow::Result<()> {
    // A pipe or a device can't be replaced by a file.
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut out = BufWriter::new(File::create(path)?);
        return Ok(content.export(&mut out, &mut teller("written"))?);
    }
    // A link stays, and leads to the new file.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = temporary(&path);
    let done = write_private(content, &temporary).and_then(|()| Ok(std::fs::rename(&temporary, &path)?));
    if done.is_err() {
        // Why it failed is what counts.
        let _ = std::fs::remove_file(&temporary);
    }
    done
}

/// Beside the file, as only there it can be renamed, and another one each time.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", uuid::Uuid::new_v4().simple()));
    name.into()
}

/// Only for its owner: specs may hold secrets, and there are addresses of clients in it.
fn write_private(content: &Content, path: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(file);
    content.export(&mut out, &mut teller("written"))?;
    Ok(out.get_ref().sync_all()?)
}

async fn import(store: &dyn StateStore, path: &Path, replace: bool) -> anyhow::Result<ExitCode> {
    let content = from_file(path)?;
    let begin = Instant::now();
    content.write(store, replace, &mut teller("imported")).await?;
    say(&format!("{} imported in {}", size(&content), seconds(begin)))?;
    compare(&content, &read(store).await?)
}

async fn check(store: &dyn StateStore, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let found = read(store).await?;
    let mut code = ExitCode::SUCCESS;
    for owner in [Owner::Store, Owner::Kubernetes] {
        let Some(view) = view(store, owner).await? else { continue };
        let invalid = view.objects.iter().filter_map(|(key, observed)| match &observed.spec {
            Spec::Invalid(problems) => Some((key, problems)),
            _ => None,
        });
        for (key, problems) in invalid {
            code = ExitCode::FAILURE;
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            say(&format!("{key} of {owner}: {}", problems.join("; ")))?;
        }
    }
    match path {
        Some(path) if compare(&from_file(path)?, &found)? == ExitCode::FAILURE => Ok(ExitCode::FAILURE),
        _ => Ok(code),
    }
}

fn from_file(path: &Path) -> anyhow::Result<Content> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut content = Content::import(BufReader::new(file)).with_context(|| path.display().to_string())?;
    content.leave_out_over(since_1970());
    Ok(content)
}

async fn read(store: &dyn StateStore) -> anyhow::Result<Content> {
    let begin = Instant::now();
    let content = Content::read(store, since_1970()).await?;
    say(&format!("{} read in {}", size(&content), seconds(begin)))?;
    Ok(content)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn size(content: &Content) -> String {
    let objects = format!("{} objects", content.objects.len());
    if content.counted.is_empty() {
        return objects;
    }
    format!("{objects} and {} counts of workers", content.counted.len())
}

/// Says in what the store differs from the file.
fn compare(file: &Content, store: &Content) -> anyhow::Result<ExitCode> {
    let differences = store.differences(file);
    for (owner, key) in differences.iter().take(NAMES) {
        say(&format!("{key} of {owner} isn't the same in the store as in the file"))?;
    }
    let behind: Vec<_> = store.counted.behind(&file.counted).collect();
    for UsageKey { window, route, consumer } in behind.iter().take(NAMES) {
        say(&format!("the store has less counted in {window} of {route} {consumer} than the file"))?;
    }
    if differences.is_empty() && behind.is_empty() {
        say("the store has what the file has")?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{} objects differ, {} counts are behind", differences.len(), behind.len()))?;
    Ok(ExitCode::FAILURE)
}

/// Tells now and then how far it is.
fn teller(done: &'static str) -> impl FnMut(usize, usize) {
    let mut last = Instant::now();
    move |count, total| {
        if last.elapsed() >= TELL {
            last = Instant::now();
            // Who doesn't listen isn't told.
            let _ = writeln!(std::io::stderr(), "{count} of {total} lines {done}");
        }
    }
}

fn seconds(begin: Instant) -> String {
    format!("{:.1} s", begin.elapsed().as_secs_f64())
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn an_export_is_private_and_takes_the_place_of_the_last_one_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("all.jsonl"), folder.path().join("link"));
        std::fs::write(&path, "the last one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&path, &link).unwrap();
        write(&Content::default(), &link).unwrap();
        assert_eq!(from_file(&path).unwrap(), Content::default());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(link.is_symlink());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn an_export_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(&Content::default(), folder.path()).is_err());
        assert!(write(&Content::default(), &folder.path().join("missing/all.jsonl")).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        write(&Content::default(), Path::new("/dev/null")).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
