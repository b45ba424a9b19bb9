//! The services of this binary, and the way from a name to a module. Everything that differs between services is asked
//! of this enum; nothing here reads or writes.

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

    /// The routes below `/api/<name>/v1`.
    pub fn routes(self) -> axum::Router<crate::http::Shared> {
        let routes = match self {
            Service::Customer => crate::customer::routes(),
            Service::Sales => crate::sales::routes(),
        };
        routes.route(
            "/synthetic-rows",
            axum::routing::delete(crate::synthetic::remove),
        )
    }

    /// The columns of its tables that may hold text, and what they hold.
    pub fn columns(self) -> &'static [crate::personal::Column] {
        match self {
            Service::Customer => crate::customer::COLUMNS,
            Service::Sales => crate::sales::COLUMNS,
        }
    }

    /// What the OpenAPI document says of the routes.
    pub fn operations(self) -> Vec<crate::resource::Operations> {
        match self {
            Service::Customer => crate::customer::operations(),
            Service::Sales => crate::sales::operations(),
        }
    }

    /// Every statement that the serving process can send.
    pub fn statements(self) -> Vec<String> {
        let mut all = match self {
            Service::Customer => crate::customer::statements(),
            Service::Sales => crate::sales::statements(),
        };
        all.extend(crate::serve::heartbeat::statements(self));
        all.extend(
            crate::synthetic::statements(self)
                .iter()
                .map(|text| (*text).to_owned()),
        );
        all
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
