//! Which hosts are contacted: redirects, names, certificates, mirrors, proxies.

use std::sync::Arc;

use dfmigrate::facts::{Images as _, Known};
use dfmigrate::registry::{Policy, Proxies, Stores};

use crate::fake::{Fake, Reply, authority};
use crate::{
    allowing, ask, ask_with, assert_good, good, manifest, online, passwords, quick, reference,
    says, usual_index,
};

fn to(url: String) -> Fake {
    Fake::start(move |_| Reply::status(307).with("Location", url.clone()))
}

#[test]
fn a_host_that_the_user_does_not_name_is_not_contacted() {
    let fake = Fake::start(good);
    let registry = online(Policy::default(), Stores::default());
    let port = fake.address.port();
    for (host, part) in [
        (fake.host(), "is an address"),
        (format!("localhost:{port}"), "is this machine"),
        (format!("[::1]:{port}"), "is an address"),
        (format!("0x7f.1:{port}"), "is an address"),
        (format!("127.1:{port}"), "is an address"),
        (
            "registry.example.com".to_owned(),
            "is not a well-known public registry",
        ),
    ] {
        let answer = registry.digest(&reference(&format!("{host}/app:1")));
        says(answer, part);
    }
    assert_eq!(fake.connections(), 0);
    let notes = registry.summary().notes;
    assert_eq!(notes.len(), 6);
    assert!(
        notes.iter().all(|note| note.contains("--ask-registry ")),
        "{notes:?}"
    );
    // Said once, however often it is asked.
    let _ = registry.digest(&reference("registry.example.com/other:2"));
    assert_eq!(registry.summary().notes.len(), 6);
}

#[test]
fn a_link_local_address_is_never_contacted() {
    let mut policy = allowing(&[]);
    policy.insecure.insert("169.254.169.254".into());
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference("169.254.169.254/app:1")),
        "which is never contacted",
    );
    assert!(!registry.summary().notes[0].contains("--ask-registry"));
}

#[test]
fn a_known_name_that_stands_for_a_private_address_is_not_contacted() {
    let fake = Fake::start_tls(good);
    let mut policy = allowing(&[]);
    policy
        .addresses
        .insert("registry-1.docker.io".into(), vec![fake.address]);
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference("app:1")),
        "registry-1.docker.io stands for 127.0.0.1, a private address",
    );
    assert_eq!(fake.connections(), 0);
}

#[test]
fn a_name_with_one_bad_address_among_good_ones_is_not_contacted() {
    let mut policy = allowing(&[]);
    let addresses = ["203.0.114.1:443", "169.254.169.254:443"].map(|a| a.parse().unwrap());
    policy
        .addresses
        .insert("ghcr.io".into(), addresses.to_vec());
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference("ghcr.io/a/b:1")),
        "a link-local or reserved address, which is never contacted",
    );
}

#[test]
fn a_redirect_to_another_host_takes_no_authorization_along() {
    let store = Fake::start(|_| manifest(&usual_index()));
    let target = store.url("/blob");
    let fake = Fake::start(move |request| match request.authorization() {
        Some("Basic dTpz") => Reply::status(307).with("Location", target.clone()),
        _ => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    assert_good(ask_with(&fake, allowing(&[&fake, &store]), stores));
    assert_eq!(store.requests()[0].authorization(), None);
}

#[test]
fn a_redirect_on_the_same_host_keeps_it() {
    let fake = Fake::start(|request| match request.authorization() {
        None => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) if request.target == "/moved" => manifest(&usual_index()),
        Some(_) => Reply::status(301).with("Location", "/moved"),
    });
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    assert_good(ask_with(&fake, allowing(&[&fake]), stores));
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let plain = Fake::start(good);
    let url = plain.url("/v2/app/manifests/1");
    let fake = Fake::start_tls(move |_| Reply::status(302).with("Location", url.clone()));
    let answer = ask_with(&fake, allowing(&[&fake, &plain]), Stores::default());
    says(answer, "redirects from https to http: it is not followed");
    assert_eq!(plain.connections(), 0);
}

#[test]
fn a_redirect_to_a_private_host_is_not_followed() {
    let inner = Fake::start_tls(good);
    says(
        ask(&to(inner.url("/v2/app/manifests/1"))),
        "127.0.0.1 is a private address",
    );
    says(
        ask(&to("https://169.254.169.254/latest/meta-data".into())),
        "link-local",
    );
    says(ask(&to("https://[fe80::1]/x".into())), "link-local");
    says(ask(&to("http://intranet/x".into())), "plain HTTP");
    says(
        ask(&to("gopher://127.0.0.1/x".into())),
        "is no scheme of a registry",
    );
    says(
        ask(&to("https://u:p@ghcr.io/x".into())),
        "has a user name or password in it",
    );
    assert_eq!(inner.connections(), 0);
}

#[test]
fn redirects_have_an_end() {
    let fake =
        Fake::start(|request| Reply::status(302).with("Location", format!("/{}", request.number)));
    says(ask(&fake), "redirects more than 5 times");
    assert_eq!(fake.requests().len(), 6);
    says(
        ask(&Fake::start(|_| Reply::status(302))),
        "redirects to nowhere",
    );
}

#[test]
fn tls_is_spoken_with_the_users_authority() {
    let fake = Fake::start_tls(good);
    assert_good(ask(&fake));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_said() {
    let fake = Fake::start_tls(good);
    let mut policy = allowing(&[&fake]);
    policy.authorities.clear();
    says(
        ask_with(&fake, policy, Stores::default()),
        "no trusted connection to 127.0.0.1",
    );
    assert!(fake.requests().is_empty());
}

#[test]
fn a_certificate_of_another_name_is_said() {
    let fake = Fake::start_tls(good);
    let mut policy = allowing(&[]);
    policy.allow.insert("other.example".into());
    policy
        .addresses
        .insert("other.example".into(), vec![fake.address]);
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference("other.example/app:1")),
        "no trusted connection to other.example",
    );
}

#[test]
fn a_file_without_authorities_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "nothing").unwrap();
    let fake = Fake::start_tls(good);
    let mut policy = allowing(&[&fake]);
    policy.authorities = vec![path];
    says(
        ask_with(&fake, policy, Stores::default()),
        "empty.pem has no certificate in it",
    );
}

#[test]
fn plain_text_where_tls_is_expected_is_said() {
    let fake = Fake::start(good);
    let mut policy = allowing(&[]);
    policy.allow.insert(fake.host());
    says(
        ask_with(&fake, policy, Stores::default()),
        "tls handshake eof",
    );
}

#[test]
fn a_name_that_is_none_is_said() {
    let mut policy = allowing(&[]);
    policy.allow.insert("no-such-host.invalid".into());
    let registry = online(policy, Stores::default());
    says(
        registry.digest(&reference("no-such-host.invalid/app:1")),
        "the name no-such-host.invalid can't be resolved",
    );
}

#[test]
fn ipv6_is_spoken() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    let fake = Fake::listen("[::1]:0", false, Arc::new(good));
    assert_good(ask(&fake));
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_where_it_has_nothing() {
    let mirror = Fake::start(|request| {
        if request.target.contains("/node/") {
            manifest(&usual_index())
        } else {
            Reply::status(404)
        }
    });
    let hub = Fake::start_tls(|_| manifest(&usual_index()));
    let mut policy = allowing(&[&mirror]);
    policy
        .mirrors
        .insert("docker.io".into(), vec![mirror.host()]);
    policy.allow.insert("registry-1.docker.io".into());
    policy
        .addresses
        .insert("registry-1.docker.io".into(), vec![hub.address]);
    let registry = online(policy, passwords(&[("docker.io", "u", "s")]));
    assert_good(registry.digest(&reference("node:20")));
    assert_eq!(hub.connections(), 0);
    assert_good(registry.digest(&reference("python:3")));
    assert_eq!(hub.requests()[0].target, "/v2/library/python/manifests/3");
    assert!(
        mirror
            .requests()
            .iter()
            .all(|r| r.authorization().is_none())
    );
}

#[test]
fn a_proxy_is_used_and_those_except_are_not() {
    let fake = Fake::start(good);
    let proxy = Fake::start(|request| {
        assert!(request.target.starts_with("http://"), "{}", request.target);
        manifest(&usual_index())
    });
    let mut policy = allowing(&[&fake]);
    policy.proxies.http = Some(proxy.url(""));
    assert_good(ask_with(&fake, policy.clone(), Stores::default()));
    assert_eq!((proxy.requests().len(), fake.requests().len()), (1, 0));
    policy.proxies.except = Some("127.0.0.1".into());
    assert_good(ask_with(&fake, policy, Stores::default()));
    assert_eq!((proxy.requests().len(), fake.requests().len()), (1, 1));
}

#[test]
fn https_goes_through_a_proxys_tunnel() {
    let proxy = Fake::start(|_| Reply::status(502));
    let fake = Fake::start_tls(good);
    let mut policy = allowing(&[&fake]);
    policy.proxies = Proxies {
        https: Some(format!("http://me:sesame@{}", proxy.host())),
        ..Proxies::default()
    };
    assert!(!format!("{policy:?}").contains("sesame"));
    let why = crate::why(ask_with(&fake, policy, Stores::default()));
    assert!(!why.contains("sesame"), "{why}");
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(fake.connections(), 0);
}

#[test]
fn json_of_an_api_is_read_under_the_same_limits() {
    let fake = Fake::start_tls(|request| match request.target.as_str() {
        "/orgs/x" => Reply::json(r#"{"badge":"open_source"}"#),
        "/big" => Reply::json(" ".repeat(300 << 10)),
        "/page" => Reply::status(200).body("<html>"),
        "/away" => Reply::status(302).with("Location", "https://10.0.0.1/"),
        _ => Reply::status(404),
    });
    let mut policy = allowing(&[&fake]);
    policy.limits = quick();
    policy.authorities = vec![authority().pem.clone()];
    let registry = online(policy, Stores::default());
    let get = |path: &str| registry.get_json(&fake.url(path));
    let Known::Yes(value) = get("/orgs/x") else {
        panic!("no answer");
    };
    assert_eq!(value["badge"], "open_source");
    assert_eq!(get("/none"), Known::No);
    says(get("/big"), "sends more than 262144 bytes");
    says(get("/page"), "something that is no JSON");
    says(get("/away"), "10.0.0.1 is a private address");
    let nobody_named_it = online(
        Policy {
            limits: quick(),
            ..Policy::default()
        },
        Stores::default(),
    );
    says(
        nobody_named_it.get_json(&fake.url("/orgs/x")),
        "127.0.0.1 is a private address",
    );
    says(
        nobody_named_it.get_json("http://hub.docker.com/v2/"),
        "plain HTTP",
    );
}
