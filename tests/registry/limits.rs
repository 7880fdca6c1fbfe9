//! Attempts, waits, sizes.

use std::time::{Duration, Instant};

use dfmigrate::facts::{Images as _, Known};
use dfmigrate::registry::{Question, Stores};

use crate::fake::{Fake, Reply, Request, nobody};
use crate::{
    OCI_INDEX, allowing, ask, ask_with, assert_good, good, is_good, online, reference, says,
};

/// The first answers, then what a good registry says.
fn after(number: usize, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |request| {
        if request.number < number {
            reply()
        } else {
            good(request)
        }
    })
}

#[test]
fn passing_errors_are_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let fake = after(3, move || Reply::status(status));
        assert_good(ask(&fake));
        assert_eq!(fake.requests().len(), 4, "{status}");
    }
}

#[test]
fn after_four_attempts_it_is_given_up() {
    let fake = Fake::start(|_| Reply::status(503));
    says(ask(&fake), "answers 503, 4 times");
    assert_eq!(fake.requests().len(), 4);
}

#[test]
fn other_errors_are_not_asked_again() {
    for status in [400, 403, 410, 418, 451, 501] {
        let fake = Fake::start(move |_| Reply::status(status));
        says(ask(&fake), &format!("answers {status}"));
        assert_eq!(fake.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_connection_that_breaks_off_is_made_again() {
    let fake = after(2, || Reply::raw(|_| Ok(())));
    assert_good(ask(&fake));
}

#[test]
fn a_reset_in_the_middle_of_a_body_is_asked_again() {
    let fake = Fake::start(|request| {
        if request.method == "HEAD" {
            Reply::status(200).with("Content-Type", OCI_INDEX)
        } else if request.number < 3 {
            Reply::raw(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: 1000\r\n\r\n{\"manif")
            })
        } else {
            good(request)
        }
    });
    assert_good(ask(&fake));
    let fake = Fake::start(|_| Reply::raw(|out| out.write_all(b"HTTP/1.1 200 OK\r\nConte")));
    says(ask(&fake), "broke off");
    assert_eq!(fake.requests().len(), 4);
}

#[test]
fn retry_after_in_seconds_is_waited_for() {
    let fake = after(1, || Reply::status(429).with("Retry-After", "1"));
    let begun = Instant::now();
    assert_good(ask(&fake));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn retry_after_as_a_date_is_waited_for() {
    let date = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    let soon = date(2);
    let fake = after(1, move || {
        Reply::status(503).with("Retry-After", soon.clone())
    });
    assert_good(ask(&fake));
    assert_eq!(fake.requests().len(), 2);
    let past = date(-60);
    let fake = after(1, move || {
        Reply::status(429).with("Retry-After", past.clone())
    });
    assert_good(ask(&fake));
    let late = date(3600);
    let fake = Fake::start(move |_| Reply::status(429).with("Retry-After", late.clone()));
    says(ask(&fake), "it says to come back in 35");
}

#[test]
fn a_long_retry_after_ends_it_at_once_for_the_whole_host() {
    let fake = Fake::start(|_| {
        Reply::status(429)
            .with("Retry-After", "120")
            .body(r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull\u0007 rate limit"}]}"#)
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    let name = |tag: &str| reference(&format!("{}/app:{tag}", fake.host()));
    let digest = crate::sha256(b"x");
    says(
        registry.index(&reference(&format!("{}/app@{digest}", fake.host()))),
        "(429): You have reached your pull rate limit: it says to come back in 120 s",
    );
    says(registry.digest(&name("2")), "it said to come back in 1");
    assert_eq!(fake.requests().len(), 1, "the host was left in peace");
}

#[test]
fn once_a_host_limits_the_others_wait() {
    let fake = Fake::start(|request| {
        if request.number == 0 {
            Reply::status(429).with("Retry-After", "1")
        } else {
            good(request)
        }
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    let name = |tag: &str| reference(&format!("{}/app:{tag}", fake.host()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| registry.digest(&name("1")));
        while fake.requests().is_empty() {
            std::thread::yield_now();
        }
        // Time for the answer to come in.
        std::thread::sleep(Duration::from_millis(200));
        assert_good(registry.digest(&name("2")));
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert_good(first.join().unwrap());
    });
    assert_eq!(fake.requests().len(), 3);
}

#[test]
fn what_a_host_says_of_its_limits_is_read() {
    let fake = Fake::start(|request| {
        good(request)
            .with("RateLimit-Limit", "100;w=21600")
            .with("RateLimit-Remaining", "76;w=21600")
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    assert!(registry.summary().rates.is_empty());
    assert_good(registry.digest(&reference(&format!("{}/app:1", fake.host()))));
    let rates = registry.summary().rates;
    assert_eq!(rates[0].1.limit, "100;w=21600");
    assert_eq!(rates[0].1.remaining, "76;w=21600");
}

#[test]
fn a_slow_answer_is_given_up() {
    let fake = Fake::start(|_| {
        Reply::raw(|out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: 1000\r\n\r\n")?;
            for _ in 0..1000 {
                out.write_all(b"x")?;
                out.flush()?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        })
    });
    let mut policy = allowing(&[&fake]);
    policy.limits.reference = Duration::from_millis(300);
    let registry = online(policy, Stores::default());
    let index = registry.index(&reference(&format!(
        "{}/app@{}",
        fake.host(),
        crate::sha256(b"x")
    )));
    says(index, "did not answer within 300ms");
}

#[test]
fn silence_is_given_up() {
    let fake = Fake::start(|_| {
        Reply::raw(|_| {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        })
    });
    let mut policy = allowing(&[&fake]);
    policy.limits.reference = Duration::from_millis(200);
    says(
        ask_with(&fake, policy, Stores::default()),
        "did not answer within 200ms",
    );
}

/// A body that is sent for as long as it is read.
fn endless(head: &'static str) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| {
        if request.method == "HEAD" {
            return Reply::status(200).with("Content-Type", OCI_INDEX);
        }
        Reply::raw(move |out| {
            out.write_all(head.as_bytes())?;
            let chunk = [b' '; 16384];
            loop {
                out.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                out.write_all(&chunk)?;
                out.write_all(b"\r\n")?;
            }
        })
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_without_end_is_cut_off() {
    let fake = Fake::start(endless(CHUNKED));
    says(ask(&fake), "sends more than 4194304 bytes");
    assert_eq!(fake.count("GET", ""), 1, "it is not asked again");
}

#[test]
fn an_error_text_without_end_is_cut_off() {
    let fake = Fake::start(|_| {
        endless("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n")(&Request {
            method: "GET".into(),
            target: String::new(),
            headers: Default::default(),
            body: String::new(),
            number: 0,
        })
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    says(
        registry.tags(&reference(&format!("{}/app", fake.host()))),
        "answers 403",
    );
}

#[test]
fn a_manifest_of_100_mb_is_not_begun() {
    let fake = Fake::start(|request| {
        if request.method == "HEAD" {
            return Reply::status(200).with("Content-Type", OCI_INDEX);
        }
        Reply::raw(|out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: 104857600\r\n\r\n")?;
            for _ in 0..6400 {
                out.write_all(&[b' '; 16384])?;
            }
            Ok(())
        })
    });
    says(ask(&fake), "sends more than 4194304 bytes");
}

#[test]
fn a_compressed_body_is_refused_before_it_grows() {
    // 1 KiB of a gzip bomb is as bad as all of it.
    let fake = Fake::start(|request| {
        if request.method == "HEAD" {
            return Reply::status(200).with("Content-Type", OCI_INDEX);
        }
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        Reply::status(200)
            .with("Content-Type", OCI_INDEX)
            .with("Content-Encoding", "gzip")
            .body(vec![0x1f; 1024])
    });
    says(ask(&fake), "a compressed body, which was not asked for");
}

#[test]
fn headers_without_end_are_cut_off() {
    let fake = Fake::start(|_| {
        Reply::raw(|out| {
            out.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                out.write_all(b"X-Padding: ")?;
                out.write_all(&[b'x'; 4096])?;
                out.write_all(b"\r\n")?;
            }
        })
    });
    says(ask(&fake), "broke off");
}

#[test]
fn no_more_than_four_requests_go_to_a_host_at_once() {
    let fake = Fake::start(|request| {
        std::thread::sleep(Duration::from_millis(30));
        good(request)
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    let questions = (0..40).map(|n| Question::Digest(format!("{}/app:{n}", fake.host())));
    registry.ask_ahead(questions);
    assert_eq!(fake.requests().len(), 40);
    assert_eq!(fake.most_at_once(), 4);
    assert_eq!(registry.summary().resolved, 40);
}

#[test]
fn a_long_queue_costs_no_one_its_time() {
    let fake = Fake::start(|request| {
        std::thread::sleep(Duration::from_millis(50));
        good(request)
    });
    let mut policy = allowing(&[&fake]);
    // Less than all of them take together, more than each.
    policy.limits.reference = Duration::from_millis(600);
    policy.limits.per_host = 1;
    let registry = online(policy, Stores::default());
    registry.ask_ahead((0..24).map(|n| Question::Digest(format!("{}/app:{n}", fake.host()))));
    assert_eq!(registry.summary().resolved, 24, "{:?}", registry.summary());
}

#[test]
fn a_refused_connection_is_said_at_once() {
    let mut policy = allowing(&[]);
    let host = nobody().to_string();
    policy.insecure.insert(host.clone());
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference(&format!("{host}/app:1"))),
        "refuses connections",
    );
}

#[test]
fn a_host_that_can_not_be_reached_is_given_up() {
    // A listener whose queue is full takes no more connections.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
    {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue has no end");
    }
    let mut policy = allowing(&[]);
    policy.insecure.insert(address.to_string());
    policy.limits.connect = Duration::from_millis(100);
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference(&format!("{address}/app:1"))),
        "can't be reached within 100ms",
    );
}

#[test]
fn one_bad_reference_stops_no_other() {
    let fake = Fake::start(|request| {
        if request.target.contains("manifests/bad") {
            Reply::status(500)
        } else {
            good(request)
        }
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    let names: Vec<_> = ["1", "bad", "2"]
        .iter()
        .map(|tag| reference(&format!("{}/app:{tag}", fake.host())))
        .collect();
    let answers: Vec<_> = names.iter().map(|name| registry.digest(name)).collect();
    assert!(is_good(&answers[0]) && is_good(&answers[2]));
    assert!(matches!(answers[1], Known::Unknown(_)));
    let summary = registry.summary();
    assert_eq!((summary.resolved, summary.unknown.len()), (2, 1));
}
