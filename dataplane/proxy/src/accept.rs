use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::connection;
use crate::listening::{Accepting, Listening};
use crate::peer::Peer;
use crate::thread::{Control, Thread};
use crate::tls;

/// How long accepting rests when the process has no free file descriptor; the kernel queues meanwhile.
const REST: Duration = Duration::from_millis(50);
/// Failures that are closer together belong to one shortage, which is logged once: between them a connection may well end, and
/// its descriptor serves the next one.
const SHORTAGE_GAP: Duration = Duration::from_secs(10);

/// Accepts on `socket` until the listener closes. What the kernel has queued by then is still accepted.
pub(crate) fn spawn(thread: Rc<Thread>, accepting: Rc<Accepting>, socket: std::net::TcpListener) {
    tokio::task::spawn_local(async move {
        match TcpListener::from_std(socket) {
            Ok(socket) => run(thread, accepting, socket).await,
            Err(error) => {
                tracing::error!(listener = %accepting.listening().listener.name, %error, "can't accept connections");
            }
        }
    });
}

async fn run(thread: Rc<Thread>, accepting: Rc<Accepting>, socket: TcpListener) {
    let mut shortage = Shortage::default();
    while !accepting.listening().is_closing() {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = accepting.closed.notified() => break,
        };
        let listening = accepting.listening();
        if let Err(error) = handle(&thread, &listening, accepted) {
            if shortage.begins(Instant::now()) {
                tracing::warn!(listener = %listening.listener.name, %error, "can't accept connections, they wait");
            }
            thread.counters.accept_pauses.add(1);
            tokio::time::sleep(REST).await;
        }
    }
    empty(&thread, &accepting.listening(), socket);
}

/// Connections that the kernel completed must not be lost: takes all that are there, then closes. Asks the kernel itself,
/// since the runtime only knows of those that it was told about.
fn empty(thread: &Rc<Thread>, listening: &Rc<Listening>, socket: TcpListener) {
    let Ok(socket) = socket.into_std() else { return };
    loop {
        let accepted = socket.accept().and_then(|(stream, address)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, address))
        });
        match accepted {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            accepted => {
                if let Err(error) = handle(thread, listening, accepted) {
                    tracing::warn!(listener = %listening.listener.name, %error, "can't accept the last connections");
                    return;
                }
            }
        }
    }
}

/// Fails when the process is out of a resource: wait a little.
fn handle(
    thread: &Rc<Thread>,
    listening: &Rc<Listening>,
    accepted: io::Result<(TcpStream, SocketAddr)>,
) -> io::Result<()> {
    match accepted {
        Ok((stream, address)) => {
            start(thread, listening, stream, address);
            Ok(())
        }
        // The client gave up while it was queued.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// When accepting last failed.
#[derive(Default)]
struct Shortage(Option<Instant>);

impl Shortage {
    /// Accepting fails at `now`: whether that is a new shortage.
    fn begins(&mut self, now: Instant) -> bool {
        let last = self.0.replace(now);
        last.is_none_or(|last| now.saturating_duration_since(last) > SHORTAGE_GAP)
    }
}

fn start(thread: &Rc<Thread>, listening: &Rc<Listening>, stream: TcpStream, address: SocketAddr) {
    thread.counters.accepted.add(1);
    let limit = (thread.settings.limits.connections / thread.settings.threads).max(1) as u64;
    if thread.counters.active.get() >= limit {
        thread.counters.refused.add(1);
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the client has gone");
        return;
    }
    let id = thread.next_id();
    let control = Rc::new(Control::default());
    let open = Open::new(thread.clone(), id);
    let peer = Rc::new(Peer::new(address, &thread.settings.trusted_proxies));
    let connection =
        connection::Connection::new(stream, peer, thread.clone(), listening.clone(), control.clone());
    let secured = listening.listener.tls.is_some();
    let task = if secured {
        tokio::task::spawn_local(async move {
            let _open = open;
            tls::secure(connection).await;
        })
    } else {
        tokio::task::spawn_local(async move {
            let _open = open;
            connection.serve().await;
        })
    };
    thread.register(control, id, task.abort_handle());
}

/// Counts a connection while it is open, also when its task panics: the runtime catches that and goes on.
struct Open {
    thread: Rc<Thread>,
    id: u64,
}

impl Open {
    fn new(thread: Rc<Thread>, id: u64) -> Self {
        thread.counters.active.add(1);
        Self { thread, id }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.thread.counters.active.sub(1);
        if std::thread::panicking() {
            self.thread.counters.panics.add(1);
        }
        self.thread.forget(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_close_together_are_one_shortage() {
        let mut shortage = Shortage::default();
        let mut now = Instant::now();
        assert!(shortage.begins(now));
        for _ in 0..1_000 {
            now += REST;
            assert!(!shortage.begins(now));
        }
        now += SHORTAGE_GAP;
        assert!(!shortage.begins(now));
        now += SHORTAGE_GAP + REST;
        assert!(shortage.begins(now));
    }
}
