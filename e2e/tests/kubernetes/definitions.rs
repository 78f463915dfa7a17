//! The definitions: taken by the API server, whose limits on the cost of rules no other test knows; good objects taken, bad ones
//! refused with a sentence.

use e2e::process::until;

use crate::fixture::{Namespace, backend, route};

const QUICKSTART: [&str; 4] = [
    include_str!("../../../examples/quickstart/hello.yaml"),
    include_str!("../../../examples/quickstart/beta.yaml"),
    include_str!("../../../examples/quickstart/bills.yaml"),
    include_str!("../../../examples/quickstart/refused.yaml"),
];

#[test]
fn the_examples_are_taken() -> anyhow::Result<()> {
    let namespace = Namespace::new("definitions-examples")?;
    for example in QUICKSTART {
        namespace.kubectl().apply(example)?;
    }
    let listed = namespace.kubectl().must(&["get", "komainu", "-o", "name"])?;
    assert_eq!(listed.lines().count(), 7, "{listed}");
    Ok(())
}

#[test]
fn every_field_is_explained() -> anyhow::Result<()> {
    let namespace = Namespace::new("definitions-explained")?;
    for field in
        ["backend.spec.targets.weight", "backend.spec.client.callTimeout", "route.spec.matches.paths.value"]
    {
        // The API server publishes schemas a moment after it serves the kinds.
        let (explained, _) = until(&format!("{field} is explained"), || {
            let ran =
                namespace.kubectl().run(&["explain", field, "--api-version=komainu.dev/v1alpha1"]).ok()?;
            ran.is_success.then_some(ran.stdout)
        });
        let description = explained.split("DESCRIPTION:").nth(1).unwrap_or_default().trim();
        assert!(!description.is_empty() && description != "<empty>", "{field}: {explained}");
    }
    Ok(())
}

#[test]
fn columns_show_what_an_object_is() -> anyhow::Result<()> {
    let namespace = Namespace::new("definitions-columns")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&[backend("users", "users.test"), route("shop", "/shop", "users")].concat())?;
    let backends = kubectl.must(&["get", "backends"])?;
    let routes = kubectl.must(&["get", "krt"])?;
    let head = |printed: &str| printed.lines().next().unwrap_or_default().to_owned();
    let columns = |printed: &str| head(printed).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(columns(&backends), "NAME READY HEALTH POLICY ROUTES AGE");
    assert_eq!(columns(&routes), "NAME HOSTS PATH BACKEND PROGRAMMED READY AGE");
    assert!(routes.contains("/shop"), "{routes}");
    let wide = columns(&kubectl.must(&["get", "kbe", "-o", "wide"])?);
    assert_eq!(wide, "NAME READY HEALTH POLICY ROUTES AGE ACCEPTED PROGRAMMED EJECTED REASON");
    let wide = columns(&kubectl.must(&["get", "krt", "-o", "wide"])?);
    assert_eq!(wide, "NAME HOSTS PATH BACKEND PROGRAMMED READY AGE ACCEPTED TARGETS OVERLAPPING REASON");
    Ok(())
}

/// A spec that is refused, and a part of the sentence that says why.
type Refused = (&'static str, &'static str);

const BACKENDS: [Refused; 9] = [
    ("targets: [{port: 80}]", "a target is either a hostname with a port, or a service"),
    ("targets: [{hostname: a.test}]", "a hostname needs a port, for instance port: 8080"),
    ("targets: [{hostname: a.test, port: 70000}]", "should be less than or equal to 65535"),
    ("targets: [{hostname: 'http://a.test', port: 80}]", "without scheme, port and path"),
    (
        "targets: [{hostname: a.test, port: 80, id: x}, {hostname: b.test, port: 80, id: x}]",
        "two targets have the same id",
    ),
    ("{targets: [{hostname: a.test, port: 80}], root: api}", "root is a path: it starts with /"),
    ("{targets: [{hostname: a.test, port: 80}], client: {callTimeout: 30 s}}", "250ms, 2s or 1m30s"),
    (
        "{targets: [{hostname: a.test, port: 80}], healthCheck: {enabled: true}}",
        "an enabled health check needs a url",
    ),
    ("{targets: [{hostname: a.test, port: 80}], rootPath: /}", "unknown field \"spec.rootPath\""),
];

const ROUTES: [Refused; 8] = [
    ("{backends: [{ref: {name: users}}]}", "a route needs matches; to get every request write matches: [{}]"),
    ("{matches: [{}]}", "a route needs backends"),
    ("{matches: [{}], backends: [{}]}", "give either ref, the name of a Backend, or inline"),
    (
        "{matches: [{paths: [{value: api}]}], backends: [{ref: {name: users}}]}",
        "a path starts with /, for instance /api",
    ),
    ("{matches: [{hostnames: [API.test]}], backends: [{ref: {name: users}}]}", "a hostname is lower-case"),
    (
        "{matches: [{methods: [get]}], backends: [{ref: {name: users}}]}",
        "a method is upper-case, for instance GET",
    ),
    (
        "{matches: [{headers: [{name: x, type: Present, value: a}]}], backends: [{ref: {name: users}}]}",
        "Present and Absent look at the name alone",
    ),
    (
        "{matches: [{headers: [{name: x}]}], backends: [{ref: {name: users}}]}",
        "Exact, Regex and Wildcard need a value",
    ),
];

#[test]
fn mistakes_are_refused_with_a_sentence() -> anyhow::Result<()> {
    let namespace = Namespace::new("definitions-mistakes")?;
    let of = |kind| move |(spec, sentence)| (kind, spec, sentence);
    for (kind, spec, sentence) in BACKENDS.map(of("Backend")).into_iter().chain(ROUTES.map(of("Route"))) {
        let spec = if spec.starts_with('{') { spec.to_owned() } else { format!("{{{spec}}}") };
        let object = format!(
            "{{apiVersion: komainu.dev/v1alpha1, kind: {kind}, metadata: {{name: bad}}, spec: {spec}}}"
        );
        let said = namespace.kubectl().refused(&object)?;
        assert!(said.contains(sentence), "{spec}\nis refused with: {said}instead of: {sentence}");
    }
    Ok(())
}
