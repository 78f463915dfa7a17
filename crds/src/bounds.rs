//! Pieces of schema that several fields share. Every list, map and string of the custom resources has a maximum: the API server
//! can then bound the cost of the validation rules, and an object the memory it takes. Raising a maximum later is compatible,
//! lowering one isn't.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Targets of one backend.
pub const MAX_TARGETS: u32 = 128;
/// Matches of one route.
pub const MAX_MATCHES: u32 = 32;
/// Hostnames, paths, or conditions of one kind in one match.
pub const MAX_PER_MATCH: u32 = 32;
/// Backends of one route.
pub const MAX_ROUTE_BACKENDS: u32 = 16;
/// The most that a weight can be, as in the Gateway API.
pub const MAX_WEIGHT: u32 = 1_000_000;
/// RFC 1035, section 2.3.4, without the final dot.
pub const MAX_HOSTNAME: u32 = 253;
/// RFC 1123, section 2.1: a DNS label.
pub const MAX_LABEL: u32 = 63;
/// A path pattern, a root, or the value of a condition, in characters.
pub const MAX_PATTERN: u32 = 1024;
/// The id of a target, in characters. With [`MAX_TARGETS`] and [`MAX_ROUTE_BACKENDS`] it decides what the API server
/// estimates for the rule that ids are unique: with 128 it refuses the definition.
pub const MAX_TARGET_ID: u32 = 64;
/// In characters.
pub const MAX_DISPLAY_NAME: u32 = 256;
/// In characters.
pub const MAX_DESCRIPTION: u32 = 4096;
pub const MAX_TAGS: u32 = 64;
/// One tag, in characters.
pub const MAX_TAG: u32 = 128;
/// Pairs of metadata.
pub const MAX_METADATA: u32 = 64;
/// In characters.
pub const MAX_METADATA_KEY: u32 = 128;
/// In characters.
pub const MAX_METADATA_VALUE: u32 = 2048;
pub const MAX_CUSTOM_TIMEOUTS: u32 = 32;
/// Status codes in one list of a health check.
pub const MAX_STATUSES: u32 = 64;
/// Regular expressions in one list of a health check.
pub const MAX_REGEX_CHECKS: u32 = 16;
/// The name of a gRPC service, in characters.
pub const MAX_GRPC_SERVICE: u32 = 256;
/// Of a health check, in percent.
pub const MAX_JITTER: u32 = 50;
/// Checks in a row.
pub const MAX_THRESHOLD: u32 = 100;
/// Listeners that one route names.
pub const MAX_LISTENERS: u32 = 32;
/// Methods of one match.
pub const MAX_METHODS: u32 = 16;
/// Conditions of one kind in the predicate of one target.
pub const MAX_PER_PREDICATE: u32 = 8;
/// Networks of clients in the predicate of one target.
pub const MAX_CLIENT_CIDRS: u32 = 16;
/// An address with a prefix length: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128`.
pub const MAX_CIDR: u32 = 49;
/// A pattern for a place where a worker runs, in characters.
pub const MAX_PLACE: u32 = 128;
/// The name of a header, query parameter or cookie, in characters.
pub const MAX_CONDITION_NAME: u32 = 256;
/// Headers that one list of a header modifier changes.
pub const MAX_MODIFIED_HEADERS: u32 = 32;
/// The value of a header, in characters.
pub const MAX_HEADER_VALUE: u32 = 4096;
/// The body of a direct response, in characters.
pub const MAX_DIRECT_BODY: u32 = 32_768;
/// Addresses and networks of one list.
pub const MAX_NETWORKS: u32 = 256;
/// Origins of CORS.
pub const MAX_ORIGINS: u32 = 64;
/// Methods or headers in one list of CORS.
pub const MAX_CORS_NAMES: u32 = 64;
/// Rate limits of one route.
pub const MAX_RATE_LIMITS: u32 = 8;
/// Requests in the period of a rate limit.
pub const MAX_RATE: u32 = 1_000_000_000;
/// Mirrors of one route.
pub const MAX_MIRRORS: u32 = 4;
/// Namespaces that one Backend allows.
pub const MAX_NAMESPACES: u32 = 64;
/// Of a fraction.
pub const MAX_DENOMINATOR: u32 = 1_000_000;
/// Targets that a status names.
pub const MAX_WORST: u32 = 16;
/// A text that a status has from workers, in characters.
pub const MAX_TOLD: u32 = 512;
/// The most that a number in a status can be.
pub const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const HOSTNAME: &str = r"^(\\*\\.)?([a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\\.)*[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?$";
const HEADER_NAME: &str = "^[-!#$%&*+.^_`|~0-9A-Za-z]+$";
const TOKEN: &str = "a name has only letters, digits and !#$%&*+-.^_`|~";

/// Words for people and searches; a word counts once.
pub(crate) fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_TAGS,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": MAX_TAG },
    })
}

/// Free key-value pairs. A structural schema can't bound keys, so a rule does.
pub(crate) fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_METADATA,
        "additionalProperties": { "type": "string", "maxLength": MAX_METADATA_VALUE },
        "x-kubernetes-validations": [{
            "rule": format!("self.all(key, size(key) <= {MAX_METADATA_KEY})"),
            "message": format!("a key of metadata has at most {MAX_METADATA_KEY} characters"),
        }],
    })
}

/// Names of listeners.
pub(crate) fn listeners(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_LISTENERS,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": MAX_LABEL, "pattern": LABEL },
    })
}

/// Names of namespaces, or `*` for all.
pub(crate) fn allowed_namespaces(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_NAMESPACES,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_LABEL,
            "pattern": "^([*]|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$",
        },
    })
}

/// Hostnames of a match: exact, or with `*.` in front.
pub(crate) fn hostnames(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_PER_MATCH,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_HOSTNAME,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{HOSTNAME}')"),
                "message": "a hostname is lower-case, without scheme and port; a wildcard is only allowed as its first \
                            label: api.example.com or *.example.com",
            }],
        },
    })
}

/// Methods of a match. RFC 9110, section 9.1: they are case-sensitive, the registered ones are upper-case.
pub(crate) fn methods(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_METHODS,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[A-Z][A-Z0-9_-]*$')",
                "message": "a method is upper-case, for instance GET or POST",
            }],
        },
    })
}

/// Networks or addresses of clients. Whether one is whole the leader says: a rule for each would cost too much.
pub(crate) fn client_cidrs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_CLIENT_CIDRS,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 2,
            "maxLength": MAX_CIDR,
            "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
        },
    })
}

/// The rule for names of headers (RFC 9110, section 5.6.2, without the apostrophe, which would end CEL's string).
pub(crate) fn header_names() -> kube::core::Rule {
    kube::core::Rule::new(format!("self.all(condition, condition.name.matches('{HEADER_NAME}'))"))
        .message("a header's name has only letters, digits and !#$%&*+-.^_`|~")
}

/// The rule for the name of a header or cookie, as [`header_names`] has it.
pub(crate) fn token() -> kube::core::Rule {
    kube::core::Rule::new(format!("self.matches('{HEADER_NAME}')")).message(TOKEN)
}

/// Names of headers in a list.
pub(crate) fn names_of_headers(_: &mut SchemaGenerator) -> Schema {
    header_list(MAX_MODIFIED_HEADERS, HEADER_NAME)
}

/// Names of headers, or methods; also the `*` that stands for all is a token.
pub(crate) fn cors_names(_: &mut SchemaGenerator) -> Schema {
    header_list(MAX_CORS_NAMES, HEADER_NAME)
}

fn header_list(most: u32, pattern: &str) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CONDITION_NAME,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('{pattern}')"),
                "message": TOKEN,
            }],
        },
    })
}

/// Addresses, or networks in CIDR notation.
pub(crate) fn networks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_NETWORKS,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 2, "maxLength": 64 },
    })
}

/// Origins of CORS.
pub(crate) fn origins(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_ORIGINS,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": 300 },
    })
}

/// Names of certificates: those of Secrets in a cluster, of file pairs elsewhere.
pub(crate) fn certificates(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_HOSTNAME,
            "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        },
    })
}

/// Status codes of HTTP.
pub(crate) fn statuses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_STATUSES,
        "x-kubernetes-list-type": "set",
        "items": { "type": "integer", "format": "int32", "minimum": 100, "maximum": 599 },
    })
}

/// A port by number or by name, as in Kubernetes' own types.
pub(crate) fn port_or_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "minimum": 1,
        "maximum": 65535,
        "minLength": 1,
        "maxLength": MAX_LABEL,
    })
}

/// `metav1.Condition`, one per type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "description": "What the condition is about, for instance Ready.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "Whether it holds: True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition is about. An older one than the object has \
                                    now means that the newest change hasn't been looked at yet.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "reason": {
                    "description": "One word for programs that says why.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "A sentence for people: what is wrong, and what would be right. May be empty.",
                    "type": "string",
                    "maxLength": 32768,
                },
            },
        },
    })
}
