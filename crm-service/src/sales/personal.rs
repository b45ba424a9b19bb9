//! The columns of the sales service's tables that may hold text, as `personal.rs` wants them.

use crate::personal::{Column, Content, LOOKUP, NAME, PROSE, SHARED};

/// Every column with text, of every schema level that this build can meet.
pub const COLUMNS: &[Column] = &[
    ("stage_kind.code", LOOKUP),
    ("stage_kind.label", LOOKUP),
    ("lost_reason.code", LOOKUP),
    ("lost_reason.label", LOOKUP),
    ("pipeline.name", NAME),
    ("stage.name", NAME),
    ("stage.kind", LOOKUP),
    ("opportunity.name", NAME),
    (
        "opportunity.currency",
        Content::Plain("three letters of ISO 4217; a check sees to it"),
    ),
    ("opportunity.state", LOOKUP),
    ("opportunity.lost_reason", LOOKUP),
    ("opportunity.lost_notes", PROSE),
    ("opportunity.next_step", PROSE),
    ("stage_move.moved_by", SHARED),
];
