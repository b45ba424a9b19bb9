//! The names of the services of this binary. Everything that differs between them is asked of this enum or lives in
//! the module of that name; nothing here reads or writes.

use std::fmt;

/// A service of the CRM: its name on the command line, in the address `/api/<name>/v1` and of its database schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Service {
    /// Accounts, contacts, notes.
    Customer,
    /// Pipelines, opportunities, forecast.
    Sales,
}

impl Service {
    /// Every service, in the order in which they depend on each other.
    pub const ALL: [Service; 2] = [Service::Customer, Service::Sales];

    /// The name, which is the name of the database schema too.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Customer => "customer",
            Service::Sales => "sales",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
