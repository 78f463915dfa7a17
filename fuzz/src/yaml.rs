use std::sync::Arc;

/// Any text gives objects and problems; every problem of the parser has a place in the text.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.lines().count() as u64 + 1;
    let problems = match operator_files::parse(&Arc::from("fuzzed.yaml"), text.into(), None) {
        Ok(parsed) => parsed.problems,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a problem");
            problems
        }
    };
    for problem in problems {
        let Some(place) = problem.place else { panic!("a problem without a place: {}", problem.message) };
        assert!((1..=lines).contains(&place.line) && place.column >= 1, "a place outside the text: {place}");
        assert!(!problem.message.is_empty(), "a problem that says nothing");
    }
}
