use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Parsed, Vec<Problem>> {
    parse(&"f.yaml".into(), text.into(), None)
}

/// All that is wrong with `text`, as a user sees it.
fn problems(text: &str) -> Vec<String> {
    let all = match read(text) {
        Err(problems) => problems,
        Ok(parsed) => {
            let of_objects = parsed.objects.into_iter().filter_map(|object| match object.spec {
                Spec::Invalid(problems) => Some(problems),
                _ => None,
            });
            parsed.problems.into_iter().chain(of_objects.flatten()).collect()
        }
    };
    all.iter().map(Problem::to_string).collect()
}

const BACKEND: &str = "\
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata:
  name: users
  labels: { komainu.dev/tenant: a }
spec:
  targets:
    - hostname: 127.0.0.1
      port: 9101
";

fn with_spec(spec: &str) -> String {
    format!("apiVersion: komainu.dev/v1alpha1\nkind: Backend\nmetadata:\n  name: users\nspec:\n{spec}")
}

#[test]
fn a_backend_and_a_route() {
    let route = "---\n# the route\napiVersion: komainu.dev/v1alpha1\nkind: Route\nmetadata: { name: r, namespace: a }\nspec: {}\n";
    let parsed = read(&format!("{BACKEND}{route}")).unwrap();
    let [backend, route] = &parsed.objects[..] else { panic!("{parsed:?}") };
    assert_eq!(backend.key.to_string(), "backend/default/users");
    assert_eq!(backend.labels["komainu.dev/tenant"], "a");
    assert_eq!(backend.place.to_string(), "f.yaml:1:1");
    let Spec::Backend(spec) = &backend.spec else { panic!("{backend:?}") };
    assert_eq!(spec.targets[0].port, Some(9101));
    assert_eq!(route.key.to_string(), "route/a/r");
    assert_eq!(route.place.to_string(), "f.yaml:12:1");
}

#[test]
fn json_is_read_too() {
    let json = "{\n\t\"apiVersion\": \"komainu.dev/v1alpha1\", \"kind\": \"Backend\",\n\t\"metadata\": {\"name\": \"x\"},\n\t\"spec\": {\"targets\": [{\"hostname\": \"a\", \"port\": 70000}]}\n}\n";
    assert_eq!(
        problems(json),
        ["f.json:4:41: spec.targets[0].port: 70000 is outside of 1 to 65535".replace("json", "yaml")]
    );
}

#[test]
fn every_slip_in_a_spec_is_told_with_its_place() {
    let spec = "  targets:\n    - hostname: a\n      prot: 1\n      port: \"80\"\n      weight: -1\n  root: 7\n  rewrite:\n  loadBalancing: { type: Stick }\n";
    assert_eq!(
        problems(&with_spec(spec)),
        [
            r#"f.yaml:8:7: spec.targets[0].prot: isn't a known field; did you mean "port"?"#,
            "f.yaml:9:7: spec.targets[0].port: is text, but must be a whole number; write 80 without quotes",
            "f.yaml:10:7: spec.targets[0].weight: -1 is outside of 0 to 1000000",
            r#"f.yaml:11:3: spec.root: is a number, but must be text; write it in quotes: "7""#,
            r#"f.yaml:13:20: spec.loadBalancing.type: "Stick" isn't known; did you mean "Sticky"?"#,
        ]
    );
}

#[test]
fn a_map_where_a_list_belongs() {
    let problems = problems(&with_spec("  targets:\n    hostname: a\n    port: 1\n"));
    assert_eq!(
        problems,
        ["f.yaml:6:3: spec.targets: is a map of fields, but must be a list; put '- ' in front of it"]
    );
}

#[test]
fn an_object_with_problems_keeps_its_key() {
    let parsed = read(&with_spec("  shoe: 1\n")).unwrap();
    assert_eq!(parsed.objects[0].key.to_string(), "backend/default/users");
    assert!(matches!(parsed.objects[0].spec, Spec::Invalid(_)));
    assert!(!parsed.doubtful);
}

#[test]
fn what_object_it_is_must_be_told() {
    let version = "apiVersion: komainu.dev/v1alpha1\n";
    for (text, problem) in [
        ("kind: Route\n", "f.yaml:1:1: apiVersion: is missing; write komainu.dev/v1alpha1"),
        (
            "apiVersion: komainu.dev/v1\nkind: Route\n",
            r#"f.yaml:1:1: apiVersion: "komainu.dev/v1" isn't known; write komainu.dev/v1alpha1"#,
        ),
        (&format!("{version}kind: Rout\n"), r#"f.yaml:2:1: kind: "Rout" isn't known; did you mean "Route"?"#),
        (
            &format!("{version}kind: Route\nmetadata: {{}}\n"),
            "f.yaml:3:1: metadata.name: is missing; every object needs a name",
        ),
        (
            &format!("{version}kind: Route\nmetadata: {{ name: 12 }}\n"),
            "f.yaml:3:13: metadata.name: must be text; write it in quotes",
        ),
        ("- a\n", "f.yaml:1:1: a document must have the fields apiVersion, kind, metadata and spec"),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
        assert!(read(text).unwrap().doubtful, "{text}");
    }
}

#[test]
fn a_byte_order_mark_is_no_content() {
    let parsed = read(&format!("\u{feff}{BACKEND}")).unwrap();
    assert_eq!(parsed.objects[0].place.to_string(), "f.yaml:1:1");
    assert!(matches!(parsed.objects[0].spec, Spec::Backend(_)));
}

#[test]
fn a_foreign_object_is_told_but_casts_no_doubt() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n";
    assert_eq!(
        problems(text),
        [
            r#"f.yaml:1:1: apiVersion: "apps/v1" isn't known; write komainu.dev/v1alpha1"#,
            r#"f.yaml:2:1: kind: "Deployment" isn't known; known are "Backend", "Route""#,
        ]
    );
    assert!(!read(text).unwrap().doubtful);
}

#[test]
fn names_follow_kubernetes() {
    for name in ["Users", "a_b", "-a", "a.", "a b", ""] {
        let text = BACKEND.replace("name: users", &format!("name: {name:?}"));
        let problems = problems(&text);
        assert!(problems[0].starts_with("f.yaml:4:3: metadata.name:"), "{problems:?}");
    }
    let label = BACKEND.replace("tenant: a", "tenant: a b");
    assert!(problems(&label)[0].starts_with("f.yaml:5:13: metadata.labels[\"komainu.dev/tenant\"]:"));
    let namespace = BACKEND.replace("name: users", "name: users\n  namespace: a.b");
    assert!(problems(&namespace)[0].starts_with("f.yaml:5:3: metadata.namespace:"));
}

#[test]
fn what_kubectl_get_prints_is_good() {
    let head = "metadata:\n  uid: 1-2\n  resourceVersion: \"7\"\n  generation: 2\n  annotations: { a: b }";
    let text = BACKEND.replace("metadata:", head) + "status:\n  conditions: []\n";
    assert_eq!(problems(&text), [""; 0]);
}

#[test]
fn each_broken_document_is_told() {
    let text = format!("{BACKEND}---\na: [1\n---\nb: 1\nb: 2\n---\nc: *nobody\n");
    assert_eq!(
        problems(&text),
        [
            "f.yaml:11:4: isn't YAML: unclosed bracket '['",
            r#"f.yaml:14:1: the field b is there twice; keep one"#,
            "f.yaml:16:4: isn't YAML: alias references unknown anchor",
        ]
    );
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let problems = problems(&text);
    assert!(problems[0].contains("repeats too much through anchors"), "{problems:?}");
    let deep = format!("a: {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(self::problems(&deep).len(), 1);
}

#[test]
fn anchors_and_merges_work() {
    let spec = "  targets:\n    - &first { hostname: a, port: 1 }\n    - { <<: *first, port: 2 }\n";
    let parsed = read(&with_spec(spec)).unwrap();
    let Spec::Backend(spec) = &parsed.objects[0].spec else { panic!("{parsed:?}") };
    assert_eq!((spec.targets[1].hostname.as_deref(), spec.targets[1].port), (Some("a"), Some(2)));
}

#[test]
fn a_document_that_only_moved_keeps_its_spec() {
    let before = read(&format!("---\na: 1\n---\n{BACKEND}")).unwrap();
    let after =
        parse(&"f.yaml".into(), format!("---\nb: 1\nc: 1\n---\n{BACKEND}").into(), Some(&before)).unwrap();
    let (Spec::Backend(one), Spec::Backend(other)) = (&before.objects[0].spec, &after.objects[0].spec) else {
        panic!("{after:?}")
    };
    assert!(Arc::ptr_eq(one, other));
    assert_eq!(after.objects[0].place.line, before.objects[0].place.line + 1);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(---|\\.\\.\\.|[a-z:#\\[\\]{}&*!|>'\"%\\-, \\n\\t\u{feff}é]){0,200}") {
        let _ = read(&text);
    }

    /// Places are within the file, whatever is broken.
    #[test]
    fn places_are_in_the_file(cut in 0..BACKEND.len(), insert in "[a-z:\\[{*&\\-\\n ]{0,8}") {
        let mut text = BACKEND.to_owned();
        text.insert_str(cut, &insert);
        let lines = text.lines().count() as u64 + 1;
        let problems = match read(&text) {
            Err(problems) => problems,
            Ok(parsed) => parsed.problems,
        };
        for problem in problems {
            let place = problem.place.unwrap();
            prop_assert!((1..=lines).contains(&place.line) && place.column >= 1, "{place} of {text}");
        }
    }
}
