use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};
use rustc_hash::FxHashMap;

use super::backends::Backends;
use super::placement::{Placement, Rank};
use crate::condition::Conditions;
use crate::filter::RateLimits;
use crate::limit::{ActiveLimits, RouteUsage, UsageStates};
use crate::route::Action;
use crate::{
    CompiledDestination, CompiledRoute, CompiledRule, Filters, FullRegex, HostPattern, PathPattern,
    RegexError,
};

/// The most pairs of host and path that one route may have.
const MAX_PLACEMENTS: usize = 4096;

/// What one route object gave.
#[derive(Debug)]
pub(crate) struct RouteEntry {
    pub(crate) placements: Vec<Arc<Placement>>,
    /// What has destinations.
    rules: Vec<Arc<CompiledRule>>,
    /// Why the object was rejected. It may have placements all the same: where its matches are good its requests are
    /// answered with the reason, and don't fall to another route.
    pub(crate) rejected: Option<String>,
}

/// The regular expressions of one compile step, each source compiled once.
#[derive(Default)]
pub(crate) struct Regexes(FxHashMap<Box<str>, Arc<FullRegex>>);

impl Regexes {
    fn get(&mut self, source: &str) -> Result<Arc<FullRegex>, RegexError> {
        if let Some(regex) = self.0.get(source) {
            return Ok(Arc::clone(regex));
        }
        let regex = Arc::new(FullRegex::parse(source)?);
        self.0.insert(source.into(), Arc::clone(&regex));
        Ok(regex)
    }
}

/// What a match says, parsed, but without the route that it belongs to.
struct ParsedMatch {
    rule: usize,
    precedence: bytes::Bytes,
    hosts: Vec<HostPattern>,
    patterns: Vec<Arc<PathPattern>>,
    conditions: Arc<Conditions>,
}

impl RouteEntry {
    pub(crate) fn compile(
        object: &Object,
        backends: &mut Backends,
        regexes: &mut Regexes,
        states: &UsageStates,
    ) -> Self {
        let (route, held) = match object.decode() {
            Ok(wire::Payload::Route(route)) => (route, None),
            Ok(wire::Payload::Held(wire::Held { reason, route })) => {
                (route.unwrap_or_default(), Some(Arc::from(reason)))
            }
            Ok(_) => return Self::nowhere("it carries the payload of another kind".to_owned()),
            Err(error) => return Self::nowhere(error.to_string()),
        };
        let (matches, mut rejected) = parse_matches(&route, regexes);
        if held.is_some() && route.rules.is_empty() {
            // The leader couldn't even read where the route is for, and has said so.
            rejected = None;
        }
        let held = held.or_else(|| rejected.as_deref().map(Arc::from));
        let usage = states.route(object.key());
        let actions = match held {
            Some(reason) => Actions::Held(reason),
            None => match compile_rules(&route, backends, &|limits| states.limits(&usage, limits)) {
                Ok(rules) => Actions::Forward(rules),
                Err(reason) => {
                    rejected = Some(reason.clone());
                    Actions::Held(reason.into())
                }
            },
        };
        let placements = place(usage, route, &actions, matches);
        let rules = actions.into_rules();
        Self { placements, rules, rejected }
    }

    /// The backends that the route uses, one as often as it is named.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &CompiledDestination> {
        self.rules.iter().flat_map(|rule| rule.destinations().iter().chain(rule.mirrors()))
    }

    const fn nowhere(reason: String) -> Self {
        Self { placements: Vec::new(), rules: Vec::new(), rejected: Some(reason) }
    }
}

/// What becomes of the requests of a route.
enum Actions {
    /// By the index of the rule.
    Forward(Vec<Arc<CompiledRule>>),
    Held(Arc<str>),
}

impl Actions {
    fn of(&self, rule: usize) -> Option<Action> {
        match self {
            Self::Forward(rules) => rules.get(rule).map(|rule| Action::Forward(Arc::clone(rule))),
            Self::Held(reason) => Some(Action::Held(Arc::clone(reason))),
        }
    }

    fn into_rules(self) -> Vec<Arc<CompiledRule>> {
        match self {
            Self::Forward(rules) => rules,
            Self::Held(_) => Vec::new(),
        }
    }
}

/// The matches that are good, and what is wrong with the first that isn't.
fn parse_matches(route: &wire::Route, regexes: &mut Regexes) -> (Vec<ParsedMatch>, Option<String>) {
    let mut matches: Vec<ParsedMatch> = Vec::new();
    let mut wrong = route.rules.is_empty().then(|| "it has no rule".to_owned());
    let mut placements = 0;
    for (rule, from) in route.rules.iter().enumerate() {
        if from.matches.is_empty() {
            wrong.get_or_insert_with(|| format!("rules[{rule}] has no match"));
        }
        for (index, given) in from.matches.iter().enumerate() {
            match ParsedMatch::parse(rule, given, regexes) {
                Ok(parsed) => {
                    placements += parsed.hosts.len() * parsed.patterns.len();
                    matches.push(parsed);
                }
                Err(reason) => {
                    wrong.get_or_insert_with(|| format!("rules[{rule}].matches[{index}]: {reason}"));
                }
            }
        }
    }
    if placements > MAX_PLACEMENTS {
        let reason =
            format!("it has {placements} pairs of host and path; at most {MAX_PLACEMENTS} are allowed");
        return (Vec::new(), Some(reason));
    }
    (matches, wrong)
}

impl ParsedMatch {
    fn parse(rule: usize, given: &wire::Match, regexes: &mut Regexes) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let mut hosts: Vec<HostPattern> = Vec::new();
        for host in &given.hostnames {
            hosts.push(HostPattern::parse(host).map_err(|error| text(&error))?);
        }
        if hosts.is_empty() {
            hosts.push(HostPattern::Any);
        }
        let mut regex = |source: &str| regexes.get(source);
        let mut patterns = Vec::new();
        for path in &given.paths {
            let kind = wire::PathKind::try_from(path.kind)
                .map_err(|_| format!("{} is no kind of path that this version knows", path.kind))?;
            let pattern = PathPattern::parse_with(kind, &path.pattern, &mut regex);
            patterns.push(Arc::new(pattern.map_err(|error| text(&error))?));
        }
        if patterns.is_empty() {
            patterns.push(Arc::new(PathPattern::any()));
        }
        let conditions = Conditions::parse_with(given, &mut regex).map_err(|error| text(&error))?;
        let precedence = given.precedence.clone();
        Ok(Self { rule, precedence, hosts, patterns, conditions: Arc::new(conditions) })
    }
}

/// Limits, ready to remember what they let pass.
type Activate<'a> = dyn Fn(&RateLimits) -> Option<Box<ActiveLimits>> + 'a;

fn compile_rules(
    route: &wire::Route,
    backends: &mut Backends,
    activate: &Activate<'_>,
) -> Result<Vec<Arc<CompiledRule>>, String> {
    let compile = |(index, rule)| match compile_rule(rule, backends, activate) {
        Ok(rule) => Ok(Arc::new(rule)),
        Err(reason) => Err(format!("rules[{index}]: {reason}")),
    };
    route.rules.iter().enumerate().map(compile).collect()
}

fn compile_rule(
    rule: &wire::Rule,
    backends: &mut Backends,
    activate: &Activate<'_>,
) -> Result<CompiledRule, String> {
    let filters = Filters::parse(&rule.filters).map_err(|error| error.to_string())?;
    let is_answering = filters.as_ref().is_some_and(|filters| filters.answer.is_some());
    if is_answering != rule.destinations.is_empty() {
        let message = if is_answering {
            "it has a filter that answers, and a destination"
        } else {
            "it has no destination"
        };
        return Err(message.to_owned());
    }
    if is_answering && filters.as_ref().is_some_and(|filters| !filters.mirrors.is_empty()) {
        return Err("it has a filter that answers, and one that mirrors".to_owned());
    }
    let has = |filters: &[wire::Filter], kind: wire::FilterKind| {
        filters.iter().chain(&rule.filters).any(|filter| filter.kind == i32::from(kind))
    };
    let mut compiled = |backend: Key, filters: &[wire::Filter]| {
        let strip_path = has(filters, wire::FilterKind::StripPath);
        let override_host = has(filters, wire::FilterKind::OverrideHost);
        let slot = backends.number(&backend);
        CompiledDestination { backend, strip_path, override_host, slot }
    };
    let mut destinations = Vec::with_capacity(rule.destinations.len());
    for destination in &rule.destinations {
        let not_a_backend = || format!("{:?} is not the key of a backend", destination.backend);
        let backend: Key = destination.backend.parse().map_err(|_| not_a_backend())?;
        if backend.kind() != Kind::Backend {
            return Err(not_a_backend());
        }
        if Filters::parse(&destination.filters).map_err(|error| error.to_string())?.is_some() {
            return Err("it has a filter on a destination that only a rule can have".to_owned());
        }
        destinations.push((compiled(backend, &destination.filters), destination.weight));
    }
    let mirrors = filters.iter().flat_map(|filters| &filters.mirrors);
    let mirrors = mirrors.map(|mirror| compiled(mirror.backend.clone(), &[])).collect();
    let limits = filters.as_ref().and_then(|filters| activate(&filters.rate_limits));
    Ok(CompiledRule::new(destinations, filters, mirrors, limits))
}

fn place(
    usage: Arc<RouteUsage>,
    route: wire::Route,
    actions: &Actions,
    matches: Vec<ParsedMatch>,
) -> Vec<Arc<Placement>> {
    let domains = route.rules.iter().flat_map(|rule| &rule.matches).flat_map(|given| &given.hostnames);
    let route = Arc::new(CompiledRoute {
        key: usage.key.clone(),
        usage,
        domains: domains.map(|host| host.as_str().into()).collect(),
        name: route.name.into(),
        metadata: route.metadata,
        listeners: route.listeners.into_iter().map(Into::into).collect(),
    });
    let mut placements = Vec::new();
    for ParsedMatch { rule, precedence, hosts, patterns, conditions } in matches {
        let Some(action) = actions.of(rule) else { continue };
        for host in hosts {
            for pattern in &patterns {
                let rank = Rank { precedence: precedence.clone(), rule, index: placements.len() };
                let target = (Arc::clone(&route), action.clone());
                let (pattern, conditions) = (Arc::clone(pattern), Arc::clone(&conditions));
                placements.push(Arc::new(Placement::new(host.clone(), pattern, conditions, target, rank)));
            }
        }
    }
    placements
}
