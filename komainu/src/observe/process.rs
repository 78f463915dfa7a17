//! What this process takes of its machine, as Linux tells it.

use std::time::Duration;

/// Clock ticks of `/proc/self/stat` per second: USER_HZ, which is 100 on every architecture that we build for (proc(5)).
const TICKS: u64 = 100;

/// CPU time of all threads since the start, user and system.
pub(crate) fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&text).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS)).unwrap_or_default()
}

/// Resident bytes.
pub(crate) fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    resident(&text).unwrap_or_default()
}

/// Fields 14 and 15, `utime` and `stime`. The second field is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// `VmRSS:`, blanks, `1234 kB`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!((ticks(""), resident("")), (None, None));
    }

    #[test]
    fn this_process_takes_something() {
        assert!(memory() > 1 << 20);
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
