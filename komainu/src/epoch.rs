//! `komainu leader new-epoch`: what a restored store has is meant.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use operator_store::{EmbeddedStore, place, renew_shared};

use crate::args::{EpochArguments, RunArguments};
use crate::modes::STORE_FILE;
use crate::settings;

pub(crate) fn renew(arguments: &EpochArguments) -> anyhow::Result<ExitCode> {
    let EpochArguments { config, set } = arguments;
    let arguments = RunArguments { config: config.clone(), set: set.clone(), ..RunArguments::default() };
    let settings = settings::load(&arguments, crate::variables())?.settings;
    let now = SystemTime::now();
    let (place, renewed) = match settings.store.shared() {
        Some(shared) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            (place(&shared.url), runtime.block_on(renew_shared(&shared, now))?)
        }
        None => {
            let path = settings.data_directory.join(STORE_FILE);
            (path.display().to_string(), EmbeddedStore::renew(&path, now)?)
        }
    };
    let (before, after) = (renewed.before.id, renewed.after.id);
    writeln!(std::io::stdout(), "{place}: epoch {after} follows {before}")?;
    Ok(ExitCode::SUCCESS)
}
