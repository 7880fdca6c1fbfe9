//! How a plan is shown. The only types here that serialize; nothing else in
//! the library knows of JSON output.

mod diff;
mod failure;
mod github;
mod html;
mod inspect;
mod inventory;
mod json;
mod ledger;
mod markdown;
mod page;
mod proof;
mod render;
mod review;
mod safe;
mod sarif;
mod sizes;
mod stream;
mod text;

pub use diff::{PatchName, patch, review_diff};
pub use failure::syntax_errors;
pub use inspect::inspect_line;
pub(crate) use inventory::cell;
pub use inventory::{Form, Row, Totals, inventory, inventory_text, totals};
pub use json::{VERSION, report_line_schema, report_schema};
pub use ledger::{ledger_json, ledger_text};
pub use proof::{LeftOut, Proof, Repair};
pub use render::{FileReport, Format, Mode, Outcome, Renderer, Run, renderer};
pub use review::{Counts, Width, review, review_rewrite};
pub use safe::{one_line, visible};
pub use sizes::{Measured, MeasuredFile, MeasuredLayer};
pub use stream::{stream_line, stream_schema};

use anstyle::{AnsiColor, Style};

/// The styles of a terminal; plain text when they are not wanted is the
/// caller's choice of stream.
pub mod style {
    use super::{AnsiColor, Style};

    /// Paths.
    pub const PATH: Style = Style::new().bold();
    /// Removed lines and errors.
    pub const OLD: Style = AnsiColor::Red.on_default();
    /// Added lines and the grade `safe`.
    pub const NEW: Style = AnsiColor::Green.on_default();
    /// Hunk headers.
    pub const HUNK: Style = AnsiColor::Cyan.on_default();
    /// The grade `review`, and doubts.
    pub const DOUBT: Style = AnsiColor::Yellow.on_default();
    /// What matters less.
    pub const DIM: Style = Style::new().dimmed();
}
