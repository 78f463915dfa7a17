use std::error::Error;
use std::path::PathBuf;

use crate::scope::Scope;

/// Why no client could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "no Kubernetes API server is configured: set KUBECONFIG or write ~/.kube/config, \
         or run in a pod with a service account token ({0})"
    )]
    NotConfigured(String),
    #[error("the kubeconfig {} can't be used: {reason}", path.display())]
    Kubeconfig { path: PathBuf, reason: String },
    #[error("no connection to the configured Kubernetes API server can be made: {0}")]
    Unusable(String),
}

/// Why the API server didn't do what it was asked, with the next step. None of these means that there are no objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error(
        "the API server doesn't know {0}: apply the definitions with `komainu crds | kubectl apply -f -`"
    )]
    CrdMissing(String),
    #[error(
        "the API server forbids to {verb} {resource} {place}: allow it in a {role} that is bound to the user of this \
         process: apiGroups: [{group:?}], resources: [{resource:?}], verbs: [{verbs}]"
    )]
    Forbidden {
        verb: &'static str,
        group: String,
        resource: String,
        place: String,
        role: &'static str,
        verbs: &'static str,
    },
    #[error(
        "the API server doesn't accept the credentials: check the user of the kubeconfig, or the service account token"
    )]
    Unauthorized,
    #[error("the API server can't be reached: {0}")]
    Unreachable(String),
    #[error("the API server doesn't answer within {0} s")]
    Slow(u64),
    #[error("the API server answers {code}: {message}")]
    Refused { code: u16, message: String },
    #[error("the API server's answer can't be used: {0}")]
    Garbled(String),
}

/// What the API server was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    ListOrWatch,
    ReadEpoch,
    WriteStatus,
}

impl SourceError {
    pub(crate) fn of(error: &kube::Error, asked: Asked, scope: &Scope) -> Self {
        let status = match error {
            kube::Error::Api(status) => status,
            kube::Error::SerdeError(error) => return Self::Garbled(error.to_string()),
            error => return Self::Unreachable(root_cause(error)),
        };
        match status.code {
            401 => Self::Unauthorized,
            403 => Self::forbidden(asked, scope),
            404 if asked == Asked::ListOrWatch => Self::CrdMissing(scope.resource()),
            code => Self::Refused { code, message: status.message.clone() },
        }
    }

    fn forbidden(asked: Asked, scope: &Scope) -> Self {
        let (place, role) = match scope.namespace() {
            Some(namespace) => (format!("in the namespace {namespace}"), "Role"),
            None => ("in all namespaces".to_owned(), "ClusterRole"),
        };
        match asked {
            Asked::ListOrWatch => Self::Forbidden {
                verb: "list and watch",
                group: scope.group(),
                resource: scope.plural(),
                place,
                role,
                verbs: "\"list\", \"watch\"",
            },
            Asked::WriteStatus => Self::Forbidden {
                verb: "patch",
                group: scope.group(),
                resource: format!("{}/status", scope.plural()),
                place,
                role,
                verbs: "\"patch\"",
            },
            Asked::ReadEpoch => Self::Forbidden {
                verb: "get",
                group: String::new(),
                resource: "namespaces".to_owned(),
                place: "named kube-system, whose uid names the cluster".to_owned(),
                role: "ClusterRole",
                verbs: "\"get\"",
            },
        }
    }
}

/// The innermost error says most: the outer ones only that a request failed.
pub(crate) fn root_cause(error: &kube::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use dataplane_snapshot::Kind;
    use kube::core::Status;

    use super::*;

    fn answered(code: u16, asked: Asked, namespace: Option<&str>) -> String {
        let status = Status::failure("no", "Because").with_code(code);
        let scope = Scope::new(Kind::Route, namespace.map(str::to_owned));
        SourceError::of(&kube::Error::Api(Box::new(status)), asked, &scope).to_string()
    }

    #[test]
    fn names_the_next_step() {
        let missing = answered(404, Asked::ListOrWatch, None);
        assert!(missing.contains("routes.komainu.dev") && missing.contains("komainu crds"), "{missing}");
        let forbidden = answered(403, Asked::ListOrWatch, None);
        assert!(
            forbidden.contains("ClusterRole") && forbidden.contains(r#"verbs: ["list", "watch"]"#),
            "{forbidden}"
        );
        let forbidden = answered(403, Asked::WriteStatus, Some("team-a"));
        assert!(
            forbidden.contains("in a Role") && forbidden.contains(r#"resources: ["routes/status"]"#),
            "{forbidden}"
        );
        let forbidden = answered(403, Asked::ReadEpoch, Some("team-a"));
        assert!(forbidden.contains("kube-system") && forbidden.contains(r#"apiGroups: [""]"#), "{forbidden}");
    }

    #[test]
    fn a_missing_object_is_no_missing_definition() {
        assert_eq!(answered(404, Asked::WriteStatus, None), "the API server answers 404: no");
    }
}
