//! One request and its answer: redirects by hand, attempts, waits, and caps.
//!
//! The client follows no redirect by itself, so that each step is held against
//! the policy and none takes a credential along to another host.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::policy::{Limits, Policy, RefusedAddress, domain_of};
use super::words::clean;

/// Bodies over this size are read a few at a time, so that memory stays
/// bounded however many hosts answer at once.
const SMALL: usize = 64 << 10;
const BIG_AT_ONCE: usize = 3;

/// What one request asks.
#[derive(Clone)]
pub(super) struct Call {
    pub method: Method,
    pub url: Url,
    pub accept: &'static str,
    /// Never sent to another host than that of `url`.
    pub authorization: Option<HeaderValue>,
    /// A form to post.
    pub form: Option<String>,
    /// The most bytes of a good answer.
    pub most: usize,
    /// Redirects to follow.
    pub redirects: usize,
}

/// A registry's answer, whatever its status.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The whole body of a good answer; of another, its beginning.
    pub body: Vec<u8>,
    /// Where it came from in the end.
    pub url: Url,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type, without parameters, in lower case.
    pub fn media_type(&self) -> String {
        let text = self.header("content-type").unwrap_or_default();
        let text = text.split(';').next().unwrap_or_default();
        text.trim().to_ascii_lowercase()
    }
}

/// What a host was last heard to limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// `ratelimit-limit`, such as `100;w=21600`.
    pub limit: String,
    /// `ratelimit-remaining`.
    pub remaining: String,
}

struct Gate {
    places: Semaphore,
    until: Mutex<Option<Instant>>,
    rate: Mutex<Option<RateLimit>>,
}

enum Fault {
    /// Worth another attempt.
    Passing(String),
    Final(String),
}

/// The client, and what is known of each host.
pub(super) struct Http {
    client: reqwest::Client,
    policy: Arc<Policy>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    big: Semaphore,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// Certificates, or proxies, that can't be read.
    pub fn new(policy: Arc<Policy>) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(super::tls::config(&policy.authorities)?)
            .dns_resolver(Arc::new(policy.resolver()))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .no_proxy()
            .connect_timeout(policy.limits.connect)
            .pool_max_idle_per_host(policy.limits.per_host)
            .user_agent(concat!("dfmigrate/", env!("CARGO_PKG_VERSION")));
        let proxies = &policy.proxies;
        let except = proxies.except.as_deref();
        let bad =
            |error: reqwest::Error| format!("a proxy of the environment: {}", error.without_url());
        if let Some(http) = &proxies.http {
            let proxy = reqwest::Proxy::http(http).map_err(bad)?;
            builder = builder.proxy(proxy.no_proxy(except.and_then(reqwest::NoProxy::from_string)));
        }
        if let Some(https) = &proxies.https {
            let proxy = reqwest::Proxy::https(https).map_err(bad)?;
            builder = builder.proxy(proxy.no_proxy(except.and_then(reqwest::NoProxy::from_string)));
        }
        let client = builder
            .build()
            .map_err(|error| format!("the HTTP client: {}", chain(&error.without_url())))?;
        Ok(Self {
            client,
            policy,
            gates: Mutex::default(),
            big: Semaphore::new(BIG_AT_ONCE),
        })
    }

    fn limits(&self) -> &Limits {
        &self.policy.limits
    }

    fn gate(&self, domain: &str) -> Arc<Gate> {
        let mut gates = lock(&self.gates);
        let gate = gates.entry(domain.to_owned()).or_insert_with(|| {
            Arc::new(Gate {
                places: Semaphore::new(self.limits().per_host),
                until: Mutex::new(None),
                rate: Mutex::new(None),
            })
        });
        Arc::clone(gate)
    }

    /// What hosts said of their limits.
    pub fn rates(&self) -> Vec<(String, RateLimit)> {
        let gates = lock(&self.gates);
        let mut rates: Vec<_> = gates
            .iter()
            .filter_map(|(host, gate)| Some((host.clone(), lock(&gate.rate).clone()?)))
            .collect();
        rates.sort_by(|a, b| a.0.cmp(&b.0));
        rates
    }

    /// Asks, as often as the limits allow; any status is an answer but those
    /// that say to come back later.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn ask(&self, call: &Call) -> Result<Answer, String> {
        let limits = self.limits();
        let domain = domain_of(&call.url);
        let mut last = String::new();
        for attempt in 1..=limits.attempts {
            self.wait_turn(&domain).await?;
            match self.follow(call).await {
                Ok(answer) if comes_back(answer.status) => {
                    let at = domain_of(&answer.url);
                    let text = error_text(&answer.body);
                    let asked = retry_after(&answer.headers);
                    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
                    last = if limited {
                        format!("{at} limits how often it may be asked (429){text}")
                    } else {
                        format!("{at} answers {}{text}", answer.status.as_u16())
                    };
                    let wait = match asked {
                        Some(wait) => {
                            let gate = self.gate(&domain);
                            *lock(&gate.until) = Some(Instant::now() + wait);
                            if wait > limits.retry_after {
                                return Err(format!(
                                    "{last}: it says to come back in {} s",
                                    wait.as_secs()
                                ));
                            }
                            Duration::ZERO
                        }
                        None => {
                            let wait = self.backoff(attempt);
                            if limited {
                                let gate = self.gate(&domain);
                                *lock(&gate.until) = Some(Instant::now() + wait);
                            }
                            wait
                        }
                    };
                    if attempt < limits.attempts {
                        tokio::time::sleep(wait).await;
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(Fault::Final(why)) => return Err(why),
                Err(Fault::Passing(why)) => {
                    last = why;
                    if attempt < limits.attempts {
                        tokio::time::sleep(self.backoff(attempt)).await;
                    }
                }
            }
        }
        Err(format!("{last}, {} times", limits.attempts))
    }

    /// Waits while the host has asked for a pause.
    async fn wait_turn(&self, domain: &str) -> Result<(), String> {
        let gate = self.gate(domain);
        loop {
            let until = *lock(&gate.until);
            let left = until.map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(());
            }
            if left > self.limits().retry_after {
                return Err(format!(
                    "{domain} limits how often it may be asked: it said to come back in {} s",
                    left.as_secs().max(1)
                ));
            }
            tokio::time::sleep(left).await;
        }
    }

    /// The wait after an attempt: doubling, with up to as much again by chance.
    fn backoff(&self, attempt: u32) -> Duration {
        use std::hash::{BuildHasher as _, Hasher as _};
        let base = self.limits().backoff * 2u32.saturating_pow(attempt - 1);
        let chance = std::hash::RandomState::new().build_hasher().finish();
        base + base.mul_f64((chance % 1000) as f64 / 1000.0)
    }

    async fn follow(&self, call: &Call) -> Result<Answer, Fault> {
        let mut url = call.url.clone();
        let mut authorization = call.authorization.clone();
        let mut hops = 0;
        loop {
            self.policy.may_follow(&url).map_err(|why| {
                Fault::Final(format!("{} is not contacted: {why}", domain_of(&url)))
            })?;
            let answer = self.once(call, &url, authorization.clone()).await?;
            let status = answer.status.as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let from = domain_of(&url);
            let to = answer
                .header("location")
                .and_then(|to| url.join(to).ok())
                .ok_or_else(|| Fault::Final(format!("{from} redirects to nowhere")))?;
            if call.redirects == 0 {
                return Err(Fault::Final(format!(
                    "{from} redirects to {}, which is not followed here",
                    domain_of(&to)
                )));
            }
            hops += 1;
            if hops > call.redirects {
                return Err(Fault::Final(format!(
                    "{from} redirects more than {} times",
                    call.redirects
                )));
            }
            if url.scheme() == "https" && to.scheme() != "https" {
                return Err(Fault::Final(format!(
                    "{from} redirects from https to {}: it is not followed",
                    clean(to.scheme(), 20)
                )));
            }
            self.policy.may_follow(&to).map_err(|why| {
                Fault::Final(format!(
                    "{from} redirects to a place that is not contacted: {why}"
                ))
            })?;
            if (to.scheme(), domain_of(&to)) != (url.scheme(), from) {
                authorization = None;
            }
            url = to;
        }
    }

    async fn once(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Fault> {
        let domain = domain_of(url);
        let gate = self.gate(&domain);
        let _place = gate.places.acquire().await;
        let mut request = self
            .client
            .request(call.method.clone(), url.clone())
            .header(header::ACCEPT, call.accept)
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(form) = &call.form {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.clone());
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.fault(&domain, error))?;
        let status = response.status();
        let headers = response.headers().clone();
        let text = |name: &str| Some(clean(headers.get(name)?.to_str().ok()?, 60));
        if let (Some(limit), Some(remaining)) =
            (text("ratelimit-limit"), text("ratelimit-remaining"))
        {
            *lock(&gate.rate) = Some(RateLimit { limit, remaining });
        }
        let good = status.is_success();
        let most = if good {
            call.most
        } else {
            self.limits().error_text
        };
        let encoding = headers.get(header::CONTENT_ENCODING);
        if good
            && call.method != Method::HEAD
            && encoding.is_some_and(|encoding| encoding.as_bytes() != b"identity")
        {
            return Err(Fault::Final(format!(
                "{domain} sends a compressed body, which was not asked for"
            )));
        }
        let too_large = || {
            Fault::Final(format!(
                "{domain} sends more than {most} bytes where that many are the most"
            ))
        };
        if good && call.method != Method::HEAD {
            let length = response.content_length();
            if length.is_some_and(|length| length > most as u64) {
                return Err(too_large());
            }
        }
        let mut body = Vec::new();
        let mut big = None;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // The text of an error is a courtesy.
                Err(_) if !good => break,
                Err(error) => return Err(self.fault(&domain, error)),
            };
            if body.len() + chunk.len() > SMALL && big.is_none() {
                big = self.big.acquire().await.ok();
            }
            if body.len() + chunk.len() > most {
                if good {
                    return Err(too_large());
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
            url: url.clone(),
        })
    }

    /// What a failed request means, in words.
    fn fault(&self, domain: &str, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let mut at: Option<&dyn Error> = Some(&error);
        while let Some(cause) = at {
            if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
                return Fault::Final(refused.to_string());
            }
            if let Some(tls) = tls_error(cause) {
                return Fault::Final(format!(
                    "no trusted connection to {domain}: {}",
                    clean(&tls.to_string(), 200)
                ));
            }
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
                return Fault::Final(format!("{domain} refuses connections"));
            }
            at = cause.source();
        }
        if error.is_dns() {
            return Fault::Final(format!("the name {domain} can't be resolved"));
        }
        if error.is_connect() && error.is_timeout() {
            return Fault::Final(format!(
                "{domain} can't be reached within {:?}",
                self.limits().connect
            ));
        }
        let what = clean(&chain(&error), 200);
        if error.is_connect() {
            return Fault::Final(format!("no connection to {domain}: {what}"));
        }
        Fault::Passing(format!("the connection to {domain} broke off ({what})"))
    }
}

/// The TLS error that an error is or wraps; an I/O error does not name what it
/// wraps as its cause.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let io = error.downcast_ref::<std::io::Error>();
    match io.and_then(std::io::Error::get_ref) {
        Some(inner) => tls_error(inner),
        None => error.downcast_ref(),
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        at = cause.source();
    }
    text
}

/// The statuses after which another attempt may be made.
fn comes_back(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(100_000_000)));
    }
    static DATE: jiff::fmt::rfc2822::DateTimeParser = jiff::fmt::rfc2822::DateTimeParser::new();
    let at = DATE.parse_timestamp(text).ok()?;
    let wait = at.duration_since(Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

/// The message of an error's body, as the distribution API or a token service
/// writes it; empty where there is none.
pub(super) fn error_text(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct One {
        message: Option<String>,
        code: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<One>,
        details: Option<String>,
        message: Option<String>,
    }
    let Ok(errors) = serde_json::from_slice::<Errors>(body) else {
        return String::new();
    };
    let first = errors.errors.into_iter().next();
    let text = first
        .and_then(|one| one.message.or(one.code))
        .or(errors.details)
        .or(errors.message)
        .unwrap_or_default();
    let text = clean(&text, 200);
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}
