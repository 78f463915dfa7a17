use super::*;

const PACE: Pace = Pace {
    min_ttl: Duration::from_secs(1),
    max_ttl: Duration::from_secs(300),
    hold: Duration::from_secs(30),
};

const DENIED: Said = Said::Denied { ttl: Some(Duration::from_secs(5)) };

fn addresses(ttl: u64, ips: &[&str]) -> Said {
    let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Said::Addresses { ips, ttl: Duration::from_secs(ttl) }
}

fn failed() -> Said {
    Said::Failed("the server failed".to_owned())
}

const fn answer(v4: Said, v6: Said) -> Answer {
    Answer { v4, v6, doubtful: false }
}

/// Whether the addresses changed, and the seconds until the next question.
fn follow(known: &mut Known, secs: u64, answer: Answer) -> (bool, u64) {
    let step = known.follow(answer, Moment::from_micros(secs * 1_000_000), &PACE, 0);
    (step.changed, step.wait.as_secs())
}

fn known(v4: &[&str], v6: &[&str]) -> Known {
    let mut known = Known::default();
    let said = |ips: &[&str]| if ips.is_empty() { DENIED } else { addresses(60, ips) };
    assert!(follow(&mut known, 0, answer(said(v4), said(v6))).0);
    known
}

fn ips(known: &Known) -> Vec<String> {
    known.ips().iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_of_both_kinds_come_together_in_their_order() {
    let mut known = Known::default();
    let both = answer(addresses(60, &["10.0.0.2", "10.0.0.1", "10.0.0.2"]), addresses(20, &["fd00::1"]));
    assert_eq!(follow(&mut known, 0, both), (true, 20));
    assert_eq!(ips(&known), ["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let turned = answer(addresses(60, &["10.0.0.1", "10.0.0.2"]), addresses(60, &["fd00::1"]));
    assert_eq!(follow(&mut known, 20, turned), (false, 60), "servers answer in changing orders");
    let fewer = answer(addresses(60, &["10.0.0.2"]), DENIED);
    assert_eq!(follow(&mut known, 80, fewer), (true, 60));
    assert_eq!((ips(&known), known.trouble()), (vec!["10.0.0.2".to_owned()], None));
}

#[test]
fn what_can_not_be_looked_up_keeps_its_addresses() {
    let mut known = known(&["10.0.0.1"], &[]);
    for (wait, round) in [1, 2, 4, 8, 10, 10].into_iter().zip(1..) {
        let (v4, v6) = if round % 2 == 0 { (failed(), DENIED) } else { (DENIED, failed()) };
        assert_eq!(follow(&mut known, round * 100, answer(v4, v6)), (false, wait));
        assert_eq!((ips(&known), known.trouble()), (vec!["10.0.0.1".to_owned()], Some("the server failed")));
    }
    assert_eq!(follow(&mut known, 900, answer(addresses(60, &["10.0.0.1"]), DENIED)), (false, 60));
    assert_eq!(known.trouble(), None);
    assert_eq!(follow(&mut known, 960, Answer::failed("again")), (false, 1));
}

#[test]
fn what_can_not_be_told_of_one_kind_keeps_that_kind() {
    let mut known = known(&["10.0.0.1"], &["fd00::1"]);
    let half = || answer(addresses(60, &["10.0.0.2"]), failed());
    assert_eq!(follow(&mut known, 60, half()), (true, 1));
    assert_eq!(ips(&known), ["10.0.0.2", "fd00::1"]);
    assert_eq!(known.trouble(), Some("the server failed"));
    assert_eq!(follow(&mut known, 61, half()), (false, 2));
    let mut never = Known::default();
    assert_eq!(follow(&mut never, 0, half()), (true, 60), "nothing is missing");
    assert_eq!(never.trouble(), None);
}

#[test]
fn what_is_said_to_be_gone_is_held_for_a_while() {
    let mut known = known(&["10.0.0.1"], &[]);
    let gone = || answer(DENIED, DENIED);
    assert_eq!(follow(&mut known, 100, gone()), (false, 5));
    assert_eq!(follow(&mut known, 110, Answer::failed("a failure proves nothing")), (false, 1));
    assert_eq!(follow(&mut known, 128, gone()), (false, 2), "the end isn't missed");
    assert_eq!(ips(&known), ["10.0.0.1"]);
    assert_eq!(follow(&mut known, 130, gone()), (true, 5));
    assert!(known.ips().is_empty() && known.trouble().is_some());
    assert_eq!(follow(&mut known, 135, gone()), (false, 5));
    assert_eq!(follow(&mut known, 140, answer(addresses(60, &["10.0.0.1"]), DENIED)), (true, 60));
}

#[test]
fn what_comes_back_in_time_begins_anew() {
    let mut known = known(&["10.0.0.1"], &[]);
    follow(&mut known, 100, answer(DENIED, DENIED));
    follow(&mut known, 120, answer(addresses(60, &["10.0.0.1"]), DENIED));
    assert_eq!(follow(&mut known, 140, answer(DENIED, DENIED)), (false, 5));
    assert_eq!(ips(&known), ["10.0.0.1"]);
}

#[test]
fn a_name_further_down_the_search_is_no_stand_in() {
    let doubtful = || Answer { doubtful: true, ..answer(addresses(60, &["10.9.9.9"]), DENIED) };
    let mut known = known(&["10.0.0.1"], &[]);
    assert_eq!(follow(&mut known, 60, doubtful()), (false, 1));
    assert_eq!(ips(&known), ["10.0.0.1"]);
    let mut fresh = Known::default();
    assert_eq!(follow(&mut fresh, 0, doubtful()), (true, 60));
}

#[test]
fn nothing_known_and_nothing_said() {
    let mut known = Known::default();
    let lame = Said::Denied { ttl: None };
    assert_eq!(follow(&mut known, 0, answer(lame, DENIED)), (false, 1));
    assert!(known.trouble().unwrap().contains("no such name"));
    assert_eq!(follow(&mut known, 1, Answer::failed("no answer")), (false, 1));
    assert_eq!(known.trouble(), Some("no answer"));
}
