//! `komainu leader new-epoch`: what a restored store has is meant.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use operator_store::EmbeddedStore;

use crate::args::{EpochArguments, RunArguments};
use crate::modes::STORE_FILE;
use crate::settings;

pub(crate) fn renew(arguments: &EpochArguments) -> anyhow::Result<ExitCode> {
    let EpochArguments { config, set } = arguments;
    let arguments = RunArguments { config: config.clone(), set: set.clone(), ..RunArguments::default() };
    let settings = settings::load(&arguments, crate::variables())?.settings;
    let path = settings.data_directory.join(STORE_FILE);
    let renewed = EmbeddedStore::renew(&path, SystemTime::now())?;
    let (before, after) = (renewed.before.id, renewed.after.id);
    writeln!(std::io::stdout(), "{}: epoch {after} follows {before}", path.display())?;
    Ok(ExitCode::SUCCESS)
}
