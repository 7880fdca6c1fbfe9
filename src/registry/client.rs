//! The questions to a registry, each as the calls that answer it.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{Method, StatusCode, Url};

use super::auth::{Auth, Endpoint};
use super::credentials::Stores;
use super::http::{Answer, Call, Http, error_text};
use super::manifest::{self, ACCEPT, Kind};
use super::policy::{Policy, domain_of};
use super::words::clean;
use crate::catalog::registries::public_registry;
use crate::facts::{Index, IndexEntry};

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The registry answers, and has no such thing.
    Absent,
    /// It does not take that method.
    NoSuchMethod(String),
    /// Anything else, in words.
    Said(String),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

/// The most tags of a repository.
const MAX_TAGS: usize = 200_000;
/// The most bytes of JSON that is read as it comes: as values it takes a
/// multiple of that in memory.
const MAX_JSON: usize = 256 << 10;

pub(super) type Outcome<T> = Result<T, Trouble>;

/// What `HEAD` (or the body) says of a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub digest: String,
    pub single: bool,
}

pub(super) struct Client {
    pub http: Http,
    pub auth: Auth,
    policy: Arc<Policy>,
}

impl Client {
    pub fn new(policy: Arc<Policy>, stores: Stores) -> Result<Self, String> {
        Ok(Self {
            http: Http::new(Arc::clone(&policy))?,
            auth: Auth::new(Arc::clone(&policy), stores),
            policy,
        })
    }

    /// The hosts that answer for a registry, in the order in which they are asked.
    fn endpoints(&self, domain: &str) -> Outcome<Vec<Endpoint>> {
        self.policy
            .may_ask(domain)
            .map_err(|refused| refused.to_string())?;
        let own = public_registry(domain).map_or(domain, |row| row.api);
        let mirrors = self.policy.mirrors.get(domain).into_iter().flatten();
        let hosts = mirrors
            .map(|mirror| (mirror.as_str(), mirror.as_str()))
            .chain([(domain, own)]);
        let mut endpoints = Vec::new();
        for (domain, host) in hosts {
            self.policy
                .may_ask(domain)
                .map_err(|refused| refused.to_string())?;
            let scheme = if self.policy.insecure.contains(&host.to_ascii_lowercase()) {
                "http"
            } else {
                "https"
            };
            let base = Url::parse(&format!("{scheme}://{host}/"))
                .map_err(|_| format!("{} is no host", clean(host, 100)))?;
            endpoints.push(Endpoint {
                domain: domain.to_owned(),
                base,
            });
        }
        Ok(endpoints)
    }

    /// Asks an endpoint, signing in where it wants that. The answer is a good one.
    async fn get(
        &self,
        endpoint: &Endpoint,
        path: &str,
        method: Method,
        url: Url,
        accept: &'static str,
    ) -> Outcome<Answer> {
        let mut call = Call {
            method,
            url,
            accept,
            authorization: self.auth.ready(&self.http, endpoint, path).await?,
            form: None,
            most: self.policy.limits.body,
            redirects: self.policy.limits.redirects,
        };
        let mut answer = self.http.ask(&call).await?;
        // A second time, for a token that has expired in the meantime.
        for _ in 0..2 {
            if answer.status != StatusCode::UNAUTHORIZED || answer.url != call.url {
                break;
            }
            let refused = call.authorization.take();
            let header = self
                .auth
                .answer(
                    &self.http,
                    endpoint,
                    path,
                    &answer.headers,
                    refused.as_ref(),
                )
                .await?;
            if header.is_none() || header == refused {
                break;
            }
            call.authorization = header;
            answer = self.http.ask(&call).await?;
        }
        self.judge(answer, endpoint, path)
    }

    fn judge(&self, answer: Answer, endpoint: &Endpoint, path: &str) -> Outcome<Answer> {
        let (domain, status) = (&endpoint.domain, answer.status);
        if status.is_success() {
            return Ok(answer);
        }
        let text = error_text(&answer.body);
        match status.as_u16() {
            404 => Err(Trouble::Absent),
            405 => Err(Trouble::NoSuchMethod(format!("{domain} answers 405{text}"))),
            401 | 403 => Err(Trouble::Said(format!(
                "{domain}/{path} is private, or not there: {domain} answers {}{text}",
                status.as_u16()
            ))),
            other => Err(Trouble::Said(format!("{domain} answers {other}{text}"))),
        }
    }

    fn url(endpoint: &Endpoint, path: &str, rest: &str) -> Outcome<Url> {
        let url = endpoint.base.join(&format!("v2/{path}/{rest}"));
        url.map_err(|_| Trouble::Said("the reference makes no URL".to_owned()))
    }

    /// Asks the mirrors, then the registry itself, until one has an answer.
    async fn anywhere<T, F>(&self, domain: &str, ask: impl Fn(Endpoint) -> F) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let mut last = Err(Trouble::Absent);
        for endpoint in self.endpoints(domain)? {
            last = ask(endpoint).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// What a tag names now.
    pub async fn head(&self, domain: &str, path: &str, tag: &str) -> Outcome<Head> {
        self.anywhere(domain, |endpoint| async move {
            let url = Self::url(&endpoint, path, &format!("manifests/{tag}"))?;
            let asked = self
                .get(&endpoint, path, Method::HEAD, url.clone(), ACCEPT)
                .await;
            let answer = match asked {
                // Some registries have no HEAD.
                Err(Trouble::NoSuchMethod(_)) => None,
                Err(other) => return Err(other),
                Ok(answer) => Some(answer),
            };
            if let Some(answer) = answer {
                let at = domain_of(&answer.url);
                let kind =
                    manifest::kind(&answer.media_type()).map_err(|why| format!("{at} {why}"))?;
                if let Some(digest) = answer.header("docker-content-digest") {
                    if !manifest::is_digest(digest) {
                        return Err(Trouble::Said(format!("{at} names a digest that is none")));
                    }
                    return Ok(Head {
                        digest: digest.to_owned(),
                        single: kind == Kind::Single,
                    });
                }
            }
            let (answer, kind, digest) = self.manifest(&endpoint, path, tag).await?;
            drop(answer);
            Ok(Head {
                digest,
                single: kind == Kind::Single,
            })
        })
        .await
    }

    /// A manifest's body, its digest held against what is known of it.
    async fn manifest(
        &self,
        endpoint: &Endpoint,
        path: &str,
        tag_or_digest: &str,
    ) -> Outcome<(Answer, Kind, String)> {
        let url = Self::url(endpoint, path, &format!("manifests/{tag_or_digest}"))?;
        let answer = self.get(endpoint, path, Method::GET, url, ACCEPT).await?;
        let at = domain_of(&answer.url);
        let kind = manifest::kind(&answer.media_type()).map_err(|why| format!("{at} {why}"))?;
        let asked = manifest::is_digest(tag_or_digest).then_some(tag_or_digest);
        let said = answer.header("docker-content-digest");
        let digest = manifest::digest_of(&answer.body, asked.or(said));
        for expected in [asked, said].into_iter().flatten() {
            let same_algorithm = expected.split(':').next() == digest.split(':').next();
            if same_algorithm && expected != digest {
                return Err(Trouble::Said(format!(
                    "{at} sends a manifest whose digest is {digest}, not {} as it should be",
                    clean(expected, 140)
                )));
            }
        }
        Ok((answer, kind, digest))
    }

    /// The images behind a digest.
    pub async fn index(&self, domain: &str, path: &str, digest: &str) -> Outcome<Index> {
        self.anywhere(domain, |endpoint| async move {
            let (answer, kind, digest) = self.manifest(&endpoint, path, digest).await?;
            let at = domain_of(&answer.url);
            let sent_as = answer.media_type();
            if kind == Kind::Index {
                let index = manifest::index(&answer.body, &sent_as, digest);
                return index.map_err(|why| Trouble::Said(format!("{at} {why}")));
            }
            let single =
                manifest::single(&answer.body, &sent_as).map_err(|why| format!("{at} {why}"))?;
            drop(answer);
            let config = self.config(&endpoint, path, &single.config).await?;
            Ok(Index {
                digest: digest.clone(),
                single: true,
                entries: vec![IndexEntry {
                    platform: config.platform,
                    digest,
                    base_name: single.base_name,
                    created: single.created.or(config.created),
                }],
            })
        })
        .await
    }

    async fn config(
        &self,
        endpoint: &Endpoint,
        path: &str,
        digest: &str,
    ) -> Outcome<manifest::Config> {
        let url = Self::url(endpoint, path, &format!("blobs/{digest}"))?;
        let answer = self.get(endpoint, path, Method::GET, url, "*/*").await?;
        let at = domain_of(&answer.url);
        if manifest::digest_of(&answer.body, Some(digest)) != digest {
            return Err(Trouble::Said(format!(
                "{at} sends a configuration that has another digest than it should"
            )));
        }
        Ok(manifest::config(&answer.body).map_err(|why| format!("{at} {why}"))?)
    }

    /// When the image of a digest was made; of an index, its newest image.
    pub async fn created(&self, domain: &str, path: &str, index: &Index) -> Outcome<Timestamp> {
        let newest = index.entries.iter().filter_map(|entry| entry.created).max();
        if let Some(newest) = newest {
            return Ok(newest);
        }
        let unsaid = || Trouble::Said("the image does not say when it was made".to_owned());
        if index.single {
            return Err(unsaid());
        }
        let usual = |entry: &&IndexEntry| entry.platform.as_deref() == Some("linux/amd64");
        let entry = index.entries.iter().find(usual).or(index.entries.first());
        let one = self
            .index(domain, path, &entry.ok_or_else(unsaid)?.digest)
            .await?;
        let created = one.entries.iter().find_map(|entry| entry.created);
        created.ok_or_else(unsaid)
    }

    /// All tags of a repository.
    pub async fn tags(&self, domain: &str, path: &str) -> Outcome<Vec<String>> {
        self.anywhere(domain, |endpoint| async move {
            let first = Self::url(&endpoint, path, "tags/list?n=1000")?;
            let mut seen = vec![first.clone()];
            let mut next = Some(first);
            let mut tags = Vec::new();
            while let Some(url) = next.take() {
                let answer = self
                    .get(
                        &endpoint,
                        path,
                        Method::GET,
                        url.clone(),
                        "application/json",
                    )
                    .await?;
                let at = domain_of(&answer.url);
                tags.extend(manifest::tags(&answer.body).map_err(|why| format!("{at} {why}"))?);
                if tags.len() > MAX_TAGS {
                    return Err(Trouble::Said(format!("{at} has more than {MAX_TAGS} tags")));
                }
                let Some(link) = answer.header("link").and_then(next_link) else {
                    break;
                };
                let to = url
                    .join(link)
                    .map_err(|_| format!("{at} names a next page that is no URL"))?;
                if (to.scheme(), domain_of(&to))
                    != (endpoint.base.scheme(), domain_of(&endpoint.base))
                {
                    return Err(Trouble::Said(format!(
                        "{at} names a next page on another host, which is not followed"
                    )));
                }
                if seen.contains(&to) {
                    return Err(Trouble::Said(format!(
                        "the pages of tags of {at} go in a circle"
                    )));
                }
                if seen.len() >= self.policy.limits.tag_pages {
                    return Err(Trouble::Said(format!(
                        "{at} has more than {} pages of tags",
                        self.policy.limits.tag_pages
                    )));
                }
                seen.push(to.clone());
                next = Some(to);
            }
            Ok(tags)
        })
        .await
    }

    /// The JSON at a public address, under the limits of the client.
    pub async fn json(&self, url: Url) -> Outcome<serde_json::Value> {
        let domain = domain_of(&url);
        let call = Call {
            method: Method::GET,
            url,
            accept: "application/json",
            authorization: None,
            form: None,
            most: MAX_JSON,
            redirects: self.policy.limits.redirects,
        };
        let answer = self.http.ask(&call).await?;
        match answer.status.as_u16() {
            200..=299 => serde_json::from_slice(&answer.body).map_err(|_| {
                Trouble::Said(format!("{domain} answers with something that is no JSON"))
            }),
            404 => Err(Trouble::Absent),
            other => Err(Trouble::Said(format!(
                "{domain} answers {other}{}",
                error_text(&answer.body)
            ))),
        }
    }
}

/// The target of `rel="next"` in a `Link` header.
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = rest.split(';').map(str::trim).any(|param| {
            param.eq_ignore_ascii_case("rel=\"next\"") || param.eq_ignore_ascii_case("rel=next")
        });
        next.then_some(target)
    })
}
