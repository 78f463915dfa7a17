use super::ExpressionError;

/// A name of the expression language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    FullUrl,
    Listener,
    Id,
    Path,
    Uri,
    Host,
    Domain,
    Method,
    Protocol,
    ClientIp,
    Secured,
    Version,
    Header(Box<str>),
    Query(Box<str>),
    Cookie(Box<str>),
    PathParameter(Box<str>),
    RouteId,
    RouteName,
    RouteDomain(usize),
    RouteMetadata(Box<str>),
}

/// Families of names that the language has, but not here yet.
const LATER: [&str; 24] = [
    "apikey",
    "api",
    "config",
    "consumer",
    "ctx",
    "date",
    "date_el",
    "env",
    "global_config",
    "iat",
    "exp",
    "in_jwt",
    "in_raw_jwt",
    "apikeyjwt",
    "item",
    "nbf",
    "now",
    "out_jwt",
    "params",
    "plan",
    "rand",
    "token",
    "user",
    "vault",
];

impl Reference {
    pub(super) fn parse(name: &str) -> Result<Self, ExpressionError> {
        if name.is_empty() {
            return Err(ExpressionError::Empty);
        }
        if let Some(rest) = name.strip_prefix("req.") {
            return Self::parse_request(rest, name);
        }
        // The older word for a route.
        if let Some(rest) = name.strip_prefix("route.").or_else(|| name.strip_prefix("service.")) {
            return Self::parse_route(rest, name);
        }
        let family = name.split(['.', '(', ':', '/']).next().unwrap_or(name);
        Err(if LATER.contains(&family) {
            ExpressionError::NotSupported(name.to_owned())
        } else {
            ExpressionError::Unknown(name.to_owned())
        })
    }

    fn parse_request(rest: &str, name: &str) -> Result<Self, ExpressionError> {
        if let Some((family, key)) = rest.split_once('.') {
            let keyed: fn(Box<str>) -> Self = match family {
                "headers" => Self::Header,
                "query" => Self::Query,
                "cookies" => Self::Cookie,
                "pathparams" => Self::PathParameter,
                "client_cert" => return Err(ExpressionError::NotSupported(name.to_owned())),
                _ => return Err(ExpressionError::Unknown(name.to_owned())),
            };
            return match key {
                "" => Err(ExpressionError::NoKey(name.to_owned())),
                _ if family == "headers" => Ok(keyed(key.to_ascii_lowercase().into())),
                _ => Ok(keyed(key.into())),
            };
        }
        Ok(match rest {
            "fullUrl" => Self::FullUrl,
            "listener" => Self::Listener,
            "id" => Self::Id,
            "path" => Self::Path,
            "uri" => Self::Uri,
            "host" => Self::Host,
            "domain" => Self::Domain,
            "method" => Self::Method,
            "protocol" => Self::Protocol,
            "ip" | "ip_address" => Self::ClientIp,
            "secured" => Self::Secured,
            "version" => Self::Version,
            _ => return Err(ExpressionError::Unknown(name.to_owned())),
        })
    }

    fn parse_route(rest: &str, name: &str) -> Result<Self, ExpressionError> {
        if let Some(key) = rest.strip_prefix("metadata.") {
            let present = !key.is_empty();
            return present
                .then(|| Self::RouteMetadata(key.into()))
                .ok_or_else(|| ExpressionError::NoKey(name.to_owned()));
        }
        if let Some(index) = rest.strip_prefix("domains[") {
            let number = index.strip_prefix('\'').and_then(|index| index.strip_suffix("']"));
            return number
                .and_then(|number| number.parse().ok())
                .map(Self::RouteDomain)
                .ok_or_else(|| ExpressionError::Index(name.to_owned()));
        }
        match rest {
            "id" => Ok(Self::RouteId),
            "name" => Ok(Self::RouteName),
            "json" | "json.pretty" => Err(ExpressionError::NotSupported(name.to_owned())),
            _ => Err(ExpressionError::Unknown(name.to_owned())),
        }
    }

    /// What stands where a value is missing: a kind and the name. `None` for what every request has.
    pub(super) fn missing(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Header(name) => ("no-header-", name.to_string()),
            Self::Query(name) => ("no-query-", name.to_string()),
            Self::Cookie(name) => ("no-cookie-", name.to_string()),
            Self::PathParameter(name) => ("no-path-param-", name.to_string()),
            Self::RouteMetadata(key) => ("no-meta-", key.to_string()),
            Self::RouteDomain(index) => ("no-domain-", index.to_string()),
            _ => return None,
        })
    }
}
