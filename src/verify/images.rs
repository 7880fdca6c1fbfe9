//! The images of a verification: built, read, and taken away again.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::archive::{self, Image};
use super::builder::{Build, Builder, Flags};
use super::failure::Failure;
use super::{NUMBER, Worker};
use crate::model::{Base, Model};
use crate::syntax::{self, Keyword};

/// How long an image may take to be read.
const READING: Duration = Duration::from_secs(1200);

/// An image of ours; its tag is taken away when it goes out of scope.
pub(super) struct Tagged<'s> {
    builder: &'s Builder,
    pub(super) tag: String,
    keep: bool,
}

impl Drop for Tagged<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.builder.untag(&self.tag);
        }
    }
}

/// A built image, its contents, and those of the image it is built on.
pub(super) struct Built<'s> {
    pub(super) tagged: Tagged<'s>,
    pub(super) image: Image,
    pub(super) base: Option<Image>,
}

impl Built<'_> {
    /// How many of its lowest layers are the base image's.
    pub(super) fn base_layers(&self) -> usize {
        let Some(base) = &self.base else { return 0 };
        let ids = &base.config.diff_ids;
        if self.image.config.diff_ids.starts_with(ids) {
            ids.len()
        } else {
            0
        }
    }
}

impl<'w> Worker<'w> {
    /// Builds, reads the image, and reads that of its base.
    pub(super) fn build(&self, dockerfile: &[u8], role: &str) -> Result<Built<'w>, Failure> {
        let tag = format!("dfmigrate-verify:{}-{role}", self.slug);
        let tagged = self.build_one(dockerfile, &tag, role, self.subject.context, false)?;
        self.watch.now(&format!("{role}: reading the image"));
        let image = self.read(&tag)?;
        let base = self.base_of(dockerfile)?;
        Ok(Built {
            tagged,
            image,
            base,
        })
    }

    fn build_one(
        &self,
        dockerfile: &[u8],
        tag: &str,
        role: &str,
        context: &Path,
        bare: bool,
    ) -> Result<Tagged<'w>, Failure> {
        let mut flags = self.options.flags.clone();
        if bare {
            flags = Flags {
                build_args: flags.build_args,
                platform: flags.platform,
                ..Flags::default()
            };
        }
        let build = Build {
            dockerfile,
            path: self.subject.path,
            context,
            tag,
            flags: &flags,
        };
        self.watch.now(&format!("{role}: building"));
        let session = self.session;
        session
            .builder
            .build(&build, session.secrets, self.options.time, |step| {
                self.watch.now(&format!("{role}: {step}"));
            })?;
        Ok(Tagged {
            builder: session.builder,
            tag: tag.to_owned(),
            keep: self.options.keep && !bare,
        })
    }

    fn read(&self, tag: &str) -> Result<Image, Failure> {
        let id = self.session.builder.id(tag)?;
        let cache = self.session.cache;
        if let Some(image) = cache.image(&id) {
            return Ok(image);
        }
        let builder = self.session.builder;
        builder.save(tag, READING, |archive| archive::read(archive, &id, cache))
    }

    /// The image that the last stage is built on, read by building nothing on
    /// it: the file's own ARG lines say what its FROM means.
    pub(super) fn base_of(&self, dockerfile: &[u8]) -> Result<Option<Image>, Failure> {
        let file = syntax::parse(dockerfile.to_vec());
        let model = Model::of(&file);
        let Some(last) = model.stages.len().checked_sub(1) else {
            return Ok(None);
        };
        let mut stage = &model.stages[last];
        if let Some(target) = &self.options.flags.target {
            let named = model
                .stages
                .iter()
                .find(|s| s.name.as_ref() == Some(&target.to_lowercase()));
            stage = named.unwrap_or(stage);
        }
        while let Base::Stage(earlier) = stage.base {
            stage = &model.stages[earlier];
        }
        if !matches!(stage.base, Base::Image(_)) {
            return Ok(None);
        }
        let text = |at: usize| {
            let it = model.instructions[at];
            String::from_utf8_lossy(it.code(file.source()).of(file.source())).into_owned()
        };
        let mut bare = String::new();
        for (at, it) in model.instructions.iter().enumerate() {
            match it.keyword {
                Keyword::From => break,
                Keyword::Arg => bare.push_str(&(text(at) + "\n")),
                _ => {}
            }
        }
        bare.push_str(&(text(stage.from) + "\n"));
        let known = || {
            self.session
                .bases
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(image) = known().get(&bare) {
            return Ok(Some(image.clone()));
        }
        let empty = tempfile::tempdir()
            .map_err(|error| Failure::Other(format!("no folder can be made: {error}")))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tag = format!("dfmigrate-verify:{}-base-{number}", self.slug);
        let _tagged = self.build_one(bare.as_bytes(), &tag, "base", empty.path(), true)?;
        let image = self.read(&tag)?;
        known().insert(bare, image.clone());
        Ok(Some(image))
    }
}
