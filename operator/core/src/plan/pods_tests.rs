use super::*;
use crate::EndpointConditions;

const READY: Endpoint = endpoint(true, true, false, false);
const UNREADY: Endpoint = endpoint(false, false, false, false);
const DOUBTED: Endpoint = endpoint(false, false, false, true);
const ENDING: Endpoint = endpoint(false, true, true, false);
const ENDED: Endpoint = endpoint(false, false, true, false);

const fn endpoint(ready: bool, serving: bool, terminating: bool, doubted: bool) -> Endpoint {
    let conditions =
        EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) };
    Endpoint { addresses: Vec::new(), conditions, zone: None, doubted }
}

/// Which of these take requests, and how many of them are doubted.
fn taking(endpoints: &[Endpoint]) -> (Vec<u16>, usize) {
    let mut pods = Pods::default();
    for (port, endpoint) in (1..).zip(endpoints) {
        pods.see(place(port), endpoint);
    }
    (pods.taking().map(|((_, port), _)| port.get()).collect(), pods.doubted())
}

fn place(port: u16) -> Place {
    ([10, 0, 0, 1].into(), NonZeroU16::new(port).unwrap())
}

#[test]
fn ready_pods_take_requests_or_else_those_that_end_and_serve() {
    assert_eq!(taking(&[READY, UNREADY, ENDING]), (vec![1], 0));
    assert_eq!(taking(&[UNREADY, ENDING, ENDED]), (vec![2], 0));
    assert_eq!(taking(&[UNREADY, ENDED]), (vec![], 0));
    assert_eq!(taking(&[endpoint(false, true, false, false)]), (vec![], 0), "it doesn't end");
}

#[test]
fn doubted_pods_take_requests_while_they_are_most() {
    assert_eq!(taking(&[DOUBTED, UNREADY, ENDING]), (vec![1], 1));
    assert_eq!(taking(&[DOUBTED, DOUBTED, READY]), (vec![1, 2, 3], 2));
    assert_eq!(taking(&[DOUBTED, READY]), (vec![2], 0));
    assert_eq!(taking(&[DOUBTED, DOUBTED, READY, READY, ENDING]), (vec![3, 4], 0));
}

#[test]
fn of_a_pod_in_two_slices_readiness_goes_before_doubt_and_its_end_before_both() {
    let both = |one: &Endpoint, other: &Endpoint| {
        let mut pods = Pods::default();
        pods.see(place(1), one);
        pods.see(place(1), other);
        (pods.taking().count(), pods.doubted())
    };
    assert_eq!(both(&READY, &DOUBTED), (1, 0));
    assert_eq!(both(&DOUBTED, &ENDED), (0, 0));
    assert_eq!(both(&READY, &ENDED), (1, 0), "it serves, as the last resort");
}
