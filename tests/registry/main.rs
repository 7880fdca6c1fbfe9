//! The client against registries that misbehave, each over real TCP on
//! loopback; what comes of it and what the user is told.

mod bodies;
mod cli;
mod fake;
mod hosts;
mod limits;
mod runs;
mod sign_in;
mod trust;

use std::time::Duration;

use dfmigrate::facts::{Images as _, Known, Resolved, Unavailable};
use dfmigrate::image::Reference;
use dfmigrate::registry::{Config, Limits, Lock, Mode, Policy, Registry, Stores};

use fake::{Fake, Reply, Request};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The product's limits with shorter times.
fn quick() -> Limits {
    Limits {
        backoff: Duration::from_millis(1),
        helper: Duration::from_millis(300),
        reference: Duration::from_secs(20),
        ..Limits::default()
    }
}

/// A policy that lets those be asked: in plain HTTP, or with the tests' authority.
fn allowing(fakes: &[&Fake]) -> Policy {
    let mut policy = Policy {
        limits: quick(),
        authorities: vec![fake::authority().pem.clone()],
        ..Policy::default()
    };
    for fake in fakes {
        if fake.tls {
            policy.allow.insert(fake.host());
        } else {
            policy.insecure.insert(fake.host());
        }
    }
    policy
}

fn online(policy: Policy, stores: Stores) -> Registry {
    Registry::new(Config {
        mode: Mode::Online,
        policy,
        stores,
        cache: None,
        lock: Lock::default(),
    })
}

/// Credentials for hosts, in Docker's form.
fn passwords(entries: &[(&str, &str, &str)]) -> Stores {
    let entries: Vec<String> = entries
        .iter()
        .map(|(host, user, password)| {
            format!(r#""{host}": {{"username": "{user}", "password": "{password}"}}"#)
        })
        .collect();
    Stores {
        inline: Some(format!(r#"{{"auths": {{{}}}}}"#, entries.join(", "))),
        files: Vec::new(),
    }
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// What the tag `app:1` of a registry is, without credentials.
fn ask(fake: &Fake) -> Known<Resolved> {
    ask_with(fake, allowing(&[fake]), Stores::default())
}

fn ask_with(fake: &Fake, policy: Policy, stores: Stores) -> Known<Resolved> {
    let name = reference(&format!("{}/app:1", fake.host()));
    online(policy, stores).digest(&name)
}

/// The reason of an unknown answer.
fn why<T: std::fmt::Debug>(answer: Known<T>) -> String {
    match answer {
        Known::Unknown(Unavailable::Failed(why)) => {
            assert!(why.chars().all(|c| !c.is_control()), "{why:?}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn says<T: std::fmt::Debug>(answer: Known<T>, part: &str) {
    let why = why(answer);
    assert!(why.contains(part), "{why:?} does not say {part:?}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn platform_digest(name: &str) -> String {
    sha256(name.as_bytes())
}

/// An index of those platforms, with an attestation.
fn index_of(platforms: &[&str]) -> String {
    let mut entries: Vec<String> = platforms
        .iter()
        .map(|name| {
            let (os, arch) = name.split_once('/').unwrap();
            format!(
                r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":1,"platform":{{"os":"{os}","architecture":"{arch}"}},"annotations":{{"org.opencontainers.image.base.name":"debian:bookworm","org.opencontainers.image.created":"2026-08-01T02:03:04Z"}}}}"#,
                platform_digest(name)
            )
        })
        .collect();
    entries.push(format!(
        r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":1,"platform":{{"os":"unknown","architecture":"unknown"}},"annotations":{{"vnd.docker.reference.type":"attestation-manifest"}}}}"#,
        platform_digest("attestation")
    ));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    )
}

fn usual_index() -> String {
    index_of(&["linux/amd64", "linux/arm64"])
}

/// A good answer with that manifest.
fn manifest(body: &str) -> Reply {
    let kind = if body.contains(r#""manifests""#) {
        OCI_INDEX
    } else {
        OCI_MANIFEST
    };
    Reply::status(200)
        .with("Content-Type", kind)
        .with("Docker-Content-Digest", sha256(body.as_bytes()))
        .body(body)
}

/// A registry as it should be: `app:1` is the usual index.
fn good(request: &Request) -> Reply {
    if request.target.starts_with("/v2/app/manifests/") {
        manifest(&usual_index())
    } else {
        Reply::status(404)
    }
}

fn is_good(answer: &Known<Resolved>) -> bool {
    matches!(answer, Known::Yes(resolved) if resolved.digest == sha256(usual_index().as_bytes()))
}

#[track_caller]
fn assert_good(answer: Known<Resolved>) {
    assert!(is_good(&answer), "{answer:?}");
}
