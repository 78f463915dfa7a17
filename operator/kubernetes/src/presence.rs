//! Whether the API server answers. Watches don't tell: one whose connection died silently looks like one that has no news.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::follow::CLUSTER_NAMESPACE;

/// Between two questions, and how long one may take.
const PERIOD: Duration = Duration::from_secs(5);
/// From this status code on an answer is as good as none.
const SERVER_ERROR: u16 = 500;

/// Asks it for ever, and tells when it went away or came back.
pub(crate) async fn follow(client: Client, is_there: watch::Sender<bool>) {
    let namespaces: Api<Namespace> = Api::all(client);
    loop {
        let answer = timeout(PERIOD, namespaces.get_metadata(CLUSTER_NAMESPACE)).await;
        let answers = match answer {
            Ok(Ok(_)) => true,
            // Whoever refuses is there.
            Ok(Err(kube::Error::Api(status))) => status.code < SERVER_ERROR,
            Ok(Err(_)) | Err(_) => false,
        };
        is_there.send_if_modified(|before| std::mem::replace(before, answers) != answers);
        sleep(PERIOD).await;
    }
}
