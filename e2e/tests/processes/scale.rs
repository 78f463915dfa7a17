use std::time::{Duration, Instant};

use e2e::process::{Gateway, figure, get, within};

use crate::fixture::{Fixture, route};

/// 10,000 routes in 100 files: from the start of the process to the first answer by a route.
#[test]
fn ten_thousand_routes_serve_within_a_second() {
    let fixture = Fixture::new();
    benches::routes::write_folder(&fixture.resources(), 10_000, 100).unwrap();
    fixture.write("zz-probe.yaml", &route("probe", "/the-probe", fixture.one));
    let gateway = Gateway::standalone(fixture.path(), &fixture.resources());
    let start = Instant::now();
    let _process = gateway.start();
    within(Duration::from_secs(60), "the probe answers", || {
        (get(gateway.port, "/the-probe").ok()?.status == 200).then_some(())
    });
    let took = start.elapsed();
    figure("ten_thousand_routes_ms", took.as_millis());
    // The limit is for an idle machine; the acceptance run judges the figure.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
