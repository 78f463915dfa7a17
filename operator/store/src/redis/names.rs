use operator_core::Owner;

/// The keys of one store. The braces keep them on one node of a Redis Cluster, as a script needs.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{{{prefix}}}") }
    }

    /// A hash: schema, epoch, revision, and per owner what was seen and until when deletions are forgotten.
    pub(super) fn head(&self) -> String {
        format!("{}:head", self.prefix)
    }

    /// A hash from key to record.
    pub(super) fn objects(&self, owner: Owner) -> String {
        format!("{}:objects:{owner}", self.prefix)
    }

    /// What the scripts work on: the head, the objects, and two sorted sets of keys by the revision of the last change, one
    /// of those that exist, one of those that are deleted.
    pub(super) fn all(&self, owner: Owner) -> [String; 4] {
        let set = |what: &str| format!("{}:{what}:{owner}", self.prefix);
        [self.head(), self.objects(owner), set("written"), set("deleted")]
    }

    /// A hash: who does a job.
    pub(super) fn lease(&self, job: &str) -> String {
        format!("{}:lease:{job}", self.prefix)
    }

    /// A set: the routes of which something was counted in a window.
    pub(super) fn used(&self, window: &str) -> String {
        format!("{}:used:{window}", self.prefix)
    }

    /// A hash from consumer and worker to what was counted. No window has a colon.
    pub(super) fn usage(&self, window: &str, route: &str) -> String {
        format!("{}:usage:{window}:{route}", self.prefix)
    }

    /// Where the revision after each write is told.
    pub(super) fn channel(&self) -> String {
        format!("{}:revisions", self.prefix)
    }

    pub(super) fn seen(owner: Owner) -> String {
        format!("seen:{owner}")
    }

    pub(super) fn fence(owner: Owner) -> String {
        format!("fence:{owner}")
    }

    pub(super) fn forgotten(owner: Owner) -> String {
        format!("forgotten:{owner}")
    }
}
