//! What is done to the requests of a rule, and to the responses, besides sending them on. Made ready once per route; a rule
//! without filters has none of it.
//!
//! The order is fixed: who may come (`access`), how large a request may be (`limits`), preflight requests (`cors`), how
//! many requests may come (`rate_limits`), what is answered here (`answer`), then the headers of what goes on, and who gets a copy of it (`mirror`).

mod access;
mod answer;
mod cors;
mod header;
mod limits;
mod mirror;
mod rate_limits;
mod redirect;

use dataplane_snapshot::wire::{self, FilterKind, FilterSettings};

pub use access::Access;
pub use answer::DirectAnswer;
pub use cors::Cors;
pub use header::{Direction, HeaderEdits, check_name, check_value};
pub use limits::{RequestLimits, RequestSize};
pub use mirror::{Mirror, Share};
pub use rate_limits::{LimitGroup, LimitKey, Limits, Rate, RateLimits};
pub use redirect::{NoLocation, Redirect, authority};

use crate::RequestHead;

/// The filters of a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filters {
    pub access: Option<Access>,
    pub limits: RequestLimits,
    pub cors: Option<Cors>,
    pub rate_limits: RateLimits,
    pub answer: Option<Answer>,
    pub request_headers: Option<HeaderEdits>,
    pub response_headers: Option<HeaderEdits>,
    /// Sent as `Host`.
    pub host: Option<Box<str>>,
    pub mirrors: Vec<Mirror>,
}

/// What every request of a rule is answered with, instead of going to a target.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Redirect(Redirect),
    Direct(DirectAnswer),
}

/// What the proxy answers to a request without asking a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'f> {
    /// A preflight request.
    Preflight(&'f Cors),
    Answer(&'f Answer),
}

/// Why a request is refused by a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this route doesn't serve the client's address")]
    Address,
    #[error("the head is larger than the route allows")]
    Head,
    #[error("the body is larger than the route allows")]
    Body,
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("{0} is no filter that this version knows")]
    Unknown(i32),
    #[error("the filter {0:?} comes with the settings of another one, or without any")]
    Settings(FilterKind),
    #[error("the filter {0:?} comes twice")]
    Repeated(FilterKind),
    #[error("{0:?} is no header name: it has only letters, digits and !#$%&'*+-.^_`|~")]
    HeaderName(String),
    #[error("{0} is written by the gateway itself and can't be changed")]
    HeaderOwned(String),
    #[error("the value of {0} has characters other than visible ASCII and blanks, or a blank at an end")]
    HeaderValue(String),
    #[error("{0} is named twice: a header is in only one of set, add, setIfMissing and remove, and once")]
    HeaderTwice(String),
    #[error(
        "{0:?} is no host name: write it without scheme and path, for instance api.internal or api.internal:8080"
    )]
    Host(String),
    #[error("{0:?} is neither an IP address nor a network: write for instance 10.0.0.7 or 10.0.0.0/8")]
    Network(String),
    #[error("{0:?} is no URL: write for instance https://www.example.com/ or a path from / on")]
    Location(String),
    #[error("{0:?} is no path: write one from / on with the characters of a URL")]
    Path(String),
    #[error("{0} is no status of a redirect: write 301, 302, 303, 307 or 308")]
    RedirectStatus(u32),
    #[error("{0} is no status of an answer: write 200 to 599")]
    AnswerStatus(u32),
    #[error("an answer with status {0} has no body: leave it out")]
    AnswerBody(u32),
    #[error("{0:?} is no media type: write for instance text/plain or application/json")]
    MediaType(String),
    #[error(
        "{0:?} is no origin: write for instance https://app.example.com, https://*.example.com, or * alone for all"
    )]
    Origin(String),
    #[error("no origin is named: write for instance https://app.example.com, or * for all")]
    NoOrigin,
    #[error(
        "with credentials every site could act for a user: name origins, methods and headers instead of *"
    )]
    Credentials,
    #[error("{0:?} is no method: write for instance PUT")]
    Method(String),
    #[error("{0} is no limit")]
    Limit(u64),
    #[error("{0} is no period of a limit that this version knows")]
    LimitPeriod(i32),
    #[error("{0} is no key of a limit that this version knows")]
    LimitKey(i32),
    #[error("a limit by header or cookie needs the name of it")]
    LimitNoName,
    #[error("{0:?} names nothing: only limits by header or cookie have a name")]
    LimitName(String),
    #[error("a burst of {burst} is more than the {requests} requests of the period")]
    Burst { burst: u32, requests: u32 },
    #[error("of one key and period there is only one limit")]
    LimitTwice,
    #[error("{0:?} is not the key of a backend")]
    Backend(String),
    #[error("{0} of {1} is no share: write 0 to 1, and not of 0")]
    Share(u32, u32),
}

impl Filters {
    /// `StripPath` and `OverrideHost` are the destination's and are passed over here. `None`: there is no other.
    pub(crate) fn parse(filters: &[wire::Filter]) -> Result<Option<Box<Self>>, FilterError> {
        let mut parsed: Option<Box<Self>> = None;
        for filter in filters {
            let kind = filter.known_kind()?;
            if matches!(kind, FilterKind::StripPath | FilterKind::OverrideHost) {
                continue;
            }
            if !parsed.get_or_insert_default().add(kind, filter.settings.as_ref())? {
                return Err(FilterError::Repeated(kind));
            }
        }
        Ok(parsed)
    }

    /// `false`: there is one of this kind already.
    fn add(&mut self, kind: FilterKind, settings: Option<&FilterSettings>) -> Result<bool, FilterError> {
        Ok(match (kind, settings) {
            (FilterKind::RequestHeaders, Some(FilterSettings::Headers(it))) => {
                self.request_headers.replace(HeaderEdits::parse(Direction::Request, it)?).is_none()
            }
            (FilterKind::ResponseHeaders, Some(FilterSettings::Headers(it))) => {
                self.response_headers.replace(HeaderEdits::parse(Direction::Response, it)?).is_none()
            }
            (FilterKind::Host, Some(FilterSettings::Host(it))) => {
                self.host.replace(authority(it)?.into()).is_none()
            }
            (FilterKind::Redirect, Some(FilterSettings::Redirect(it))) => {
                self.answer.replace(Answer::Redirect(Redirect::parse(it)?)).is_none()
            }
            (FilterKind::Answer, Some(FilterSettings::Answer(it))) => {
                self.answer.replace(Answer::Direct(DirectAnswer::parse(it)?)).is_none()
            }
            (FilterKind::Access, Some(FilterSettings::Access(it))) => {
                self.access.replace(Access::parse(it)?).is_none()
            }
            (FilterKind::Cors, Some(FilterSettings::Cors(it))) => {
                self.cors.replace(Cors::parse(it)?).is_none()
            }
            (FilterKind::Limits, Some(FilterSettings::Limits(it))) => {
                let limits = RequestLimits::parse(it)?;
                std::mem::replace(&mut self.limits, limits) == RequestLimits::default()
            }
            (FilterKind::RateLimits, Some(FilterSettings::RateLimits(it))) => {
                let limits = RateLimits::parse(it)?;
                std::mem::replace(&mut self.rate_limits, limits) == RateLimits::default()
            }
            (FilterKind::Mirror, Some(FilterSettings::Mirror(it))) => {
                self.mirrors.push(Mirror::parse(it)?);
                true
            }
            _ => return Err(FilterError::Settings(kind)),
        })
    }

    /// What the proxy answers without asking a target; `None`: the request goes on.
    pub fn reply<H: RequestHead>(&self, head: &H, size: RequestSize) -> Result<Option<Reply<'_>>, Refused> {
        if self.access.as_ref().is_some_and(|access| !access.admits(head.client_ip())) {
            return Err(Refused::Address);
        }
        self.limits.check(size)?;
        let cors = self.cors.as_ref().filter(|_| cors::is_preflight(head));
        Ok(cors.map(Reply::Preflight).or(self.answer.as_ref().map(Reply::Answer)))
    }
}

/// The kind of a filter, if this version knows it.
pub(crate) trait KnownKind {
    fn known_kind(&self) -> Result<FilterKind, FilterError>;
}

impl KnownKind for wire::Filter {
    fn known_kind(&self) -> Result<FilterKind, FilterError> {
        match FilterKind::try_from(self.kind) {
            Ok(FilterKind::Unspecified) | Err(_) => Err(FilterError::Unknown(self.kind)),
            Ok(kind) => Ok(kind),
        }
    }
}

#[cfg(test)]
mod tests;
