use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection::client;
use crate::shared::SharedSettings;

/// How often the connection is asked whether it still is one, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(2));
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Passes on the revisions that are told in `channel`, for ever. What was told while there was no connection is lost, so a
/// new one is a hint, too.
pub(super) async fn follow(settings: SharedSettings, channel: String, hints: watch::Sender<u64>) {
    let mut pause = PAUSE.0;
    loop {
        match listen(&settings, &channel, &hints, &mut pause).await {
            Ok(()) => tracing::debug!("the connection for hints of the state store has ended"),
            Err(error) => tracing::debug!(%error, "the state store gives no hints"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn listen(
    settings: &SharedSettings,
    channel: &str,
    hints: &watch::Sender<u64>,
    pause: &mut Duration,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = client(settings)?;
    let connect = async {
        let (mut sink, messages) = client.get_async_pubsub().await?.split();
        sink.subscribe(channel).await?;
        redis::RedisResult::Ok((sink, messages))
    };
    // A server that takes the connection and says nothing would be waited for without end.
    let Ok(connected) = timeout(CONNECT, connect).await else { return Ok(()) };
    let (mut sink, mut messages) = connected?;
    *pause = PAUSE.0;
    hints.send_modify(|_| {});
    loop {
        match timeout(PING.0, messages.next()).await {
            Ok(Some(message)) => {
                let revision = message.get_payload::<u64>().unwrap_or_default();
                hints.send_modify(|hint| *hint = revision.max(*hint));
            }
            Ok(None) => return Ok(()),
            Err(_) => match timeout(PING.1, sink.ping::<redis::Value>()).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Ok(()),
            },
        }
    }
}
