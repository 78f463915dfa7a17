use dataplane_snapshot::Key;

use super::*;
use crate::parse::parse;

fn file(name: &str, text: &str) -> Parsed {
    parse(&name.into(), text.into(), None).unwrap()
}

fn backend(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: komainu.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: {name} }}\nspec:\n  targets: [{{ hostname: a, port: {port} }}]\n"
    )
}

fn join(files: &[Parsed], before: &Objects, number: u64) -> Merged {
    merge(&files.iter().collect::<Vec<_>>(), &[], before, &mut || number)
}

fn key(name: &str) -> Key {
    Key::new(Kind::Backend, "default", name)
}

#[test]
fn an_unchanged_object_keeps_its_arc_and_a_changed_one_gets_the_number() {
    let first = join(&[file("a", &(backend("x", 1) + &backend("z", 1)))], &Objects::new(), 5);
    assert_eq!(first.changed, BTreeMap::from([(Kind::Backend, 5)]));
    let second = join(&[file("a", &(backend("x", 1) + &backend("z", 2)))], &first.objects, 6);
    assert!(Arc::ptr_eq(first.objects.get(&key("x")).unwrap(), second.objects.get(&key("x")).unwrap()));
    assert_eq!(second.objects.get(&key("x")).unwrap().generation, 5);
    assert_eq!(second.objects.get(&key("z")).unwrap().generation, 6);
    assert_eq!(second.changed, BTreeMap::from([(Kind::Backend, 6)]));
}

#[test]
fn nothing_changed_takes_no_number() {
    let files = [file("a", &backend("x", 1))];
    let first = join(&files, &Objects::new(), 5);
    let again = merge(&[&files[0]], &[], &first.objects, &mut || panic!("a number was taken"));
    assert!(again.changed.is_empty());
}

#[test]
fn an_object_that_moved_has_its_new_place_and_its_old_spec() {
    let first = join(&[file("a", &backend("x", 1))], &Objects::new(), 5);
    let second = join(&[file("b", &format!("# note\n{}", backend("x", 1)))], &first.objects, 6);
    let (before, after) = (first.objects.get(&key("x")).unwrap(), second.objects.get(&key("x")).unwrap());
    let (Spec::Backend(one), Spec::Backend(other)) = (&before.spec, &after.spec) else { panic!("{after:?}") };
    assert!(Arc::ptr_eq(one, other) && after.generation == 5 && second.changed.is_empty());
    let Origin::File(place) = &after.origin else { panic!("{after:?}") };
    assert_eq!(place.to_string(), "b:3:1");
}

#[test]
fn problems_that_moved_have_their_new_places() {
    let bad = backend("x", 1).replace("port", "prot");
    let first = join(&[file("a", &bad)], &Objects::new(), 5);
    let second = join(&[file("a", &format!("# note\n{bad}"))], &first.objects, 6);
    let Spec::Invalid(problems) = &second.objects.get(&key("x")).unwrap().spec else { panic!() };
    assert_eq!(problems[0].place.as_ref().unwrap().line, 7);
    assert_eq!(second.objects.get(&key("x")).unwrap().generation, 5);
}

#[test]
fn of_two_with_one_key_the_first_counts_and_the_second_takes_over() {
    let files = [file("a", &backend("x", 1)), file("b", &backend("x", 2))];
    let first = join(&files, &Objects::new(), 5);
    let told: Vec<_> = first.duplicates.iter().map(Problem::to_string).collect();
    assert_eq!(
        told,
        [
            "b:2:1: metadata.name: backend/default/x is there already, at a:2:1, which counts; rename or remove one of the two"
        ]
    );
    let second = join(&files[1..], &first.objects, 6);
    let Spec::Backend(spec) = &second.objects.get(&key("x")).unwrap().spec else { panic!() };
    assert_eq!((spec.targets[0].port, second.objects.get(&key("x")).unwrap().generation), (Some(2), 6));
    assert!(second.duplicates.is_empty());
}

#[test]
fn what_went_is_a_change() {
    let first = join(&[file("a", &backend("x", 1))], &Objects::new(), 5);
    let second = join(&[], &first.objects, 6);
    assert!(second.objects.is_empty());
    assert_eq!(second.changed, BTreeMap::from([(Kind::Backend, 6)]));
}

#[test]
fn a_file_that_is_going_only_fills_gaps() {
    let (going, here) = (file("a", &(backend("x", 1) + &backend("z", 1))), file("b", &backend("x", 2)));
    let merged = merge(&[&here], &[&going], &Objects::new(), &mut || 1);
    let Spec::Backend(spec) = &merged.objects.get(&key("x")).unwrap().spec else { panic!() };
    assert_eq!(spec.targets[0].port, Some(2));
    assert!(merged.objects.contains_key(&key("z")) && merged.duplicates.is_empty());
}
