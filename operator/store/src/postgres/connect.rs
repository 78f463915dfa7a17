use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Executor as _, Row as _};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::statements;
use crate::StoreError;
use crate::shared::{SharedSettings, StoreTls, place};

/// One that writes, and a few that read; besides the one that listens.
const CONNECTIONS: u32 = 4;
/// How often the one that listens is asked whether it still is one, and how long it may take to connect and to answer.
const PING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));
/// How long a call waits for a connection.
pub(super) const ACQUIRE: Duration = Duration::from_secs(3);
/// How often it is looked whether the password was renewed.
const REFRESH: Duration = Duration::from_secs(2);
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Connections that are made when they are needed.
pub(super) fn pool(settings: &SharedSettings) -> Result<PgPool, StoreError> {
    pool_of(settings, CONNECTIONS)
}

fn pool_of(settings: &SharedSettings, connections: u32) -> Result<PgPool, StoreError> {
    let schema = settings.prefix.clone();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .after_connect(move |connection, _| {
            let schema = schema.clone();
            Box::pin(async move {
                connection.execute(sqlx::query(statements::PREPARE).bind(schema)).await.map(drop)
            })
        })
        .connect_lazy_with(options(settings)?);
    Ok(pool)
}

fn options(settings: &SharedSettings) -> Result<PgConnectOptions, StoreError> {
    let wrong = |error: sqlx::Error| {
        StoreError::Misconfigured(format!("setting store.url: {}: {error}", place(&settings.url)))
    };
    let mut options = PgConnectOptions::from_str(&settings.url).map_err(wrong)?.application_name("komainu");
    if let Some(name) = &settings.username {
        options = options.username(name);
    }
    if let Some(password) = settings.password()? {
        options = options.password(&password);
    }
    let StoreTls { authorities, certificate, key } = &settings.tls;
    // Who names an authority or has a certificate wants TLS with the right server. The other modes don't look at it.
    if (authorities.is_some() || certificate.is_some())
        && matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow | PgSslMode::Require)
    {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    // They are read for each connection. What can't be read is said already here.
    settings.tls.read_authorities()?;
    settings.tls.read_certificate()?;
    if let Some(authorities) = authorities {
        options = options.ssl_root_cert(authorities);
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

/// Lets the connections of a pool be made with the password that is in the file then, for ever.
pub(super) async fn refresh(settings: SharedSettings, pool: PgPool) {
    if settings.password_file.is_none() {
        return;
    }
    let made_with = pool.connect_options();
    let mut last = settings.password();
    loop {
        sleep(REFRESH).await;
        let settings = settings.clone();
        let Ok(now) = spawn_blocking(move || settings.password()).await else { return };
        if now == last {
            continue;
        }
        match &now {
            Ok(Some(password)) => {
                pool.set_connect_options(PgConnectOptions::clone(&made_with).password(password));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "connections to the state store are made as before"),
        }
        last = now;
    }
}

/// Passes on the revisions that are told in `channel`, for ever. What was told while there was no connection is lost, so a
/// new one is a hint, too.
pub(super) async fn follow(settings: SharedSettings, channel: String, hints: watch::Sender<u64>) {
    let mut pause = PAUSE.0;
    loop {
        if let Err(error) = listen(&settings, &channel, &hints, &mut pause).await {
            tracing::debug!(%error, "the state store gives no hints");
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
    // A pool of its own: a connection that became silent keeps its place in it.
    let pool = pool_of(settings, 1)?;
    let connect = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = timeout(PING.1, connect).await??;
    *pause = PAUSE.0;
    hints.send_modify(|_| {});
    loop {
        match timeout(PING.0, listener.try_recv()).await {
            Ok(Ok(Some(told))) => {
                let revision = told.payload().parse().unwrap_or_default();
                hints.send_modify(|hint| *hint = u64::max(revision, *hint));
            }
            Ok(Ok(None)) => hints.send_modify(|_| {}),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                timeout(PING.1, listener.execute("SELECT 1")).await??;
            }
        }
    }
}

/// Says in the log what the server's settings take away from what the store promises.
pub(super) async fn warn_if_weak(pool: &PgPool, place: &str) {
    let ask = "SELECT current_setting('fsync') = 'off', current_setting('full_page_writes') = 'off',
        pg_is_in_recovery()";
    match pool.fetch_one(ask).await {
        Ok(row) => {
            let is = |at: usize| row.try_get::<bool, _>(at).unwrap_or(false);
            if is(0) || is(1) {
                tracing::warn!(
                    "the state store {place} promises less: a crash of its machine may damage it; set `fsync on` and `full_page_writes on`"
                );
            }
            if is(2) {
                tracing::warn!(
                    "the state store {place} is a standby, which takes no writes; give the primary"
                );
            }
        }
        Err(error) => {
            tracing::info!(%error, "whether the state store keeps what it acknowledges can't be seen")
        }
    }
}
