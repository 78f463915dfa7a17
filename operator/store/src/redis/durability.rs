use std::collections::BTreeMap;

use super::connection::Connection;

/// Says in the log what the server's settings take away from what the store promises.
pub(super) async fn warn_if_weak(connection: &Connection) {
    let ask = async |redis: &mut redis::aio::MultiplexedConnection| {
        // One pattern each: Redis 6 takes no more.
        let mut settings = BTreeMap::new();
        for pattern in ["append*", "maxmemory*"] {
            let mut ask = redis::cmd("CONFIG");
            settings
                .extend(ask.arg("GET").arg(pattern).query_async::<BTreeMap<String, String>>(redis).await?);
        }
        Ok(settings)
    };
    let place = connection.place();
    match connection.with(ask).await {
        Ok(settings) => {
            for weakness in weaknesses(&settings) {
                tracing::warn!("the state store {place} promises less: {weakness}");
            }
        }
        // Servers of a provider often don't tell.
        Err(error) => {
            tracing::info!(%error, "whether the state store keeps what it acknowledges can't be seen")
        }
    }
}

fn weaknesses(settings: &BTreeMap<String, String>) -> Vec<&'static str> {
    let is = |name: &str, value: &str| settings.get(name).is_none_or(|found| found == value);
    let mut found = Vec::new();
    if !is("appendonly", "yes") {
        found.push("a crash of the server loses writes that were acknowledged; set `appendonly yes` and `appendfsync always`");
    } else if !is("appendfsync", "always") {
        found.push("a crash of its machine loses writes of up to a second that were acknowledged; set `appendfsync always`");
    }
    if !is("maxmemory", "0") && !is("maxmemory-policy", "noeviction") {
        found.push(
            "when its memory is full it drops keys, and objects with them; set `maxmemory-policy noeviction`",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_is_named() {
        let of = |pairs: &[(&str, &str)]| {
            let settings =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            weaknesses(&settings).len()
        };
        let strong = [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory", "0")];
        assert_eq!(of(&strong), 0);
        assert_eq!(of(&[("appendonly", "no"), ("appendfsync", "everysec")]), 1);
        assert_eq!(of(&[("appendonly", "yes"), ("appendfsync", "everysec")]), 1);
        assert_eq!(of(&[("maxmemory", "100"), ("maxmemory-policy", "allkeys-lru")]), 1);
        assert_eq!(of(&[("maxmemory", "100"), ("maxmemory-policy", "noeviction")]), 0);
        assert_eq!(of(&[("maxmemory", "0"), ("maxmemory-policy", "allkeys-lru")]), 0);
    }
}
