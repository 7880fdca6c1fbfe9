//! A whole run: each question once, the cache, the lock file, offline.

use std::time::Duration;

use dfmigrate::facts::{Images as _, Known, ToldBy, Unavailable};
use dfmigrate::registry::{Cache, Config, Lock, Mode, Policy, Question, Registry, Stores};

use crate::fake::Fake;
use crate::{allowing, assert_good, good, online, reference, says};

fn with(mode: Mode, policy: Policy, cache: Option<&Cache>, lock: &Lock) -> Registry {
    Registry::new(Config {
        mode,
        policy,
        stores: Stores::default(),
        cache: cache.cloned(),
        lock: lock.clone(),
    })
}

#[test]
fn a_tag_is_asked_for_once_however_many_ask() {
    let fake = Fake::start(|request| {
        std::thread::sleep(Duration::from_millis(50));
        good(request)
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    std::thread::scope(|scope| {
        for n in 0..50 {
            let (registry, fake) = (&registry, &fake);
            scope.spawn(move || {
                // With a digest beside the tag it is the same tag.
                let digest = if n % 2 == 0 {
                    String::new()
                } else {
                    format!("@{}", crate::sha256(b"old"))
                };
                assert_good(registry.digest(&reference(&format!("{}/app:1{digest}", fake.host()))));
            });
        }
    });
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(registry.summary().resolved, 1);
}

#[test]
fn a_failure_is_asked_for_once_as_well() {
    let fake = Fake::start(|_| crate::Reply::status(403));
    let registry = online(allowing(&[&fake]), Stores::default());
    for _ in 0..5 {
        says(
            registry.digest(&reference(&format!("{}/app:1", fake.host()))),
            "is private",
        );
    }
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn questions_are_noted_ahead_and_asked_together() {
    let fake = Fake::start(good);
    let registry = online(allowing(&[&fake]), Stores::default());
    let name = reference(&format!("{}/app:1", fake.host()));
    let ahead = registry.ahead();
    assert_eq!(ahead.digest(&name), Known::Unknown(Unavailable::Offline));
    // What is behind the tag can't be asked before the tag is.
    assert_eq!(ahead.index(&name), Known::Unknown(Unavailable::Offline));
    let questions = ahead.questions();
    assert_eq!(questions.len(), 1);
    assert!(fake.requests().is_empty());
    registry.ask_ahead(questions);
    let ahead = registry.ahead();
    assert_good(ahead.digest(&name));
    assert_eq!(ahead.index(&name), Known::Unknown(Unavailable::Offline));
    let questions = ahead.questions();
    assert!(
        matches!(questions.first(), Some(Question::Index(_))),
        "{questions:?}"
    );
    registry.ask_ahead(questions);
    let ahead = registry.ahead();
    assert!(matches!(ahead.index(&name), Known::Yes(_)));
    assert!(ahead.questions().is_empty());
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn the_cache_answers_while_it_is_fresh_and_offline_at_any_age() {
    let fake = Fake::start(good);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("cache"));
    let lock = Lock::default();
    let name = reference(&format!("{}/app:1", fake.host()));
    let first = with(Mode::Online, allowing(&[&fake]), Some(&cache), &lock);
    assert_good(first.digest(&name));
    assert!(matches!(first.index(&name), Known::Yes(_)));
    assert!(first.created(&name).yes().is_some());
    let asked = fake.requests().len();
    let second = with(Mode::Online, allowing(&[&fake]), Some(&cache), &lock);
    assert_good(second.digest(&name));
    assert_eq!(second.index(&name), first.index(&name));
    assert_eq!(second.created(&name), first.created(&name));
    assert_eq!(fake.requests().len(), asked);
    assert_eq!(second.summary().cached, 1);
    // Stale: the tag is asked again, what is behind the digest is not.
    let mut policy = allowing(&[&fake]);
    policy.limits.fresh = Duration::ZERO;
    let third = with(Mode::Online, policy.clone(), Some(&cache), &lock);
    assert_good(third.digest(&name));
    assert!(matches!(third.index(&name), Known::Yes(_)));
    assert_eq!(fake.requests().len(), asked + 1);
    let offline = with(Mode::Offline, policy, Some(&cache), &lock);
    assert_good(offline.digest(&name));
    assert_eq!(offline.index(&name), first.index(&name));
    assert_eq!(offline.digest(&name).yes().unwrap().told_by, ToldBy::Cache);
    let other = reference(&format!("{}/other:1", fake.host()));
    assert_eq!(offline.digest(&other), Known::Unknown(Unavailable::Offline));
    assert_eq!(offline.tags(&name), Known::Unknown(Unavailable::Offline));
    assert_eq!(
        offline.get_json("https://hub.docker.com/"),
        Known::Unknown(Unavailable::Offline)
    );
    assert_eq!(fake.requests().len(), asked + 1);
}

#[test]
fn the_lock_file_answers_alone_where_that_is_asked() {
    let fake = Fake::start(|request| {
        if request.target.contains("absent") {
            crate::Reply::status(404)
        } else {
            good(request)
        }
    });
    let name = |tag: &str| reference(&format!("{}/app:{tag}", fake.host()));
    let first = online(allowing(&[&fake]), Stores::default());
    assert_good(first.digest(&name("1")));
    assert!(matches!(first.index(&name("1")), Known::Yes(_)));
    assert_eq!(first.digest(&name("absent")), Known::No);
    let lock = Lock::default().with(first.records());
    assert_eq!(lock.text().lines().count(), 4, "{}", lock.text());
    let asked = fake.requests().len();
    let locked = with(Mode::Locked, allowing(&[&fake]), None, &lock);
    assert_good(locked.digest(&name("1")));
    assert_eq!(locked.index(&name("1")), first.index(&name("1")));
    assert_eq!(locked.digest(&name("absent")), Known::No);
    assert!(locked.summary().not_locked.is_empty());
    assert!(lock.changes(&lock.with(locked.records())).is_empty());
    says(locked.digest(&name("2")), "dfmigrate.lock has no line for");
    assert_eq!(
        locked.summary().not_locked,
        [format!("{}/app:2", fake.host())]
    );
    assert_eq!(fake.requests().len(), asked);
    assert_eq!(locked.summary().locked, 1);
}

#[test]
fn offline_threads_share_one_answer() {
    let registry = with(Mode::Offline, Policy::default(), None, &Lock::default());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for tag in 0..50 {
                    let name = reference(&format!("node:{tag}"));
                    assert_eq!(registry.digest(&name), Known::Unknown(Unavailable::Offline));
                }
            });
        }
    });
}
