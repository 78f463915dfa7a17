//! Specs as users could write them, in every shape.

use std::collections::BTreeMap;

use crds::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,7}"
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec(word(), 0..3)
}

fn metadata() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[a-z._/-]{1,8}", "[ -~]{0,8}", 0..3)
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![0..100_000_u64, 0..=Duration::MAX.as_millis()].prop_map(Duration::from_millis)
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let place = || option::of("[a-z*-]{1,5}");
    let located = (place(), place(), place(), place(), place()).prop_map(
        |(provider, region, zone, data_center, rack)| Predicate {
            type_: PredicateType::NetworkLocationMatch,
            provider,
            region,
            zone,
            data_center,
            rack,
            ..Predicate::default()
        },
    );
    let conditions = || vec(condition(), 0..2);
    let networks = vec(select(vec!["10.0.0.0/8".to_owned(), "::1".to_owned()]), 0..2);
    let methods = vec(select(vec!["GET".to_owned(), "POST".to_owned()]), 0..2);
    let request = (methods, conditions(), conditions(), conditions(), networks).prop_map(
        |(methods, headers, query, cookies, client_cidrs)| Predicate {
            type_: PredicateType::RequestMatch,
            methods,
            headers,
            query,
            cookies,
            client_cidrs,
            ..Predicate::default()
        },
    );
    prop_oneof![Just(Predicate::default()), located, request]
}

fn tls_config() -> impl Strategy<Value = TlsConfig> {
    (any::<bool>(), any::<bool>(), any::<bool>(), words(), words()).prop_map(
        |(enabled, loose, trust_all, certs, trusted_certs)| TlsConfig {
            enabled,
            loose,
            trust_all,
            certs,
            trusted_certs,
        },
    )
}

fn server() -> impl Strategy<Value = Target> {
    let port = prop_oneof![(1..=65535_i32).prop_map(Value::from), word().prop_map(Value::from)];
    let service = (word(), option::of(word()), port).prop_map(|(name, namespace, port)| Target {
        service: serde_json::from_value(json!({ "name": name, "namespace": namespace, "port": port }))
            .unwrap(),
        ..Target::default()
    });
    let hostname = prop_oneof![word(), Just("10.0.0.7".to_owned()), Just("::1".to_owned())];
    let host = (hostname, 1..=u16::MAX, option::of(Just("10.0.0.9".to_owned()))).prop_map(
        |(hostname, port, ip_address)| Target {
            hostname: Some(hostname),
            port: Some(port),
            ip_address,
            ..Target::default()
        },
    );
    prop_oneof![3 => host, 1 => service]
}

fn target() -> impl Strategy<Value = Target> {
    let protocol = select(vec![Protocol::Http10, Protocol::Http11, Protocol::Http2, Protocol::Http3]);
    let rest = (option::of(word()), any::<bool>(), 0..1_000_000_u32, protocol, any::<bool>());
    (server(), rest, predicate(), tls_config()).prop_map(
        |(server, (id, tls, weight, protocol, backup), predicate, tls_config)| Target {
            id,
            tls,
            weight,
            protocol,
            predicate,
            tls_config,
            backup,
            ..server
        },
    )
}

fn load_balancing() -> impl Strategy<Value = LoadBalancing> {
    use LoadBalancingType::*;
    let plain = select(vec![
        RoundRobin,
        Random,
        IpAddressHash,
        BestResponseTime,
        LeastConnections,
        PowerOfTwoRandomChoices,
        NaiveFailover,
    ])
    .prop_map(|type_| LoadBalancing { type_, ..LoadBalancing::default() });
    let ratio = option::of(0..99_u8).prop_map(|percent| LoadBalancing {
        type_: WeightedBestResponseTime,
        ratio: percent.map(|percent| f64::from(percent) / 100.0),
        ..LoadBalancing::default()
    });
    let hash =
        (select(vec![HeaderHash, CookieHash, QueryHash]), option::of(word())).prop_map(|(type_, name)| {
            let name_of = |wanted| name.clone().filter(|_| type_ == wanted);
            LoadBalancing {
                type_,
                header_name: name_of(HeaderHash),
                cookie_name: name_of(CookieHash),
                query_name: name_of(QueryHash),
                ..LoadBalancing::default()
            }
        });
    let sticky = (option::of(word()), option::of(duration())).prop_map(|(cookie_name, cookie_ttl)| {
        LoadBalancing { type_: Sticky, cookie_name, cookie_ttl, ..LoadBalancing::default() }
    });
    (prop_oneof![plain, ratio, hash, sticky], any::<bool>())
        .prop_map(|(balancing, prefer_own_zone)| LoadBalancing { prefer_own_zone, ..balancing })
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let lists = (vec(100..599_u16, 0..3), vec(100..599_u16, 0..3), words(), words());
    let types = [HealthCheckType::Http, HealthCheckType::Tcp, HealthCheckType::Grpc];
    let question = (any::<bool>(), select(types.to_vec()), option::of("/[a-z]{0,5}"), option::of(word()));
    let pace = (duration(), any::<u32>(), duration(), any::<u32>(), any::<u32>());
    (question, pace, lists, any::<bool>(), any::<bool>()).prop_map(
        |(question, pace, lists, block_on_red, logic_check)| HealthCheck {
            enabled: question.0,
            type_: question.1,
            url: question.2,
            service: question.3,
            interval: pace.0,
            jitter: pace.1,
            timeout: pace.2,
            healthy_threshold: pace.3,
            unhealthy_threshold: pace.4,
            healthy_statuses: lists.0,
            unhealthy_statuses: lists.1,
            healthy_regex_checks: lists.2,
            unhealthy_regex_checks: lists.3,
            block_on_red,
            logic_check,
        },
    )
}

fn proxy() -> impl Strategy<Value = UpstreamProxy> {
    let protocols = vec![ProxyProtocol::Http, ProxyProtocol::Https, ProxyProtocol::Socks5];
    let protocol = option::of(select(protocols));
    let secret = option::of((word(), word()).prop_map(|(name, key)| SecretEntry { name, key }));
    let password = (option::of(word()), option::of("[ -~]{0,8}"), secret);
    (word(), 1..=u16::MAX, protocol, password, words()).prop_map(
        |(host, port, protocol, (principal, password, password_secret), non_proxy_hosts)| UpstreamProxy {
            host,
            port,
            protocol,
            principal,
            password,
            password_secret,
            non_proxy_hosts,
        },
    )
}

fn custom_timeouts() -> impl Strategy<Value = CustomTimeouts> {
    ("/[a-z*]{0,5}", vec(duration(), 5)).prop_map(|(path, times)| CustomTimeouts {
        path,
        connection_timeout: times[0],
        idle_timeout: times[1],
        call_and_stream_timeout: times[2],
        call_timeout: times[3],
        global_timeout: times[4],
    })
}

fn client() -> impl Strategy<Value = ClientSettings> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    let rest = (vec(custom_timeouts(), 0..3), any::<bool>(), option::of(proxy()));
    let ours = (any::<bool>(), vec(100..599_u16, 0..3), any::<bool>());
    (numbers, vec(duration(), 7), rest, ours).prop_map(
        |((retries, max_errors, backoff_factor, queue_size), times, rest, ours)| {
            let (custom_timeouts, enabled, proxy) = rest;
            let (retry_non_idempotent, retry_statuses, count_server_errors) = ours;
            ClientSettings {
                retries,
                max_errors,
                backoff_factor,
                retry_initial_delay: times[0],
                connection_timeout: times[1],
                idle_timeout: times[2],
                call_and_stream_timeout: times[3],
                call_timeout: times[4],
                global_timeout: times[5],
                sample_interval: times[6],
                retry_non_idempotent,
                retry_statuses,
                count_server_errors,
                custom_timeouts,
                cache_connection_settings: ConnectionCache { enabled, queue_size },
                proxy,
            }
        },
    )
}

pub(super) fn backend() -> impl Strategy<Value = BackendSpec> {
    let about = (option::of("[A-Z][a-z ]{0,8}"), option::of("[ -~]{1,8}"), words(), metadata());
    let balancing = (load_balancing(), option::of(0..=100_u32));
    let allowed = vec("[a-z]{1,3}", 0..3);
    let rest = ("/[a-z/]{0,8}", any::<bool>(), balancing, option::of(health_check()), client(), allowed);
    (about, vec(target(), 0..4), rest).prop_map(|(about, mut targets, rest)| {
        // Two that are the same are one, for Otoroshi.
        let mut seen: Vec<Target> = Vec::new();
        targets.retain(|target| {
            let new = !seen.contains(target);
            seen.push(target.clone());
            new
        });
        let (display_name, description, tags, metadata) = about;
        let (root, rewrite, (load_balancing, panic_threshold), health_check, client, allowed_namespaces) =
            rest;
        BackendSpec {
            display_name,
            description,
            tags,
            metadata,
            targets,
            root,
            rewrite,
            load_balancing,
            panic_threshold,
            health_check,
            client,
            allowed_namespaces,
        }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let valued = select(vec![ConditionType::Exact, ConditionType::Regex, ConditionType::Wildcard]);
    let value = prop_oneof![3 => "[ -~]{0,8}", 1 => select(vec!["Exists()", "Regex(a)", "NotDefined()"]).prop_map(str::to_owned)];
    let valued = (valued, value).prop_map(|(type_, value)| (type_, Some(value)));
    let bare = select(vec![ConditionType::Present, ConditionType::Absent]).prop_map(|type_| (type_, None));
    ("[a-c]{1,2}", prop_oneof![2 => valued, 1 => bare]).prop_map(|(name, (type_, value))| Condition {
        name,
        type_,
        value,
    })
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let hostname = prop_oneof!["[a-c]\\.test", Just("*.test".to_owned())];
    let path = ("/[a-c:*/]{0,4}", select(vec![PathType::Prefix, PathType::Prefix, PathType::Exact]))
        .prop_map(|(value, type_)| PathMatch { type_, value });
    let conditions = || vec(condition(), 0..2);
    let methods = vec(select(vec!["GET".to_owned(), "POST".to_owned()]), 0..2);
    (vec(hostname, 0..3), vec(path, 0..3), methods, conditions(), conditions(), conditions()).prop_map(
        |(hostnames, paths, methods, headers, query, cookies)| RouteMatch {
            hostnames,
            paths,
            methods,
            headers,
            query,
            cookies,
        },
    )
}

fn route_backend() -> impl Strategy<Value = RouteBackend> {
    let reference = (word(), option::weighted(0.2, word())).prop_map(|(name, namespace)| RouteBackend {
        reference: Some(BackendReference { name, namespace }),
        inline: None,
        weight: 1,
    });
    let inline = backend().prop_map(|spec| RouteBackend { reference: None, inline: Some(spec), weight: 1 });
    let kind = prop_oneof![reference, inline];
    (kind, prop_oneof![3 => Just(1), 1 => 0..1_000_000_u32])
        .prop_map(|(backend, weight)| RouteBackend { weight, ..backend })
}

fn header_values() -> impl Strategy<Value = Vec<HeaderValue>> {
    vec(("[A-Za-c-]{1,4}", "[ -~]{0,6}").prop_map(|(name, value)| HeaderValue { name, value }), 0..3)
}

fn header_modifier() -> impl Strategy<Value = HeaderModifier> {
    (header_values(), header_values(), header_values(), words())
        .prop_map(|(set, add, set_if_missing, remove)| HeaderModifier { set, add, set_if_missing, remove })
}

fn cors() -> impl Strategy<Value = Cors> {
    let origins = prop_oneof![Just(vec!["*".to_owned()]), vec("https://[a-c]\\.test", 0..3)];
    (origins, words(), words(), words(), option::of(duration()), any::<bool>()).prop_map(
        |(allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials)| Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
        },
    )
}

fn redirect() -> impl Strategy<Value = RequestRedirect> {
    let status = select(vec![301, 302, 303, 307, 308_u16]);
    let scheme = option::of(select(vec![RedirectScheme::Http, RedirectScheme::Https]));
    let path =
        (option::of("/[a-c]"), option::of("/[a-c]")).prop_map(|(replace_full_path, replace_prefix_match)| {
            RedirectPath { replace_full_path, replace_prefix_match }
        });
    let port = option::of(1..=u16::MAX);
    (option::of("[ -~]{0,6}"), scheme, option::of(word()), port, option::of(path), status).prop_map(
        |(location, scheme, hostname, port, path, status_code)| RequestRedirect {
            location,
            scheme,
            hostname,
            port,
            path,
            status_code,
        },
    )
}

fn request_mirror() -> impl Strategy<Value = RequestMirror> {
    let fraction =
        (any::<u32>(), any::<u32>()).prop_map(|(numerator, denominator)| Fraction { numerator, denominator });
    (word(), option::of(0..=100_u32), option::of(fraction)).prop_map(|(name, percent, fraction)| {
        RequestMirror { reference: BackendReference { name, namespace: None }, percent, fraction }
    })
}

fn rate_limit() -> impl Strategy<Value = RateLimit> {
    use RateLimitKeyType::{ClientAddress, Cookie, Header};
    use RateLimitPeriod::{Day, Minute, Month, Second};
    let key = (select(vec![ClientAddress, Header, Cookie]), option::of(word()))
        .prop_map(|(type_, name)| RateLimitKey { type_, name });
    let per = select(vec![Second, Minute, Day, Month]);
    (any::<u32>(), per, option::of(any::<u32>()), option::of(key))
        .prop_map(|(requests, per, burst, key)| RateLimit { requests, per, burst, key })
}

fn filters() -> impl Strategy<Value = RouteFilters> {
    let access = (words(), words()).prop_map(|(allow, deny)| IpAccess { allow, deny });
    let limits = option::of(any::<u64>())
        .prop_map(|max_body_bytes| RequestLimits { max_body_bytes, ..RequestLimits::default() });
    let answer = "[ -~]{0,8}".prop_map(|body| DirectResponse { body, ..DirectResponse::default() });
    let rewrite = option::of(word()).prop_map(|hostname| UrlRewrite { hostname });
    let lists = (vec(rate_limit(), 0..2), vec(request_mirror(), 0..2));
    let answers = (option::weighted(0.2, redirect()), option::weighted(0.2, answer));
    let rest = (option::of(access), option::weighted(0.2, limits), option::of(cors()), answers);
    let headers =
        (option::of(header_modifier()), option::of(header_modifier()), option::weighted(0.2, rewrite), lists);
    (rest, headers).prop_map(|((ip_access, limits, cors, (request_redirect, direct_response)), headers)| {
        let (request_header_modifier, response_header_modifier, url_rewrite, lists) = headers;
        let (rate_limits, request_mirrors) = lists;
        RouteFilters {
            ip_access,
            limits,
            cors,
            rate_limits,
            request_redirect,
            direct_response,
            request_header_modifier,
            url_rewrite,
            request_mirrors,
            response_header_modifier,
        }
    })
}

pub(super) fn route() -> impl Strategy<Value = RouteSpec> {
    let about = (option::of("[A-Z][a-z ]{0,8}"), option::of("[ -~]{1,8}"), words(), metadata());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let ways = (vec(route_match(), 1..3), vec(route_backend(), 1..3), option::of(filters()));
    (about, flags, words(), ways).prop_map(
        |((display_name, description, tags, metadata), flags, listeners, (matches, backends, filters))| {
            RouteSpec {
                display_name,
                description,
                tags,
                metadata,
                enabled: flags.0,
                listeners,
                matches,
                strip_path: flags.1,
                override_host: flags.2,
                filters,
                backends,
            }
        },
    )
}
