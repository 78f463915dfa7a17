use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{AsOf, Epoch, Kind, Snapshot, SourceAsOf};

use super::*;

const HOLD: Duration = Duration::from_secs(25);
const A: Root = Root([1; 32]);
const B: Root = Root([2; 32]);

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn member(id: &str, name: &str) -> Identity {
    Identity {
        id: id.into(),
        name: name.into(),
        version: "1".into(),
        scope: Scope::default(),
        client: None,
        pod: None,
    }
}

fn poll(poll: u64, id: &str, known: Option<Root>, hold: Duration) -> Event {
    Event::Poll { poll: PollId(poll), member: member(id, id), known, hold }
}

fn applied(root: Root, revision: u64) -> Applied {
    let epoch = Epoch { id: "e".into(), created_at: 1 };
    let revisions = BTreeMap::from([(Kind::Route, revision)]);
    let as_of = AsOf(BTreeMap::from([("files".into(), SourceAsOf { epoch, revisions })]));
    Applied { root, as_of, rejected: BTreeMap::new(), more_rejected: false }
}

fn ack(id: &str, root: Root, revision: u64) -> Event {
    Event::Ack { member: member(id, id), applied: applied(root, revision), refused: None }
}

fn answers(actions: &[Action]) -> Vec<(u64, Reply)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Answer { poll, reply } => Some((poll.0, *reply)),
            _ => None,
        })
        .collect()
}

fn published(root: Root) -> Session {
    let mut session = Session::default();
    session.handle(Event::Published { root }, at(0));
    session
}

#[test]
fn another_root_is_answered_at_once() {
    let mut session = published(A);
    for (number, known) in [(1, None), (2, Some(B))] {
        let actions = session.handle(poll(number, "w", known, HOLD), at(1));
        assert_eq!(answers(&actions), [(number, Reply::State)]);
    }
}

#[test]
fn the_current_root_is_held_until_it_changes() {
    let mut session = published(A);
    assert_eq!(answers(&session.handle(poll(1, "v", Some(A), HOLD), at(1))), []);
    assert_eq!(answers(&session.handle(poll(2, "w", Some(A), HOLD), at(1))), []);
    assert_eq!(answers(&session.handle(Event::Published { root: A }, at(2))), [], "equal content is no news");
    assert_eq!(session.held(), 2);
    let actions = session.handle(Event::Published { root: B }, at(3));
    assert_eq!(answers(&actions), [(1, Reply::State), (2, Reply::State)]);
    assert_eq!(session.held(), 0);
}

#[test]
fn a_hold_ends_with_not_modified_at_its_time() {
    let mut session = published(A);
    let actions = session.handle(poll(1, "w", Some(A), at(700)), at(100));
    assert!(actions.contains(&Action::SetTimer(at(800))), "{actions:?}");
    assert_eq!(answers(&session.handle(Event::Timer, at(799))), []);
    assert_eq!(answers(&session.handle(Event::Timer, at(800))), [(1, Reply::NotModified)]);
    assert_eq!(answers(&session.handle(Event::Timer, at(900))), []);
}

#[test]
fn no_hold_is_longer_than_allowed() {
    let mut session = published(A);
    session.handle(poll(1, "w", Some(A), Duration::from_secs(3600)), at(0));
    assert_eq!(answers(&session.handle(Event::Timer, MAX_HOLD)), [(1, Reply::NotModified)]);
}

#[test]
fn without_hold_the_answer_comes_at_once() {
    let mut session = published(A);
    let actions = session.handle(poll(1, "w", Some(A), Duration::ZERO), at(1));
    assert_eq!(answers(&actions), [(1, Reply::NotModified)]);
}

#[test]
fn before_the_first_state_a_poll_waits_or_comes_back() {
    let mut session = Session::default();
    assert_eq!(answers(&session.handle(poll(1, "v", None, Duration::ZERO), at(1))), [(1, Reply::NotNow)]);
    session.handle(poll(2, "v", None, at(10)), at(1));
    session.handle(poll(3, "w", Some(A), HOLD), at(1));
    assert_eq!(answers(&session.handle(Event::Timer, at(11))), [(2, Reply::NotNow)]);
    session.handle(poll(4, "v", Some(B), HOLD), at(12));
    let actions = session.handle(Event::Published { root: A }, at(13));
    assert_eq!(answers(&actions), [(4, Reply::State)], "3 has it already and stays held");
}

#[test]
fn a_newer_poll_of_a_worker_ends_its_older_one() {
    let mut session = published(A);
    session.handle(poll(1, "w", Some(A), HOLD), at(1));
    let actions = session.handle(poll(2, "w", Some(A), HOLD), at(2));
    assert_eq!(answers(&actions), [(1, Reply::NotModified)]);
    // The server notices the dead connection late.
    session.handle(Event::Cancelled { poll: PollId(1) }, at(3));
    assert_eq!(session.members().list(at(50_000)).next().unwrap().silent_for, Duration::ZERO);
    assert_eq!(answers(&session.handle(Event::Published { root: B }, at(4))), [(2, Reply::State)]);
}

#[test]
fn a_cancelled_poll_is_not_answered() {
    let mut session = published(A);
    session.handle(poll(1, "w", Some(A), HOLD), at(1));
    session.handle(Event::Cancelled { poll: PollId(1) }, at(2));
    assert_eq!(answers(&session.handle(Event::Published { root: B }, at(3))), []);
    assert_eq!(session.members().list(at(1002)).next().unwrap().silent_for, at(1000));
}

#[test]
fn members_have_what_they_acknowledged() {
    let mut session = published(A);
    assert!(session.handle(poll(1, "w", None, HOLD), at(1)).contains(&Action::MembersChanged));
    assert_eq!(session.members().counted(None, at(1))[0].ack, None);
    assert!(session.handle(ack("w", A, 5), at(2)).contains(&Action::MembersChanged));
    assert_eq!(session.members().counted(None, at(2))[0].ack, Some(applied(A, 5)));
    assert!(!session.handle(ack("w", A, 5), at(3)).contains(&Action::MembersChanged), "a repeat is no news");
    session.handle(ack("w", B, 4), at(4));
    assert_eq!(session.members().counted(None, at(4))[0].ack, Some(applied(A, 5)), "that one came late");
    session.handle(ack("w", B, 6), at(5));
    assert_eq!(session.members().counted(None, at(5))[0].ack, Some(applied(B, 6)));
}

#[test]
fn an_acknowledgement_alone_makes_a_member() {
    let mut session = Session::default();
    session.handle(ack("w", A, 1), at(1));
    assert_eq!(session.members().len(), 1);
}

#[test]
fn a_silent_member_is_lost_and_then_forgotten() {
    let mut session = published(A);
    session.handle(ack("w", A, 1), at(0));
    session.handle(Event::Timer, LOST_AFTER - at(1));
    assert!(!session.members().counted(None, LOST_AFTER - at(1))[0].lost);
    assert!(session.handle(Event::Timer, LOST_AFTER + at(1000)).contains(&Action::MembersChanged));
    assert!(session.members().counted(None, LOST_AFTER)[0].lost);
    assert!(session.handle(Event::Timer, MEMBER_TTL + at(2000)).contains(&Action::MembersChanged));
    assert!(session.members().is_empty());
}

#[test]
fn a_lost_member_that_speaks_again_is_no_longer_lost() {
    let mut session = published(A);
    session.handle(ack("w", A, 1), at(0));
    session.handle(Event::Timer, at(15_000));
    let actions = session.handle(poll(1, "w", Some(A), HOLD), at(16_000));
    assert!(actions.contains(&Action::MembersChanged));
    let member = session.members().list(at(16_000)).next().unwrap();
    assert!(!member.lost);
    assert_eq!(member.applied, Some(applied(A, 1)), "it still has what it had");
}

#[test]
fn a_waiting_member_is_never_lost() {
    let mut session = published(A);
    session.handle(poll(1, "w", Some(A), HOLD), at(0));
    session.handle(ack("w", A, 1), at(1));
    session.handle(Event::Timer, at(20_000));
    assert!(!session.members().counted(None, at(20_000))[0].lost);
}

#[test]
fn a_restarted_worker_replaces_itself_by_its_name() {
    let mut session = published(A);
    let named = |poll, id: &str| Event::Poll {
        poll: PollId(poll),
        member: member(id, "edge"),
        known: Some(A),
        hold: HOLD,
    };
    session.handle(named(1, "old"), at(0));
    session.handle(Event::Cancelled { poll: PollId(1) }, at(100));
    session.handle(named(2, "new"), at(200));
    assert_eq!(session.members().len(), 2, "it may be a second worker with the same name");
    session.handle(Event::Timer, at(100) + SUPERSEDED_AFTER + at(1000));
    let ids: Vec<_> = session.members().list(at(0)).map(|member| member.identity.id).collect();
    assert_eq!(ids, ["new"]);
}

#[test]
fn two_living_workers_may_share_a_name() {
    let mut session = published(A);
    for (number, id) in [(1, "a"), (2, "b")] {
        let member = member(id, "edge");
        session.handle(Event::Poll { poll: PollId(number), member, known: Some(A), hold: HOLD }, at(number));
    }
    session.handle(Event::Timer, at(20_000));
    assert_eq!(session.members().len(), 2);
    // One that is silent for a while, as when it applies a large state, was there before the other fell silent.
    session.handle(Event::Cancelled { poll: PollId(1) }, at(20_001));
    session.handle(Event::Timer, at(25_000));
    assert_eq!(session.members().len(), 2);
}

#[test]
fn the_worker_in_this_process_is_never_lost() {
    let mut session = published(A);
    let local = Event::LocalAck { member: member("l", "l"), applied: applied(A, 1), refused: None };
    session.handle(local, at(0));
    session.handle(Event::Timer, at(1_000_000));
    assert!(!session.members().counted(None, at(1_000_000))[0].lost);
}

#[test]
fn a_forgotten_member_is_gone() {
    let mut session = published(A);
    session.handle(ack("w", A, 1), at(0));
    assert!(session.handle(Event::Forget { id: "w".into() }, at(1)).contains(&Action::MembersChanged));
    assert!(session.members().is_empty());
}

#[test]
fn there_is_room_for_so_many_members_only() {
    let mut session = published(A);
    for number in 0..MAX_MEMBERS {
        session.handle(ack(&number.to_string(), A, 1), at(0));
    }
    let actions = session.handle(poll(1, "one more", None, HOLD), at(1));
    assert_eq!(answers(&actions), [(1, Reply::NotNow)]);
    assert_eq!(session.members().len(), MAX_MEMBERS);
    assert_eq!(answers(&session.handle(poll(2, "0", None, HOLD), at(1))), [(2, Reply::State)]);
}

fn of_client(id: &str, client: usize) -> Identity {
    Identity { client: Some(client), scope: "tenants=a".parse().unwrap(), ..member(id, id) }
}

fn heard(session: &mut Session, member: Identity) {
    session.handle(Event::Heard { member }, at(0));
}

#[test]
fn one_client_that_may_have_a_part_only_leaves_room_for_the_others() {
    let mut session = published(A);
    for number in 0..=MAX_MEMBERS_OF_CLIENT {
        heard(&mut session, of_client(&number.to_string(), 0));
    }
    assert_eq!(session.members().len(), MAX_MEMBERS_OF_CLIENT);
    heard(&mut session, of_client("other", 1));
    heard(&mut session, member("all", "all"));
    assert_eq!(session.members().len(), MAX_MEMBERS_OF_CLIENT + 2);
    session.handle(Event::Forget { id: "0".into() }, at(1));
    heard(&mut session, of_client("next", 0));
    assert!(session.members().has("next"));
}

#[test]
fn nobody_speaks_for_a_member_of_another_client() {
    let mut session = published(A);
    session.handle(ack("all", A, 1), at(0));
    heard(&mut session, of_client("of-one", 1));
    for id in ["all", "of-one"] {
        let before = status(&session, id, at(0));
        let thief = of_client(id, 0);
        heard(&mut session, thief.clone());
        let (applied, refused) = (applied(B, 9), None);
        session.handle(Event::Ack { member: thief.clone(), applied, refused }, at(0));
        let poll = Event::Poll { poll: PollId(1), member: thief.clone(), known: None, hold: HOLD };
        assert_eq!(answers(&session.handle(poll, at(0))), [(1, Reply::NotNow)]);
        assert_eq!(status(&session, id, at(0)), before);
        assert!(!session.members().is(&thief));
    }
    heard(&mut session, member("of-one", "of-one"));
    assert!(session.members().is(&member("of-one", "of-one")), "who may have everything");
}

fn status(session: &Session, id: &str, now: Duration) -> MemberStatus {
    session.members().list(now).find(|member| member.identity.id == id).unwrap()
}

#[test]
fn a_member_is_behind_from_the_first_state_on_that_it_lacks() {
    let mut session = published(A);
    session.handle(ack("w", A, 1), at(10));
    assert_eq!(status(&session, "w", at(500)).behind_for, at(0));
    session.handle(Event::Published { root: B }, at(1_000));
    session.handle(Event::Published { root: Root([3; 32]) }, at(2_000));
    session.handle(ack("w", B, 2), at(2_500));
    assert_eq!(status(&session, "w", at(3_000)).behind_for, at(2_000), "it has never caught up since");
    session.handle(ack("w", Root([3; 32]), 3), at(3_100));
    assert_eq!(status(&session, "w", at(9_000)).behind_for, at(0));
    session.handle(Event::Heard { member: member("new", "new") }, at(9_000));
    assert_eq!(status(&session, "new", at(9_500)).behind_for, at(500), "it hasn't said what it has");
}

#[test]
fn of_two_with_one_name_both_are_flagged_while_both_live() {
    let mut session = published(A);
    for (id, name) in [("a", "edge"), ("b", "edge"), ("c", "other")] {
        session.handle(Event::Heard { member: member(id, name) }, at(0));
    }
    let flagged = |session: &Session, now| {
        let same = session.members().list(now).filter(|member| member.same_name);
        same.map(|member| member.identity.id).collect::<Vec<_>>()
    };
    assert_eq!(flagged(&session, at(1)), ["a", "b"]);
    session.handle(Event::Heard { member: member("b", "edge") }, LOST_AFTER);
    assert_eq!(flagged(&session, LOST_AFTER), [] as [&str; 0], "the other one is lost");
}

#[test]
fn a_word_of_a_member_ends_no_hold_and_keeps_it_alive() {
    let mut session = published(A);
    session.handle(poll(1, "w", Some(A), HOLD), at(0));
    let actions = session.handle(Event::Heard { member: member("w", "w") }, at(5));
    assert_eq!(answers(&actions), []);
    assert!(!actions.contains(&Action::MembersChanged), "nobody has to judge anew");
    assert_eq!(status(&session, "w", HOLD - at(1)).silent_for, at(0), "its poll is still held");
    assert_eq!(session.held(), 1);
    session.handle(Event::Heard { member: member("x", "x") }, at(0));
    session.handle(Event::Heard { member: member("x", "x") }, LOST_AFTER);
    assert!(!status(&session, "x", LOST_AFTER + at(1)).lost);
}

#[test]
fn polls_wait_for_the_part_of_their_scope() {
    let scope: Scope = "tenants=a".parse().unwrap();
    let narrowed = |objects: &[&str]| {
        let key = |name: &str| dataplane_snapshot::Key::new(Kind::Route, "x", name);
        let objects =
            objects.iter().map(|name| dataplane_snapshot::Object::new(key(name), bytes::Bytes::new()));
        let part = Arc::new(Snapshot::new(objects, AsOf::default()));
        (part.root(), Event::Narrowed { scope: scope.clone(), part: Some(Part::new(part)) })
    };
    let ask = |number: u64, known: Option<Root>| {
        let member = Identity { scope: scope.clone(), ..member("w", "w") };
        Event::Poll { poll: PollId(number), member, known, hold: HOLD }
    };
    let mut session = published(A);
    let early = answers(&session.handle(ask(1, None), at(1)));
    assert_eq!(early, [(1, Reply::NotNow)], "nothing is known of its part, nor will be told");
    let (one, event) = narrowed(&["one"]);
    assert_eq!(answers(&session.handle(event, at(2))), []);
    assert_eq!(answers(&session.handle(ask(2, Some(one)), at(3))), []);
    assert_eq!(answers(&session.handle(Event::Published { root: B }, at(4))), [], "its part is the same");
    assert_eq!(answers(&session.handle(narrowed(&["one"]).1, at(5))), []);
    assert_eq!(answers(&session.handle(narrowed(&["two"]).1, at(6))), [(2, Reply::State)]);
    assert_eq!(session.current(), Some(B));
    let (two, event) = narrowed(&["two"]);
    session.handle(event, at(7));
    assert_eq!(answers(&session.handle(ask(3, Some(two)), at(8))), []);
    let gone = Event::Narrowed { scope: scope.clone(), part: None };
    assert_eq!(answers(&session.handle(gone, at(9))), [(3, Reply::NotNow)]);
    assert_eq!(answers(&session.handle(ask(4, Some(two)), at(10))), [(4, Reply::NotNow)]);
}

#[test]
fn of_workers_in_pods_ready_ones_count_and_doubted_ones_while_they_are_heard_of() {
    let mut session = published(A);
    for (number, pod) in [(1, "ready"), (2, "doubted"), (3, "unready")] {
        let member = Identity { pod: Some(pod.into()), ..member(pod, pod) };
        session.handle(Event::Ack { member, applied: applied(A, 1), refused: None }, at(number));
    }
    session.handle(ack("elsewhere", A, 1), at(4));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let pods = WorkerPods { ready: names(&["ready", "starts"]), doubted: names(&["doubted", "unknown"]) };
    let counted = |now: Duration| {
        let counted = session.members().counted(Some(&pods), now);
        counted.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(counted(at(5)), ["ready", "starts", "doubted", "elsewhere"]);
    assert_eq!(counted(LOST_AFTER + at(5)), ["ready", "starts", "elsewhere"]);
}

#[test]
fn a_leader_is_behind_while_a_worker_of_its_own_has_seen_more() {
    let mut session = published(A);
    let mine = |revision| applied(A, revision).as_of;
    session.handle(ack("w", A, 5), at(0));
    assert!(session.members().are_ahead(&mine(4), "files", at(1)));
    assert!(!session.members().are_ahead(&mine(5), "files", at(1)));
    assert!(!session.members().are_ahead(&mine(4), "kubernetes", at(1)), "of another source");
    assert!(!session.members().are_ahead(&mine(4), "files", LOST_AFTER), "that one is gone");
}

#[test]
fn what_another_leader_tells_late_of_a_member_that_speaks_here_counts_for_nothing() {
    let mut session = published(A);
    let relayed = |root, silent_for| {
        let applied = Some((applied(root, 1), None));
        Event::Relayed(Relayed { member: member("w", "w"), applied, silent_for })
    };
    let has = |session: &Session| {
        let member = session.members().list(at(9_000)).next().unwrap();
        (member.applied.map(|applied| applied.root), member.elsewhere)
    };
    session.handle(Event::Heard { member: member("w", "w") }, at(1_000));
    session.handle(relayed(B, at(1_500)), at(2_000));
    assert_eq!(has(&session), (Some(B), false), "it has told nothing here");
    session.handle(ack("w", A, 1), at(3_000));
    session.handle(relayed(B, at(1_000)), at(4_000));
    assert_eq!(has(&session), (Some(A), false), "the other leader heard of it as long ago");
    session.handle(relayed(B, at(500)), at(4_000));
    assert_eq!(has(&session), (Some(B), true));
    session.handle(relayed(A, at(5_000)), at(5_000));
    assert_eq!(has(&session), (Some(B), true), "a third one, to which it spoke before");
}

#[test]
fn a_member_that_another_leader_told_of_speaks_here_with_its_own_credentials() {
    let mut session = published(A);
    let member = of_client("w", 1);
    let (silent_for, applied) = (Duration::ZERO, Some((applied(A, 1), None)));
    session.handle(Event::Relayed(Relayed { member: member.clone(), applied, silent_for }), at(0));
    heard(&mut session, member);
    assert!(session.members().list(at(1)).all(|member| !member.elsewhere));
}
