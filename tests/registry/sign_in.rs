//! Challenges, token services, credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dfmigrate::facts::{Images as _, Known};
use dfmigrate::registry::Stores;

use crate::fake::{self, Fake, Reply, Request};
use crate::{
    allowing, ask, ask_with, assert_good, good, online, passwords, quick, reference, says, why,
};

const BASIC_UP: &str = "Basic dTpz"; // u:s

fn challenge(realm: &str) -> Reply {
    Reply::status(401).with(
        "WWW-Authenticate",
        format!(r#"Bearer realm="{realm}",service="svc",scope="repository:app:pull,push,delete""#),
    )
}

/// A registry that wants `Bearer good`, from its own `/token`, which answers so.
fn with_tokens(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |request| {
        if request.target.starts_with("/token") {
            return answer(request);
        }
        match request.authorization() {
            Some("Bearer good") => good(request),
            _ => challenge(&format!("http://{}/token", request.header("host").unwrap())),
        }
    })
}

/// A registry whose token service is elsewhere.
fn with_realm(realm: &str) -> Fake {
    let realm = realm.to_owned();
    Fake::start(move |request| match request.authorization() {
        Some("Bearer good") => good(request),
        _ => challenge(&realm),
    })
}

#[test]
fn a_401_without_a_challenge_is_said() {
    let fake = Fake::start(|_| Reply::status(401));
    says(ask(&fake), "does not say how to sign in");
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn a_malformed_challenge_is_said() {
    let fake =
        Fake::start(|_| Reply::status(401).with("WWW-Authenticate", "Bearer realm=\"http://half"));
    says(ask(&fake), "its challenge is malformed");
}

#[test]
fn a_way_of_signing_in_that_is_not_known_is_said() {
    let fake = Fake::start(|_| Reply::status(401).with("WWW-Authenticate", "Negotiate"));
    says(ask(&fake), "a way of signing in that is not known");
}

#[test]
fn an_anonymous_token_asks_to_pull_and_no_more() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"good","expires_in":300}"#));
    assert_good(ask(&fake));
    let token = &fake.requests()[1];
    assert_eq!(
        token.target,
        "/token?service=svc&scope=repository%3Aapp%3Apull"
    );
    assert_eq!(token.authorization(), None);
}

#[test]
fn an_access_token_alone_will_do() {
    let fake = with_tokens(|_| Reply::json(r#"{"access_token":"good"}"#));
    assert_good(ask(&fake));
}

#[test]
fn stored_credentials_go_to_the_token_service_of_the_same_host() {
    let fake = with_tokens(|request| match request.authorization() {
        Some(BASIC_UP) => Reply::json(r#"{"token":"good"}"#),
        _ => Reply::status(403),
    });
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    assert_good(ask_with(&fake, allowing(&[&fake]), stores));
    let to_registry = fake.requests();
    assert!(
        to_registry
            .iter()
            .filter(|r| r.target.starts_with("/v2/"))
            .all(|r| r.authorization() != Some(BASIC_UP)),
        "the password went to the registry as well"
    );
}

#[test]
fn a_basic_challenge_gets_the_stored_password() {
    let fake = Fake::start(|request| match request.authorization() {
        Some(BASIC_UP) => good(request),
        _ => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    assert_good(ask_with(&fake, allowing(&[&fake]), stores));
    says(ask(&fake), "is private, or not there");
}

#[test]
fn credentials_of_another_host_stay_home() {
    let fake = Fake::start(|_| Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""));
    let stores = passwords(&[
        ("127.0.0.1:1", "u", "s"),
        ("127.0.0.1", "u", "s"),
        ("docker.io", "u", "s"),
    ]);
    says(
        ask_with(&fake, allowing(&[&fake]), stores),
        "is private, or not there",
    );
    assert!(fake.requests().iter().all(|r| r.authorization().is_none()));
}

#[test]
fn a_realm_on_another_port_gets_no_credentials() {
    let service = Fake::start(|_| Reply::json(r#"{"token":"good"}"#));
    let fake = with_realm(&service.url("/token"));
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    let mut policy = allowing(&[&fake, &service]);
    let registry = online(policy.clone(), stores.clone());
    let name = reference(&format!("{}/app:1", fake.host()));
    assert_good(registry.digest(&name));
    assert_eq!(service.requests()[0].authorization(), None);
    let notes = registry.summary().notes.join("\n");
    assert!(notes.contains("were not sent to"), "{notes}");
    assert!(notes.contains("--token-host"), "{notes}");
    // With the user's word they go there.
    policy
        .token_hosts
        .insert(fake.host(), [service.host()].into());
    assert_good(ask_with(&fake, policy, stores));
    assert_eq!(service.requests()[1].authorization(), Some(BASIC_UP));
}

#[test]
fn a_realm_on_another_host_in_plain_http_is_not_contacted() {
    let service = Fake::start(|_| Reply::json(r#"{"token":"good"}"#));
    let fake = with_realm(&service.url("/token"));
    says(ask(&fake), "would be spoken to in plain HTTP");
    assert_eq!(service.connections(), 0);
}

#[test]
fn a_realm_with_a_user_in_it_is_not_contacted() {
    let service = Fake::start(|_| Reply::json(r#"{"token":"good"}"#));
    let fake = with_realm(&format!("http://a:b@{}/token", service.host()));
    let policy = allowing(&[&fake, &service]);
    says(
        ask_with(&fake, policy, Stores::default()),
        "has a user name or password in it",
    );
    assert_eq!(service.connections(), 0);
}

#[test]
fn a_realm_at_a_private_address_is_not_contacted() {
    let service = Fake::start_tls(|_| Reply::json(r#"{"token":"good"}"#));
    let fake = with_realm(&service.url("/token"));
    says(ask(&fake), "127.0.0.1 is a private address");
    assert_eq!(service.connections(), 0);
}

#[test]
fn a_realm_at_a_link_local_address_is_never_contacted() {
    let fake = with_realm("https://169.254.169.254/token");
    let mut policy = allowing(&[&fake]);
    policy.allow.insert("169.254.169.254".into());
    says(ask_with(&fake, policy, Stores::default()), "link-local");
}

#[test]
fn a_realm_by_name_is_held_to_the_address_it_stands_for() {
    let service = Fake::start_tls(|_| Reply::json(r#"{"token":"good"}"#));
    let fake = with_realm("https://tokens.example/token");
    let mut policy = allowing(&[&fake]);
    policy
        .addresses
        .insert("tokens.example".into(), vec![service.address]);
    says(
        ask_with(&fake, policy, Stores::default()),
        "tokens.example stands for 127.0.0.1, a private address",
    );
    assert_eq!(service.connections(), 0);
}

#[test]
fn a_realm_that_is_no_url_is_said() {
    let fake = with_realm("http://[");
    says(ask(&fake), "names a token service that is no URL");
    let fake = with_realm("file:///etc/passwd");
    says(ask(&fake), "is not contacted");
}

#[test]
fn a_token_service_that_redirects_is_not_followed() {
    let elsewhere = Fake::start(|_| Reply::json(r#"{"token":"good"}"#));
    let to = elsewhere.url("/token");
    let fake = with_tokens(move |_| Reply::status(302).with("Location", to.clone()));
    let stores = passwords(&[(&fake.host(), "u", "s")]);
    let answer = ask_with(&fake, allowing(&[&fake, &elsewhere]), stores);
    says(answer, "which is not followed here");
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_empty_token_is_said() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"","access_token":""}"#));
    says(ask(&fake), "answers with an empty one");
    let fake = with_tokens(|_| Reply::json("{}"));
    says(ask(&fake), "answers with an empty one");
}

#[test]
fn a_token_with_line_ends_is_refused_and_not_shown() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"sesame\r\nX-Evil: 1"}"#));
    let why = why(ask(&fake));
    assert!(why.contains("characters that are not allowed"), "{why}");
    assert!(!why.contains("sesame"), "{why}");
    assert_eq!(fake.requests().len(), 2, "nothing was sent with it");
}

#[test]
fn a_token_over_the_cap_is_refused() {
    let fake = with_tokens(|_| Reply::json(format!(r#"{{"token":"{}"}}"#, "x".repeat(65 << 10))));
    says(ask(&fake), "sends more than 65536 bytes");
}

#[test]
fn a_token_answer_that_is_no_json_is_said_but_not_shown() {
    let fake = with_tokens(|_| Reply::json("sesame"));
    let why = why(ask(&fake));
    assert!(why.contains("answers with something else"), "{why}");
    assert!(!why.contains("sesame"), "{why}");
}

#[test]
fn a_failing_token_service_is_asked_four_times() {
    let fake = with_tokens(|_| Reply::status(500).body("boom"));
    says(ask(&fake), "answers 500, 4 times");
    assert_eq!(fake.count("GET", "/token"), 4);
}

#[test]
fn a_refused_password_is_said_without_it() {
    let fake =
        with_tokens(|_| Reply::status(401).body(r#"{"details":"incorrect username or password"}"#));
    let stores = passwords(&[(&fake.host(), "u", "sesame")]);
    let why = why(ask_with(&fake, allowing(&[&fake]), stores));
    assert!(
        why.contains("answers 401: incorrect username or password"),
        "{why}"
    );
    assert!(!why.contains("sesame"), "{why}");
}

#[test]
fn a_token_that_expires_in_the_run_is_renewed() {
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    let fake = Fake::start(move |request| {
        if request.target.starts_with("/token") {
            let n = count.fetch_add(1, Ordering::SeqCst);
            return Reply::json(format!(r#"{{"token":"t{n}","expires_in":300}}"#));
        }
        // The first token is revoked as soon as it was used once.
        let used_before = request.target.contains("manifests/2");
        match request.authorization() {
            Some("Bearer t0") if !used_before => good(request),
            Some("Bearer t1") => good(request),
            _ => challenge(&format!("http://{}/token", request.header("host").unwrap())),
        }
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    assert_good(registry.digest(&reference(&format!("{}/app:1", fake.host()))));
    assert_good(registry.digest(&reference(&format!("{}/app:2", fake.host()))));
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[test]
fn a_token_is_used_again_while_it_lasts() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"good","expires_in":300}"#));
    let registry = online(allowing(&[&fake]), Stores::default());
    for tag in ["1", "2", "3"] {
        assert_good(registry.digest(&reference(&format!("{}/app:{tag}", fake.host()))));
    }
    assert_eq!(fake.count("GET", "/token"), 1);
    // One request without a token, and one for each tag.
    assert_eq!(fake.count("HEAD", "/v2/"), 4);
}

#[test]
fn an_identity_token_is_posted_and_goes_into_no_url() {
    let fake = with_tokens(|request| {
        if request.method == "POST" && request.body.contains("refresh_token=idt%2B1") {
            Reply::json(r#"{"access_token":"good"}"#)
        } else {
            Reply::status(400)
        }
    });
    let stores = Stores {
        inline: Some(format!(
            r#"{{"auths": {{"{}": {{"identitytoken": "idt+1"}}}}}}"#,
            fake.host()
        )),
        files: vec![],
    };
    assert_good(ask_with(&fake, allowing(&[&fake]), stores));
    let post = fake
        .requests()
        .into_iter()
        .find(|r| r.method == "POST")
        .unwrap();
    assert_eq!(post.target, "/token");
    assert!(
        post.body.contains("grant_type=refresh_token"),
        "{}",
        post.body
    );
    assert!(
        post.body.contains("scope=repository%3Aapp%3Apull"),
        "{}",
        post.body
    );
}

#[test]
fn docker_hubs_own_token_host_gets_its_credentials() {
    let service = Fake::start_tls(|request| match request.authorization() {
        Some(BASIC_UP) => Reply::json(r#"{"token":"good"}"#),
        _ => Reply::status(401),
    });
    let hub = Fake::start_tls(|request| match request.authorization() {
        Some("Bearer good") if request.target.starts_with("/v2/library/node/") => {
            crate::manifest(&crate::usual_index())
        }
        _ => challenge("https://auth.docker.io/token"),
    });
    let mut policy = allowing(&[]);
    for (name, fake) in [("registry-1.docker.io", &hub), ("auth.docker.io", &service)] {
        policy.addresses.insert(name.into(), vec![fake.address]);
        policy.allow.insert(name.into());
    }
    for key in [
        "https://index.docker.io/v1/",
        "docker.io",
        "index.docker.io",
    ] {
        let registry = online(policy.clone(), passwords(&[(key, "u", "s")]));
        assert_good(registry.digest(&reference("node:20")));
    }
    assert!(
        hub.requests()
            .iter()
            .all(|r| r.authorization() != Some(BASIC_UP))
    );
}

#[test]
fn an_image_that_is_private_and_one_that_is_missing_are_told_apart() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"good"}"#));
    let registry = online(allowing(&[&fake]), Stores::default());
    let missing = registry.digest(&reference(&format!("{}/other:1", fake.host())));
    assert_eq!(missing, Known::No);
    let private = Fake::start(|request| {
        if request.target.starts_with("/token") {
            Reply::json(r#"{"token":"weak"}"#)
        } else {
            challenge(&format!("http://{}/token", request.header("host").unwrap())).body(
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication\u001b[31m required"}]}"#,
            )
        }
    });
    let why = why(ask(&private));
    assert!(why.contains("is private, or not there"), "{why}");
}

#[cfg(unix)]
mod helpers {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    /// Runs this test program's `child` test with a helper of that text on the
    /// path, since a process has one environment.
    fn with_helper(script: Option<&str>, fake: &Fake) -> String {
        let folder = tempfile::tempdir().unwrap();
        if let Some(script) = script {
            let path = folder.path().join("docker-credential-test");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(
            folder.path().join("config.json"),
            r#"{"credsStore": "test"}"#,
        )
        .unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sign_in::helpers::child", "--nocapture"])
            .env("PATH", path)
            .env("DOCKER_CONFIG", folder.path())
            .env("HOME", folder.path())
            .env_remove("DOCKER_AUTH_CONFIG")
            .env_remove("REGISTRY_AUTH_FILE")
            .env("HELPER_TEST_HOST", fake.host())
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Asks with the stores of the environment; does something only where
    /// `with_helper` started it.
    #[test]
    fn child() {
        let Ok(host) = std::env::var("HELPER_TEST_HOST") else {
            return;
        };
        let mut policy = allowing(&[]);
        policy.insecure.insert(host.clone());
        policy.limits = quick();
        policy.limits.helper = Duration::from_millis(800);
        let registry = online(policy, Stores::from_env());
        let answer = registry.digest(&reference(&format!("{host}/app:1")));
        println!("good: {}", crate::is_good(&answer));
        println!("{answer:?} {:?}", registry.summary().notes);
    }

    fn public() -> Fake {
        with_tokens(|request| match request.authorization() {
            None | Some(BASIC_UP) => Reply::json(r#"{"token":"good"}"#),
            _ => Reply::status(401),
        })
    }

    #[test]
    fn a_helper_is_asked_for_the_host_alone() {
        let fake = public();
        let host = fake.host();
        let script = format!(
            r#"read server; [ "$1 $server" = "get {host}" ] && echo '{{"Username":"u","Secret":"s"}}'"#
        );
        let said = with_helper(Some(&script), &fake);
        assert!(said.contains("good: true"), "{said}");
        assert_eq!(fake.requests()[1].authorization(), Some(BASIC_UP));
    }

    #[test]
    fn a_missing_helper_is_said_and_the_image_asked_for_without_it() {
        let fake = public();
        let said = with_helper(None, &fake);
        assert!(said.contains("good: true"), "{said}");
        assert!(
            said.contains("docker-credential-test is not installed"),
            "{said}"
        );
    }

    #[test]
    fn a_hanging_helper_is_given_up() {
        let fake = public();
        let said = with_helper(Some("sleep 30"), &fake);
        assert!(said.contains("good: true"), "{said}");
        assert!(said.contains("did not answer within 800ms"), "{said}");
    }

    #[test]
    fn a_helper_that_prints_garbage_is_said_without_it() {
        let fake = public();
        let said = with_helper(Some("echo sesame"), &fake);
        assert!(said.contains("good: true"), "{said}");
        assert!(
            said.contains("answers with something that is no credential"),
            "{said}"
        );
        assert!(!said.contains("sesame"), "{said}");
    }

    #[test]
    fn a_helper_that_fails_is_said_without_its_words() {
        let fake = public();
        let said = with_helper(Some("echo sesame; exit 3"), &fake);
        assert!(said.contains("good: true"), "{said}");
        assert!(said.contains("failed (exit status: 3)"), "{said}");
        assert!(!said.contains("sesame"), "{said}");
        // "Not found" is no failure.
        let said = with_helper(
            Some("echo credentials not found in native keychain; exit 1"),
            &fake,
        );
        assert!(said.contains("good: true"), "{said}");
        assert!(said.contains("[]"), "{said}");
    }

    #[test]
    fn an_endless_helper_is_cut_off() {
        let fake = public();
        let said = with_helper(Some("yes"), &fake);
        assert!(said.contains("good: true"), "{said}");
        assert!(said.contains("more than 65536 bytes"), "{said}");
    }
}

#[test]
fn odd_files_of_credentials_are_said_and_passed_over() {
    let fake = with_tokens(|_| Reply::json(r#"{"token":"good"}"#));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good_entry = format!(r#"{{"auths": {{"{}": {{"auth": "dTpz"}}}}}}"#, fake.host());
    let stores = Stores {
        inline: None,
        files: vec![
            folder.path().join("missing.json"),
            file("broken.json", "{\"auths\": sesame"),
            file(
                "odd.json",
                "{\"auths\": null, \"credHelpers\": null, \"x\": 1}",
            ),
            file("helper.json", "{\"credsStore\": \"../../evil\"}"),
            file("good.json", &good_entry),
        ],
    };
    let registry = online(allowing(&[&fake]), stores);
    assert_good(registry.digest(&reference(&format!("{}/app:1", fake.host()))));
    assert_eq!(fake.requests()[1].authorization(), Some(BASIC_UP));
    let notes = registry.summary().notes.join("\n");
    assert!(
        notes.contains("broken.json is not in Docker's form"),
        "{notes}"
    );
    assert!(notes.contains("it is not started"), "{notes}");
    assert!(!notes.contains("sesame"), "{notes}");
}

#[test]
fn nothing_secret_is_in_any_debug_output() {
    let stores = passwords(&[("a.example", "u", "sesame")]);
    let config = dfmigrate::registry::Config {
        mode: dfmigrate::registry::Mode::Online,
        policy: allowing(&[]),
        stores,
        cache: None,
        lock: dfmigrate::registry::Lock::default(),
    };
    assert!(!format!("{config:?}").contains("sesame"));
    assert!(fake::answers(Fake::start(good).address));
}
