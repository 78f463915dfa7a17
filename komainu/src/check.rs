use std::io::Write as _;
use std::process::ExitCode;

use crate::args::CheckArguments;

/// Validates files and folders; exits with 1 if anything is wrong.
pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let report = operator_files::check(&arguments.paths, None);
    write!(std::io::stdout(), "{report}")?;
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
