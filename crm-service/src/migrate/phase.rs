//! The phases of a migration: their names and their order. Pure.

/// What a run of the migration runner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Phase {
    /// Shows what would be done; writes nothing.
    Plan,
    /// Adds what the new release needs, without disturbing the old one.
    Expand,
    /// Moves existing rows, batch by batch, while both releases serve.
    Backfill,
    /// Checks that nothing is missing.
    Verify,
    /// Drops what only the old release needed, and raises the floor.
    Contract,
    /// Puts substitutes in the place of personal data; refused outside of a rehearsal.
    Mask,
    /// Shows levels and ledger; writes nothing.
    Status,
}

impl Phase {
    /// The phases of which a migration has files, in the order in which they are run.
    pub const OF_FILES: [Phase; 4] = [
        Phase::Expand,
        Phase::Backfill,
        Phase::Verify,
        Phase::Contract,
    ];

    /// Phases that an image need not have, and this one has.
    pub const OFFERED: [&str; 1] = [Phase::Mask.name()];

    /// The name in file names, `CRM_PHASE` and the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Plan => "plan",
            Phase::Expand => "expand",
            Phase::Backfill => "backfill",
            Phase::Verify => "verify",
            Phase::Contract => "contract",
            Phase::Mask => "mask",
            Phase::Status => "status",
        }
    }
}
