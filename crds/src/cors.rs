use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Cross-origin resource sharing, as the Fetch standard has it. `*` in a list stands for all.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.allowOrigins) && size(self.allowOrigins) > 0")
        .message("cors needs allowOrigins, for instance https://app.example.com").reason(Reason::FieldValueRequired),
    validation = Rule::new("!has(self.allowCredentials) || !self.allowCredentials || !('*' in self.allowOrigins)")
        .message("with allowCredentials every site could act for a user: name the origins instead of *"),
    validation = Rule::new(
        "!has(self.allowCredentials) || !self.allowCredentials || (!(has(self.allowMethods) && '*' in self.allowMethods) \
         && !(has(self.allowHeaders) && '*' in self.allowHeaders) && !(has(self.exposeHeaders) && '*' in self.exposeHeaders))"
    )
    .message("with allowCredentials browsers take * for a name: list the methods and headers instead"),
    validation = Rule::new("!has(self.allowOrigins) || size(self.allowOrigins) < 2 || !('*' in self.allowOrigins)")
        .message("* stands for all origins: leave the others out")
)]
pub struct Cors {
    /// Origins whose scripts may use the responses: `https://app.example.com`, `https://*.example.com` (one or more labels),
    /// or `*` alone for all. 1 to 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::origins")]
    pub allow_origins: Vec<String>,
    /// Methods that they may use besides GET, HEAD and POST. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::cors_names")]
    pub allow_methods: Vec<String>,
    /// Headers that they may send besides those that are always allowed. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::cors_names")]
    pub allow_headers: Vec<String>,
    /// Headers of responses that they may read besides those that are always allowed. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::bounds::cors_names")]
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer to a preflight request, in whole seconds. If absent: its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Whether they may use the user's cookies and certificates. Default: false.
    #[serde(default)]
    pub allow_credentials: bool,
}
