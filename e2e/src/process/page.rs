use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::free_port;
use super::program::binary;

/// How long the commands of a section may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page of the documentation whose fenced blocks are run as a reader would: a block of `sh` is commands, any other that
/// begins with `# NAME` is a file. A comment behind `curl` is what its answer must have in it.
pub struct Page {
    blocks: Vec<Block>,
}

struct Block {
    /// The nearest heading above it.
    heading: String,
    language: String,
    text: String,
}

impl Page {
    /// Reads `name` in the folder `docs`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut blocks, mut heading, mut open) = (Vec::new(), String::new(), None::<Block>);
        for line in page.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(Block {
                        heading: heading.clone(),
                        language: language.into(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text.extend([line, "\n"]),
                (None, None) if line.starts_with('#') => {
                    line.trim_start_matches(['#', ' ']).clone_into(&mut heading)
                }
                (None, None) => {}
            }
        }
        Self { blocks }
    }

    /// The page with another text in the place of one that stands on it, an address for instance.
    #[must_use]
    pub fn with(mut self, text: &str, other: &str) -> Self {
        for block in &mut self.blocks {
            block.text = block.text.replace(text, other);
        }
        self
    }

    /// The headings with commands below them.
    pub fn headings(&self) -> Vec<&str> {
        self.blocks.iter().filter(|block| block.language == "sh").map(|block| &*block.heading).collect()
    }

    /// Runs the commands below `headings`, in a folder and on ports of their own, and ends what they started.
    pub fn run(&self, headings: &[&str]) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut script, mut ports) = (String::from("set -e\n"), BTreeMap::new());
        for block in self.blocks.iter().filter(|block| headings.contains(&&*block.heading)) {
            let text = with_own_ports(&block.text, &mut ports);
            if block.language == "sh" {
                script.extend(text.replace("\\\n", "").lines().map(|line| checked(line) + "\n"));
            } else if let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("# ")) {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of the page");
                std::fs::write(path, &text).expect("a file of the page");
            }
        }
        let log = folder.path().join("log");
        assert!(run_group(&script, folder.path(), &log), "{headings:?}:\n{script}\n{}", read(&log));
    }
}

/// Each four-digit number from 8000 on stands for a port.
fn with_own_ports(text: &str, ports: &mut BTreeMap<String, String>) -> String {
    let mut own = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let length =
            rest[start..].find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len() - start);
        let (before, number) = (&rest[..start], &rest[start..start + length]);
        own.push_str(before);
        let is_port = length == 4 && number >= "8000" && before.ends_with([':', '=', ' ', '/']);
        own.push_str(if is_port {
            ports.entry(number.to_owned()).or_insert_with(|| free_port().to_string())
        } else {
            number
        });
        rest = &rest[start + length..];
    }
    own + rest
}

/// What a comment says of an answer, as a check.
fn checked(line: &str) -> String {
    match line.split_once(" # ") {
        Some((command, expected)) => format!("{command} | tee -a answers | grep -F '{}'", expected.trim()),
        None => line.to_owned(),
    }
}

fn run_group(script: &str, folder: &Path, log: &Path) -> bool {
    use std::os::unix::process::CommandExt as _;
    let programs = binary().parent().map(PathBuf::from).unwrap_or_default();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let output = std::fs::File::create(log).expect("a log file");
    let mut shell = Command::new("bash")
        .args(["-x", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("the log file once more"))
        .stderr(output)
        .process_group(0)
        .spawn()
        .expect("start bash");
    let start = Instant::now();
    let status = loop {
        match shell.try_wait().expect("wait") {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => break None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let group = format!("-{}", shell.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = shell.wait();
    status.is_some_and(|status| status.success())
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
