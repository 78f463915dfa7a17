use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Runs a program until it ends or its own input does, which happens when the harness drops it and also when the test process
/// is killed: no server outlives the test that it was started for.
const UNTIL_INPUT_ENDS: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & program=$!
{ read -r _ <&3; kill -9 "$program"; } 2>/dev/null & reader=$!
wait "$program"
kill "$reader" 2>/dev/null
"#;

/// A server that is killed when it is dropped.
pub(crate) struct Process {
    shell: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes into the file `log`.
    pub(crate) fn start(program: PathBuf, arguments: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let output = File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
        let shell = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS, "sh"])
            .arg(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        Ok(Self { shell, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// All that it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
