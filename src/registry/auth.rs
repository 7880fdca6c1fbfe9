//! Signing in: the token flow of the distribution API, Basic, and none at all.
//!
//! The scope asked for is always `pull` of the one repository, whatever the
//! challenge names. Credentials go to the registry that they are stored for,
//! and to a token service on the same host and port, on Docker Hub's known
//! one, or on one that the user's policy names; to others the request goes
//! without them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::challenge::{Challenge, challenge};
use super::credentials::{self, Credential, Found, Stores};
use super::http::{Call, Http, error_text};
use super::policy::{Policy, domain_of};
use super::words::clean;

/// A token is renewed so long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// How long a token lasts that does not say (the specification's number).
const UNSAID: Duration = Duration::from_secs(60);

/// A host that answers for a registry.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The registry as references name it; credentials are stored under that.
    pub domain: String,
    /// The base of its URLs.
    pub base: Url,
}

struct Token {
    value: HeaderValue,
    until: Instant,
}

/// The credentials of a repository, looked up once.
type Credentials = Arc<OnceCell<Found>>;
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// What is known about signing in, over a whole run.
pub(super) struct Auth {
    policy: Arc<Policy>,
    stores: Stores,
    challenges: Mutex<HashMap<String, Challenge>>,
    tokens: Mutex<HashMap<(String, String), Slot>>,
    found: Mutex<HashMap<(String, String), Credentials>>,
    notes: Mutex<Vec<String>>,
}

impl Auth {
    pub fn new(policy: Arc<Policy>, stores: Stores) -> Self {
        Self {
            policy,
            stores,
            challenges: Mutex::default(),
            tokens: Mutex::default(),
            found: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// What went wrong with credentials, each said once.
    pub fn notes(&self) -> Vec<String> {
        lock(&self.notes).clone()
    }

    fn note(&self, text: String) {
        let mut notes = lock(&self.notes);
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    async fn credential(&self, domain: &str, path: &str) -> Option<Credential> {
        let key = (domain.to_owned(), path.to_owned());
        let cell = Arc::clone(lock(&self.found).entry(key).or_default());
        let patience = self.policy.limits.helper;
        let found = cell
            .get_or_init(|| credentials::find(&self.stores, domain, path, patience))
            .await;
        for problem in &found.problems {
            self.note(problem.clone());
        }
        found.credential.clone()
    }

    fn slot(&self, endpoint: &Endpoint, path: &str) -> Slot {
        let key = (endpoint.base.to_string(), path.to_owned());
        Arc::clone(lock(&self.tokens).entry(key).or_default())
    }

    /// What to send with the first request, where that is known already.
    pub async fn ready(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<Option<HeaderValue>, String> {
        let known = lock(&self.challenges).get(endpoint.base.as_str()).cloned();
        match known {
            Some(challenge) => self.meet(http, endpoint, path, &challenge, None).await,
            None => Ok(None),
        }
    }

    /// What to send after a 401 that came in answer to `refused`.
    ///
    /// # Errors
    /// Why the challenge can't be met, in words. `Ok(None)`: there is nothing
    /// more to offer.
    pub async fn answer(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        path: &str,
        headers: &HeaderMap,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, String> {
        let challenge = challenge(headers)
            .map_err(|why| format!("{} wants a sign-in, but {why}", endpoint.domain))?;
        lock(&self.challenges).insert(endpoint.base.to_string(), challenge.clone());
        self.meet(http, endpoint, path, &challenge, refused).await
    }

    async fn meet(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        path: &str,
        challenge: &Challenge,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, String> {
        let credential = self.credential(&endpoint.domain, path).await;
        if let Some(Credential::Registry(token)) = &credential {
            return bearer(&token.0, &endpoint.domain).map(Some);
        }
        match challenge {
            Challenge::Basic => match &credential {
                Some(Credential::Password { user, password }) => Ok(Some(basic(user, &password.0))),
                _ => Ok(None),
            },
            Challenge::Bearer { realm, service } => {
                let slot = self.slot(endpoint, path);
                // Whoever comes second takes the token of the first.
                let mut slot = slot.lock().await;
                if let Some(token) = &*slot
                    && Some(&token.value) != refused
                    && token.until > Instant::now()
                {
                    return Ok(Some(token.value.clone()));
                }
                *slot = None;
                let token = self
                    .fetch(http, endpoint, path, realm, service.as_deref(), credential)
                    .await?;
                let value = token.value.clone();
                *slot = Some(token);
                Ok(Some(value))
            }
        }
    }

    async fn fetch(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        path: &str,
        realm: &str,
        service: Option<&str>,
        credential: Option<Credential>,
    ) -> Result<Token, String> {
        let domain = &endpoint.domain;
        let mut url = endpoint
            .base
            .join(realm)
            .map_err(|_| format!("{domain} names a token service that is no URL"))?;
        self.policy.may_follow(&url).map_err(|why| {
            format!("{domain} names a token service that is not contacted: {why}")
        })?;
        let same =
            (url.scheme(), domain_of(&url)) == (endpoint.base.scheme(), domain_of(&endpoint.base));
        let trusted = same || self.policy.trusts_token_host(domain, &url);
        let service_host = domain_of(&url);
        let credential = match credential {
            Some(_) if !trusted => {
                self.note(format!(
                    "the credentials for {domain} were not sent to {service_host}, its token service: to allow that, name it with --token-host {domain}={service_host}"
                ));
                None
            }
            credential => credential,
        };
        let scope = format!("repository:{path}:pull");
        let mut call = Call {
            method: Method::GET,
            url: url.clone(),
            accept: "application/json",
            authorization: None,
            form: None,
            most: self.policy.limits.token,
            redirects: 0,
        };
        if let Some(Credential::Identity(token)) = &credential {
            let mut form = Url::parse("http://form/").expect("it is a URL");
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", service.unwrap_or_default())
                .append_pair("client_id", "dfmigrate")
                .append_pair("scope", &scope)
                .append_pair("refresh_token", &token.0);
            call.method = Method::POST;
            call.form = form.query().map(str::to_owned);
        } else {
            let mut pairs = url.query_pairs_mut();
            if let Some(service) = service {
                pairs.append_pair("service", service);
            }
            pairs.append_pair("scope", &scope);
            drop(pairs);
            call.url = url;
            if let Some(Credential::Password { user, password }) = &credential {
                call.authorization = Some(basic(user, &password.0));
            }
        }
        let answer = http
            .ask(&call)
            .await
            .map_err(|why| format!("no token for {domain}: {why}"))?;
        if !answer.status.is_success() {
            return Err(format!(
                "no token for {domain}: {service_host} answers {}{}",
                answer.status.as_u16(),
                error_text(&answer.body)
            ));
        }
        #[derive(Deserialize)]
        struct TokenAnswer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<f64>,
        }
        // The words of the error may show what it stumbled over.
        let token: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
            format!("no token for {domain}: {service_host} answers with something else")
        })?;
        let text = [token.token, token.access_token]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty())
            .ok_or_else(|| {
                format!("no token for {domain}: {service_host} answers with an empty one")
            })?;
        let lasts = token
            .expires_in
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
            .map_or(UNSAID, |seconds| {
                Duration::from_secs_f64(seconds.min(86_400.0))
            });
        Ok(Token {
            value: bearer(&text, &service_host)?,
            until: Instant::now() + lasts.saturating_sub(EARLY.min(lasts / 2)),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token as a header; characters that could end a header are refused.
fn bearer(token: &str, from: &str) -> Result<HeaderValue, String> {
    let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
    let mut value = value.filter(|_| visible).ok_or_else(|| {
        format!(
            "the token for {} has characters that are not allowed",
            clean(from, 100)
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let engine = base64::engine::general_purpose::STANDARD;
    let text = format!("Basic {}", engine.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text).expect("base64 is fit for a header");
    value.set_sensitive(true);
    value
}
