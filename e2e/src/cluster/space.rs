use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::fd::AsFd as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network of the cluster: that of the control plane, or of a node, from which Services are reached as from its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    ControlPlane,
    /// 1 or 2.
    Node(u8),
}

impl Space {
    fn path(self) -> PathBuf {
        PathBuf::from("/run/netns").join(match self {
            Self::ControlPlane => "komainu-cp".to_owned(),
            Self::Node(number) => format!("komainu-node{number}"),
        })
    }

    /// Moves this thread there for good: what it opens from now on is in that network.
    pub fn enter(self) -> anyhow::Result<()> {
        let path = self.path();
        let space = File::open(&path).with_context(|| format!("{}: is the cluster up?", path.display()))?;
        Ok(move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Does this there, and comes back.
    pub fn within<T: Send>(self, doing: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let doing = move || self.enter().map(|()| doing());
            scope
                .spawn(doing)
                .join()
                .map_err(|_| anyhow::anyhow!("what was done in another network panicked"))?
        })
    }
}
