//! What is particular to PHP: built extensions, and Composer.

use super::artifacts::below;
use super::{Outcome, Shape, Subject, node, written};
use crate::model::effects::What;
use crate::model::sources::Sources;

/// Where the official image has extensions, and the files that load them.
const EXTENSIONS: &str = "/usr/local/lib/php/extensions";
const LOADED: &str = "/usr/local/etc/php/conf.d";

pub(super) fn shape(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    written(subject)?;
    let mut shape = Shape::default();
    let mut extensions = None;
    for (index, effect) in subject.ledger.effects.iter().enumerate() {
        if let What::NodeInstall { global: Some(packages), .. } = &effect.what {
            node::global(subject, index, effect, packages, &mut shape)?;
        }
        let writes = |path: &str| effect.writes.iter().any(|write| below(&write.path, path));
        if writes(EXTENSIONS) || (effect.program.is_some() && writes(LOADED)) {
            extensions.get_or_insert(effect);
        }
        if !subject.demands("composer") {
            let programs = effect.writes.iter().map(|write| &write.path);
            let composer = programs.filter(|path| {
                let name = path.rsplit('/').next().unwrap_or(path);
                matches!(name, "composer" | "composer.phar" | "composer-setup.php")
            });
            shape.leaves.extend(composer.cloned());
        }
    }
    if let Some(effect) = extensions {
        shape.copies.extend([EXTENSIONS.to_owned(), LOADED.to_owned()]);
        shape.because.push(format!(
            "line {}: extensions and the files that load them are copied, at the same path in both stages",
            effect.line
        ));
    }
    if let Some(path) = shape.leaves.first() {
        shape.because.push(format!("{path} stays in the build stage: nothing that runs starts it"));
    }
    Ok(shape)
}
