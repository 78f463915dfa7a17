use serde_json::Value;

const HEADS: [&str; 14] = [
    "COLOUR", "NAME", "ROLE", "VERSION", "SCOPE", "ROOT", "BEHIND", "SEEN", "UPTIME", "REQ/S", "MEAN/P99",
    "CPU", "MEMORY", "ID",
];

/// One line a member, and below each what is wrong with it.
pub(super) fn of(members: &[Value]) -> String {
    let rows: Vec<[String; 14]> = members.iter().map(row).collect();
    let mut widths = HEADS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(HEADS.to_vec())];
    for (row, member) in rows.iter().zip(members) {
        lines.push(line(row.iter().map(String::as_str).collect()));
        let problems = member.get("problems").and_then(Value::as_array).into_iter().flatten();
        lines.extend(problems.filter_map(Value::as_str).map(|problem| format!("        {problem}")));
    }
    lines.join("\n")
}

fn row(member: &Value) -> [String; 14] {
    let text = |field: &str| member.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    let of =
        |field: &str, show: fn(f64) -> String| number(member.get(field)).map_or_else(|| "-".to_owned(), show);
    let latency = |field: &str| number(member.get("latencyMs").and_then(|latency| latency.get(field)));
    let latencies = match (latency("mean"), latency("p99")) {
        (Some(mean), Some(p99)) => format!("{mean:.1}/{p99:.1} ms"),
        _ => "-".to_owned(),
    };
    let scope = member.get("scope").and_then(Value::as_str).unwrap_or("all").to_owned();
    [
        text("colour"),
        text("name"),
        text("role"),
        text("version"),
        scope,
        text("root").chars().take(8).collect(),
        of("behindForMs", span),
        of("silentForMs", span),
        of("uptimeMs", span),
        of("requestsPerSecond", |rate| format!("{rate:.1}")),
        latencies,
        of("cpuCores", |cores| format!("{:.0} %", cores * 100.0)),
        of("memoryBytes", |bytes| format!("{:.0} MiB", bytes / 1_048_576.0)),
        text("id"),
    ]
}

/// In the largest unit that it fills.
fn span(milliseconds: f64) -> String {
    let seconds = milliseconds / 1_000.0;
    match seconds {
        seconds if seconds >= 86_400.0 => format!("{:.0}d", (seconds / 86_400.0).floor()),
        seconds if seconds >= 3_600.0 => format!("{:.0}h", (seconds / 3_600.0).floor()),
        seconds if seconds >= 60.0 => format!("{:.0}m", (seconds / 60.0).floor()),
        seconds => format!("{:.0}s", seconds.floor()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_a_line_with_its_problems_below() {
        let members = [
            json!({
                "id": "l1", "name": "chief", "role": "leader", "version": "0.1.0", "colour": "green",
                "problems": [], "root": "0123456789abcdef", "behindForMs": 0, "silentForMs": 0,
                "uptimeMs": 7_300_000, "requestsPerSecond": 0.0, "latencyMs": {"mean": 0.0, "p99": 0.0},
                "cpuCores": 0.034, "memoryBytes": 52_428_800,
            }),
            json!({
                "id": "w1", "name": "edge", "role": "worker", "version": "0.0.9", "colour": "red", "scope": "tenants=a",
                "problems": ["not heard of for 12 s"], "behindForMs": 61_000, "silentForMs": 12_900,
            }),
        ];
        let expected = "\
COLOUR  NAME   ROLE    VERSION  SCOPE      ROOT      BEHIND  SEEN  UPTIME  REQ/S  MEAN/P99    CPU  MEMORY  ID
green   chief  leader  0.1.0    all        01234567  0s      0s    2h      0.0    0.0/0.0 ms  3 %  50 MiB  l1
red     edge   worker  0.0.9    tenants=a  -         1m      12s   -       -      -           -    -       w1
        not heard of for 12 s";
        assert_eq!(of(&members), expected);
    }

    #[test]
    fn spans_have_one_unit() {
        let spans = [999.0, 59_999.0, 60_000.0, 3_600_000.0, 200_000_000.0].map(span);
        assert_eq!(spans, ["0s", "59s", "1m", "1h", "2d"]);
    }
}
