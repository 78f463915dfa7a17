use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::{Log, LogFormat};

/// Starts logging to standard error: text on a terminal, one JSON object a line otherwise, so that a person and a log
/// collector each get what they can read.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    subscriber(log, std::io::stderr, std::io::stderr().is_terminal())?.init();
    Ok(())
}

fn subscriber(
    log: &Log,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    terminal: bool,
) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>> {
    let filter = EnvFilter::try_new(&log.filter).with_context(|| {
        format!("setting log.filter: {:?} is not a filter; write for instance info", log.filter)
    })?;
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal);
    Ok(if json {
        Box::new(builder.json().flatten_event(true).with_current_span(false).finish())
    } else {
        Box::new(builder.with_target(false).finish())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of one line of each of two levels.
    fn written(filter: &str, format: LogFormat, terminal: bool) -> String {
        let written = Written::default();
        let writer = written.clone();
        let log = Log { filter: filter.to_owned(), format };
        let subscriber = subscriber(&log, move || writer.clone(), terminal).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(port = 1, "hears");
            tracing::warn!("worries");
        });
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_filter_says_what_is_written() {
        let has = |filter: &str| {
            let text = written(filter, LogFormat::Text, false);
            (text.contains("hears"), text.contains("worries"))
        };
        assert_eq!(has("info"), (true, true));
        assert_eq!(has("warn"), (false, true));
        assert_eq!(has("info,komainu::logs=error"), (false, false), "by target");
    }

    #[test]
    fn the_format_says_how() {
        let is_json = |format, terminal| {
            let text = written("info", format, terminal);
            let mut lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
            lines.all(|line| line.is_ok_and(|line| line["level"].is_string()))
        };
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Text, false));
        assert!(is_json(LogFormat::Auto, false), "for a collector");
        assert!(!is_json(LogFormat::Auto, true), "for a person");
    }
}
