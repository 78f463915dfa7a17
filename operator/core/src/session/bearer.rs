/// Who a token of Kubernetes speaks for: a process of the gateway, in a pod as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub role: Role,
    /// The pod's name; of workers, that is what is counted. Empty: a process elsewhere, for which the token was made.
    pub pod: String,
    /// The node that the pod is on; empty: the token doesn't tell.
    pub node: String,
}

/// Where a node is, by the labels `topology.kubernetes.io/region` and `/zone`; what isn't known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub region: String,
    pub zone: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker,
    /// Another leader, which hands on what workers say.
    Leader,
}
