//! `dfmigrate` reads Dockerfiles and proposes rewrites that a careful engineer
//! would be glad to merge. The straight line of the work:
//!
//! ```text
//! discover → syntax::parse → Model::of → plan (rules) → EditSet::apply → report | apply | verify
//! ```
//!
//! One law joins the modes: what `--apply` writes are exactly the bytes that
//! the review showed, because both read the same [`plan::Plan`].
//!
//! The layers, lowest first. A module uses only those above it in this list;
//! `tests/architecture.rs` holds that.
//!
//! | module | what it is | uses |
//! |---|---|---|
//! | [`text`] | byte spans, edits, edit sets, line index | nothing |
//! | [`image`] | image references, tags, digests | nothing |
//! | [`syntax`] | the lossless Dockerfile tree and RUN bodies as shell commands | text |
//! | [`catalog`] | offline knowledge: official images, packages, commands | image |
//! | [`facts`] | `Known<T>` and the traits through which a rule asks for facts | image |
//! | [`model`] | stages, variables, users, the effects ledger | all above |
//! | [`rules`] | one rewrite per file | all above |
//! | [`plan`] | selection, conflicts, the laws | all above |
//! | [`report`] | the only `Serialize` types, and the renderers | all above |
//!
//! Everything up to here is pure: no file system, network, environment,
//! process or clock. The edges do I/O: [`settings`], [`discover`],
//! [`context`], [`registry`], [`apply`], [`lsp`] (which serves editors),
//! [`verify`] (which builds before and after, and compares).

pub mod catalog;
pub mod facts;
pub mod image;
pub mod model;
pub mod plan;
pub mod report;
pub mod rules;
pub mod syntax;
pub mod text;

pub mod beneath;

pub mod apply;
pub mod context;
pub mod discover;
pub mod lsp;
pub mod registry;
pub mod settings;
pub mod verify;
