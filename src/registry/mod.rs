//! What image registries say: the client, signing in, the cache, the lock
//! file, and the policy of what may be contacted. Implements [`Images`].
//!
//! A [`Registry`] is cheap until it is asked something that neither the lock
//! file nor the cache answers: only then are the client and its threads made.
//! Each question is asked once in a whole run, however many files and threads
//! ask it. Every outcome is data: what can't be had is unknown, with the
//! reason in words.
//!
//! Nothing that a registry sends is shown without being cleaned of control
//! characters, and nothing secret is in any text or `Debug` output of this
//! module.

mod auth;
mod cache;
mod challenge;
mod client;
mod credentials;
mod http;
mod hub;
mod lock;
mod manifest;
mod policy;
mod record;
mod tls;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};

use crate::facts::{Badged, Images, Index, Known, Resolved, ToldBy, Trust, Unavailable};
use crate::image::Reference;

use client::{Client, Outcome, Trouble};

pub use cache::Cache;
pub use credentials::Stores;
pub use http::RateLimit;
pub use lock::{LOCK_FILE, Lock, LockError};
pub use policy::{Limits, NotContacted, Policy, Proxies};
pub use record::{Record, Said};

/// Who may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The registries; the cache for what is fresh.
    Online,
    /// The lock file, then the cache, however old; nobody else.
    Offline,
    /// The lock file alone.
    Locked,
}

/// What a [`Registry`] is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may be asked.
    pub mode: Mode,
    /// Which hosts, and with what patience.
    pub policy: Policy,
    /// Where credentials are stored.
    pub stores: Stores,
    /// Answers of earlier runs.
    pub cache: Option<Cache>,
    /// The lock file's content.
    pub lock: Lock,
}

/// A question about an image.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Question {
    /// [`Images::digest`].
    Digest(String),
    /// [`Images::index`].
    Index(String),
    /// [`Images::created`].
    Created(String),
    /// [`Images::tags`].
    Tags(String),
    /// [`Trust::badge`].
    Badge(String),
}

/// What came of the references of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Tags that the registries resolved in this run.
    pub resolved: usize,
    /// Tags that the cache resolved.
    pub cached: usize,
    /// Tags that the lock file resolved.
    pub locked: usize,
    /// Tags that are not there.
    pub absent: usize,
    /// Namespaces of Docker Hub whose badge is known.
    pub badges: usize,
    /// The others, by reason.
    pub unknown: BTreeMap<String, usize>,
    /// What a person should hear of, each once: hosts that are not contacted
    /// and how to allow them, credentials that could not be used.
    pub notes: Vec<String>,
    /// What hosts said of their limits.
    pub rates: Vec<(String, RateLimit)>,
    /// References that the lock file has no line for, where only that is asked.
    pub not_locked: Vec<String>,
}

struct Engine {
    runtime: Runtime,
    client: Client,
    /// Questions under way to a registry: those that wait have not begun, so
    /// their time does not run.
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
}

type Memo<T> = Mutex<HashMap<String, Arc<OnceCell<Known<T>>>>>;

struct Inner {
    config: Config,
    engine: OnceLock<Result<Engine, String>>,
    digests: Memo<Resolved>,
    indexes: Memo<Index>,
    made: Memo<Timestamp>,
    tags: Memo<Vec<String>>,
    badges: Memo<Badged>,
    records: Mutex<BTreeMap<String, Record>>,
    not_locked: Mutex<BTreeSet<String>>,
    notes: Mutex<Vec<String>>,
}

/// The registries, as one run sees them.
pub struct Registry {
    inner: Arc<Inner>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `name:tag` in canonical form, without a digest.
fn tagged(reference: &Reference) -> String {
    let tag = reference.tag().unwrap_or("latest");
    format!("{}:{tag}", repository(reference))
}

fn repository(reference: &Reference) -> String {
    format!("{}/{}", reference.domain(), reference.path())
}

fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

impl Registry {
    /// Registries that nobody has asked anything yet; costs nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                engine: OnceLock::new(),
                digests: Memo::default(),
                indexes: Memo::default(),
                made: Memo::default(),
                tags: Memo::default(),
                badges: Memo::default(),
                records: Mutex::default(),
                not_locked: Mutex::default(),
                notes: Mutex::default(),
            }),
        }
    }

    /// Answers questions all at once, so that later ones find the answers.
    pub fn ask_ahead(&self, questions: impl IntoIterator<Item = Question>) {
        if self.inner.config.mode != Mode::Online {
            return;
        }
        let Ok(engine) = self.inner.engine() else {
            return;
        };
        engine.runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for question in questions {
                let inner = Arc::clone(&self.inner);
                tasks.spawn(async move { inner.answer(question).await });
            }
            while tasks.join_next().await.is_some() {}
        });
    }

    /// A view that answers what is answered already, and notes the rest.
    #[must_use]
    pub fn ahead(&self) -> Ahead<'_> {
        Ahead {
            registry: self,
            questions: Mutex::default(),
        }
    }

    /// Everything that was answered, for the lock file.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        lock(&self.inner.records).values().cloned().collect()
    }

    /// What came of the run so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let inner = &self.inner;
        let mut summary = Summary {
            notes: lock(&inner.notes).clone(),
            not_locked: lock(&inner.not_locked).iter().cloned().collect(),
            ..Summary::default()
        };
        for cell in lock(&inner.digests).values() {
            match cell.get() {
                Some(Known::Yes(resolved)) => match resolved.told_by {
                    ToldBy::Registry => summary.resolved += 1,
                    ToldBy::Cache => summary.cached += 1,
                    ToldBy::Lock => summary.locked += 1,
                },
                Some(Known::No) => summary.absent += 1,
                Some(Known::Unknown(why)) => {
                    *summary.unknown.entry(why.to_string()).or_default() += 1;
                }
                None => {}
            }
        }
        for cell in lock(&inner.badges).values() {
            match cell.get() {
                Some(Known::Yes(_) | Known::No) => summary.badges += 1,
                Some(Known::Unknown(why)) if inner.config.mode == Mode::Online => {
                    *summary.unknown.entry(why.to_string()).or_default() += 1;
                }
                _ => {}
            }
        }
        if let Some(Ok(engine)) = inner.engine.get() {
            summary.notes.extend(engine.client.auth.notes());
            summary.rates = engine.client.http.rates();
        }
        summary
    }

    /// The JSON at an `https:` address of a public host (an API beside the
    /// registry's own, such as Docker Hub's), under the same limits: at most
    /// 256 KiB, 30 s, 4 attempts. `No` where the host says that it is not there.
    pub fn get_json(&self, url: &str) -> Known<serde_json::Value> {
        if self.inner.config.mode != Mode::Online {
            return Known::Unknown(Unavailable::Offline);
        }
        let failed = |why: String| Known::Unknown(Unavailable::Failed(why));
        let url = match reqwest::Url::parse(url) {
            Ok(url) => url,
            Err(error) => return failed(format!("no URL: {error}")),
        };
        match self.inner.engine() {
            Err(why) => failed(why),
            Ok(engine) => {
                let domain = policy::domain_of(&url);
                let limit = self.inner.config.policy.limits.reference;
                let asked = async {
                    match tokio::time::timeout(limit, engine.client.json(url)).await {
                        Ok(outcome) => known(outcome),
                        Err(_) => failed(format!("{domain} did not answer within {limit:?}")),
                    }
                };
                engine.runtime.block_on(asked)
            }
        }
    }
}

fn known<T>(outcome: Outcome<T>) -> Known<T> {
    match outcome {
        Ok(value) => Known::Yes(value),
        Err(Trouble::Absent) => Known::No,
        Err(Trouble::Said(why) | Trouble::NoSuchMethod(why)) => {
            Known::Unknown(Unavailable::Failed(why))
        }
    }
}

impl Inner {
    fn engine(&self) -> Result<&Engine, String> {
        let made = self.engine.get_or_init(|| {
            let policy = Arc::new(self.config.policy.clone());
            let client = Client::new(policy, self.config.stores.clone())?;
            // Two threads, as long as only waiting is to be done.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(8)
                .thread_name("registry")
                .enable_all()
                .build()
                .map_err(|error| format!("the threads for registries: {error}"))?;
            Ok(Engine {
                runtime,
                client,
                places: Mutex::default(),
            })
        });
        made.as_ref().map_err(Clone::clone)
    }

    fn keep(&self, record: Record, cache: bool) {
        if cache
            && let Some(folder) = &self.config.cache
            && let Err(error) = folder.put(&record)
        {
            self.note(format!("answers can't be kept for later runs: {error}"));
        }
        lock(&self.records).insert(record.key(), record);
    }

    fn note(&self, text: String) {
        let mut notes = lock(&self.notes);
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// The answer that needs no registry: the lock file's, the cache's, the
    /// policy's refusal, or that there is none.
    fn stored<T>(
        &self,
        reference: &Reference,
        key: &str,
        read: impl Fn(&Record, ToldBy) -> Option<Known<T>>,
    ) -> Option<Known<T>> {
        let config = &self.config;
        if config.mode != Mode::Online
            && let Some(record) = config.lock.get(key)
            && let Some(answer) = read(record, ToldBy::Lock)
        {
            self.keep(record.clone(), false);
            return Some(answer);
        }
        if let Err(refused) = config.policy.may_ask(reference.domain()) {
            if config.mode == Mode::Online {
                let host = &refused.host;
                let how = if refused.can_be_allowed {
                    format!("; --ask-registry {host} allows it")
                } else {
                    String::new()
                };
                self.note(format!("{refused}{how}"));
            }
            return Some(Known::Unknown(Unavailable::Failed(refused.to_string())));
        }
        if config.mode == Mode::Locked {
            let name = key.split(' ').next().unwrap_or_default();
            lock(&self.not_locked).insert(name.to_owned());
            return Some(Known::Unknown(Unavailable::Failed(format!(
                "{LOCK_FILE} has no line for {name}"
            ))));
        }
        let record = config.cache.as_ref().and_then(|cache| cache.get(key));
        let fresh = |record: &Record| match record.said {
            // What a digest stands for does not change.
            Said::Created(_) | Said::Images(_) => true,
            Said::Digest { as_of, .. } => {
                let age = now().duration_since(as_of);
                !age.is_negative() && age.unsigned_abs() < config.policy.limits.fresh
            }
            Said::Absent { .. } => false,
        };
        if let Some(record) = record
            && (config.mode == Mode::Offline || fresh(&record))
            && let Some(answer) = read(&record, ToldBy::Cache)
        {
            self.keep(record, false);
            return Some(answer);
        }
        (config.mode == Mode::Offline).then_some(Known::Unknown(Unavailable::Offline))
    }

    /// Asks under the time limit of a reference, when its turn comes.
    async fn fetch<T, F>(&self, domain: &str, ask: impl FnOnce() -> F) -> Known<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(why) => return Known::Unknown(Unavailable::Failed(why)),
        };
        let limits = &self.config.policy.limits;
        let places = {
            let mut places = lock(&engine.places);
            let new = || Arc::new(Semaphore::new(limits.per_host));
            Arc::clone(places.entry(domain.to_owned()).or_insert_with(new))
        };
        let _place = places.acquire().await;
        match tokio::time::timeout(limits.reference, ask()).await {
            Ok(outcome) => known(outcome),
            Err(_) => Known::Unknown(Unavailable::Failed(format!(
                "{domain} did not answer within {:?}",
                limits.reference
            ))),
        }
    }

    fn client(&self) -> Outcome<&Client> {
        Ok(&self.engine()?.client)
    }

    async fn digest(&self, reference: &Reference) -> Known<Resolved> {
        let name = tagged(reference);
        let cell = Arc::clone(lock(&self.digests).entry(name.clone()).or_default());
        let answer = cell.get_or_init(|| async {
            let key = format!("{name} digest");
            if let Some(answer) = self.stored(reference, &key, Record::resolved) {
                return answer;
            }
            let (domain, path) = (reference.domain(), reference.path());
            let tag = reference.tag().unwrap_or("latest");
            let head = self
                .fetch(domain, || async {
                    self.client()?.head(domain, &path, tag).await
                })
                .await;
            let as_of = now();
            match head {
                Known::Yes(head) => {
                    let said = Said::Digest {
                        digest: head.digest.clone(),
                        single: head.single,
                        as_of,
                    };
                    self.keep(Record { name, said }, true);
                    Known::Yes(Resolved {
                        digest: head.digest,
                        single: head.single,
                        as_of,
                        told_by: ToldBy::Registry,
                    })
                }
                Known::No => {
                    let said = Said::Absent { as_of };
                    self.keep(Record { name, said }, true);
                    Known::No
                }
                Known::Unknown(why) => Known::Unknown(why),
            }
        });
        answer.await.clone()
    }

    /// The reference by digest: its own, or that of its tag.
    async fn by_digest(&self, reference: &Reference) -> Known<String> {
        match reference.digest() {
            Some(digest) => Known::Yes(digest.to_owned()),
            None => self.digest(reference).await.map(|resolved| resolved.digest),
        }
    }

    async fn index(&self, reference: &Reference) -> Known<Index> {
        let digest = match self.by_digest(reference).await {
            Known::Yes(digest) => digest,
            Known::No => return Known::No,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let name = format!("{}@{digest}", repository(reference));
        let cell = Arc::clone(lock(&self.indexes).entry(name.clone()).or_default());
        let answer = cell.get_or_init(|| async {
            let key = format!("{name} images");
            let read = |record: &Record, _| match &record.said {
                Said::Images(index) => Some(Known::Yes(index.clone())),
                _ => None,
            };
            if let Some(answer) = self.stored(reference, &key, read) {
                return answer;
            }
            let (domain, path) = (reference.domain(), reference.path());
            let index = self
                .fetch(domain, || async {
                    self.client()?.index(domain, &path, &digest).await
                })
                .await;
            if let Known::Yes(index) = &index {
                let said = Said::Images(index.clone());
                self.keep(Record { name, said }, true);
            }
            index
        });
        answer.await.clone()
    }

    async fn created(&self, reference: &Reference) -> Known<Timestamp> {
        let digest = match self.by_digest(reference).await {
            Known::Yes(digest) => digest,
            Known::No => return Known::No,
            Known::Unknown(why) => return Known::Unknown(why),
        };
        let name = format!("{}@{digest}", repository(reference));
        let cell = Arc::clone(lock(&self.made).entry(name.clone()).or_default());
        let answer = cell.get_or_init(|| async {
            let key = format!("{name} created");
            let read = |record: &Record, _| match record.said {
                Said::Created(at) => Some(Known::Yes(at)),
                _ => None,
            };
            if let Some(answer) = self.stored(reference, &key, read) {
                return answer;
            }
            let (domain, path) = (reference.domain(), reference.path());
            let pinned = Reference::parse(&name).ok();
            let index = match &pinned {
                Some(pinned) => Box::pin(self.index(pinned)).await,
                None => Known::No,
            };
            let index = match index {
                Known::Yes(index) => index,
                Known::No => return Known::No,
                Known::Unknown(why) => return Known::Unknown(why),
            };
            let made = self
                .fetch(domain, || async {
                    self.client()?.created(domain, &path, &index).await
                })
                .await;
            if let Known::Yes(at) = made {
                let said = Said::Created(at);
                self.keep(Record { name, said }, true);
            }
            made
        });
        answer.await.clone()
    }

    async fn tags(&self, reference: &Reference) -> Known<Vec<String>> {
        let name = repository(reference);
        let cell = Arc::clone(lock(&self.tags).entry(name.clone()).or_default());
        let answer = cell.get_or_init(|| async {
            if self.config.mode != Mode::Online {
                return Known::Unknown(Unavailable::Offline);
            }
            if let Some(refused) = self.stored(reference, &format!("{name} tags"), |_, _| None) {
                return refused;
            }
            let (domain, path) = (reference.domain(), reference.path());
            self.fetch(domain, || async {
                self.client()?.tags(domain, &path).await
            })
            .await
        });
        answer.await.clone()
    }

    async fn answer(&self, question: Question) {
        let read = |text: &str| Reference::parse(text).ok();
        match question {
            Question::Digest(text) => {
                if let Some(reference) = read(&text) {
                    self.digest(&reference).await;
                }
            }
            Question::Index(text) => {
                if let Some(reference) = read(&text) {
                    self.index(&reference).await;
                }
            }
            Question::Created(text) => {
                if let Some(reference) = read(&text) {
                    self.created(&reference).await;
                }
            }
            Question::Tags(text) => {
                if let Some(reference) = read(&text) {
                    self.tags(&reference).await;
                }
            }
            Question::Badge(namespace) => {
                self.badge(&namespace).await;
            }
        }
    }

    /// Runs a question to its end on this thread. Where nobody may be asked,
    /// nothing is waited for, and no runtime is made.
    fn run<T>(&self, question: impl Future<Output = Known<T>>) -> Known<T> {
        if self.config.mode != Mode::Online {
            return at_once(question);
        }
        match self.engine() {
            Ok(engine) => engine.runtime.block_on(question),
            Err(why) => Known::Unknown(Unavailable::Failed(why)),
        }
    }
}

/// The output of a future that waits for nothing but other threads that do
/// the same work, which wait for nothing either.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

impl Images for Registry {
    fn digest(&self, reference: &Reference) -> Known<Resolved> {
        self.inner.run(self.inner.digest(reference))
    }
    fn index(&self, reference: &Reference) -> Known<Index> {
        self.inner.run(self.inner.index(reference))
    }
    fn created(&self, reference: &Reference) -> Known<Timestamp> {
        self.inner.run(self.inner.created(reference))
    }
    fn tags(&self, reference: &Reference) -> Known<Vec<String>> {
        self.inner.run(self.inner.tags(reference))
    }
}

impl Trust for Registry {
    fn badge(&self, namespace: &str) -> Known<Badged> {
        self.inner.run(self.inner.badge(namespace))
    }
}

/// Answers what a [`Registry`] has answered already and notes the other
/// questions, so that they can be asked all at once ([`Registry::ask_ahead`]).
pub struct Ahead<'a> {
    registry: &'a Registry,
    questions: Mutex<BTreeSet<Question>>,
}

impl Ahead<'_> {
    /// The questions that had no answer, and none in the meantime.
    #[must_use]
    pub fn questions(self) -> BTreeSet<Question> {
        self.questions
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T: Clone>(&self, memo: &Memo<T>, name: &str, question: Question) -> Known<T> {
        let cell = lock(memo).get(name).cloned();
        if let Some(answer) = cell.as_ref().and_then(|cell| cell.get()) {
            return answer.clone();
        }
        lock(&self.questions).insert(question);
        Known::Unknown(Unavailable::Offline)
    }

    /// `name@digest`, where the digest is known.
    fn pinned(&self, reference: &Reference) -> Option<String> {
        let digest = match reference.digest() {
            Some(digest) => digest.to_owned(),
            None => self.digest(reference).yes()?.digest,
        };
        Some(format!("{}@{digest}", repository(reference)))
    }
}

impl Images for Ahead<'_> {
    fn digest(&self, reference: &Reference) -> Known<Resolved> {
        let name = tagged(reference);
        self.look(
            &self.registry.inner.digests,
            &name,
            Question::Digest(name.clone()),
        )
    }
    fn index(&self, reference: &Reference) -> Known<Index> {
        match self.pinned(reference) {
            Some(name) => self.look(
                &self.registry.inner.indexes,
                &name,
                Question::Index(name.clone()),
            ),
            None => Known::Unknown(Unavailable::Offline),
        }
    }
    fn created(&self, reference: &Reference) -> Known<Timestamp> {
        match self.pinned(reference) {
            Some(name) => self.look(
                &self.registry.inner.made,
                &name,
                Question::Created(name.clone()),
            ),
            None => Known::Unknown(Unavailable::Offline),
        }
    }
    fn tags(&self, reference: &Reference) -> Known<Vec<String>> {
        let name = repository(reference);
        self.look(
            &self.registry.inner.tags,
            &name,
            Question::Tags(name.clone()),
        )
    }
}

impl Trust for Ahead<'_> {
    fn badge(&self, namespace: &str) -> Known<Badged> {
        self.look(
            &self.registry.inner.badges,
            namespace,
            Question::Badge(namespace.to_owned()),
        )
    }
}
