//! Offline knowledge of the Docker Official Images: every tag that is in the
//! library or ever was, what it is built on, which tags name the same image,
//! and since when it is frozen.
//!
//! The facts lie under `src/catalog/data/` and are as old as [`source`] says;
//! whoever tells a person one of them should tell that day too. Nothing here is
//! guessed: two tags are the same image only where one group of the library
//! names both, today ([`Proof::AliasGroup`]) or on the day they left it
//! together ([`Proof::Frozen`]).

pub mod alpine;
pub mod apk;
pub mod bases;
pub mod commands;
pub mod compiled;
pub mod crates;
mod date;
mod describe;
pub mod dotnet;
pub mod java;
pub mod libraries;
pub mod life;
pub mod living;
mod memo;
pub mod origin;
pub mod packages;
mod pin;
pub mod programs;
pub mod registries;
mod release;
mod sibling;
mod spelling;
pub mod successor;
pub mod table;
mod tags;
pub mod timeline;
pub mod traps;
pub mod variants;
pub mod web;

pub use date::Date;
pub use describe::describe;
pub use pin::{NoPin, Pin, Proof, codename_tag};
pub use release::{Release, compare_glibc, release, releases};
pub use sibling::{NoSibling, alpine_tag, runtime_tag, slim_tag};
pub use spelling::tags_naming;
pub use tags::{
    Base, Certainty, Entry, Group, ImageInfo, Kind, Source, aliases, image, images, is_official,
    lookup, source, tags,
};
