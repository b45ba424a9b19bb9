//! What this build knows of each service's database schema: its migration files, its application level, and the
//! window of schema levels it can serve. Pure: nothing here talks to a database.
//!
//! A *schema level* is the number of the newest migration whose expand has been applied. An *app level* counts what a
//! build relies on; the database's *floor* (`min_app_level`) is the lowest app level for which nothing was dropped.

use crate::service::Service;

/// The migration files and levels of one service in this build.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The service, whose name is the database schema's name too.
    pub service: Service,
    /// What this build relies on; it must not be below the database's floor.
    pub app_level: i32,
    /// The schema level that this build's statements need. A newer schema is fine.
    pub min_schema_level: i32,
    /// File name and text of every migration file, in no particular order.
    pub files: &'static [(&'static str, &'static str)],
}

/// What the database says of itself: the one row of `<service>.schema_compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of the newest migration whose expand has been applied; 0 before the first.
    pub schema_level: i32,
    /// The lowest app level that may still serve: the floor.
    pub min_app_level: i32,
}

/// Why this build must not serve on this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A migration that this build needs has not been applied yet.
    #[error(
        "schema {service} is at level {found} and this build needs level {needed}: run the migration's expand phase first"
    )]
    SchemaTooOld {
        /// The service.
        service: Service,
        /// The database's schema level.
        found: i32,
        /// The level that this build needs.
        needed: i32,
    },
    /// Something that this build relies on has been dropped.
    #[error(
        "this build has app level {app_level} and schema {service} has floor {floor}: what it relies on was dropped; deploy a release of app level {floor} or newer"
    )]
    BelowFloor {
        /// The service.
        service: Service,
        /// The app level of this build.
        app_level: i32,
        /// The database's floor.
        floor: i32,
    },
}

const CUSTOMER: Schema = Schema {
    service: Service::Customer,
    app_level: 2,
    min_schema_level: 2,
    files: &[
        (
            "0001_initial.expand.sql",
            include_str!("../migrations/customer/0001_initial.expand.sql"),
        ),
        (
            "0002_contact_email.expand.sql",
            include_str!("../migrations/customer/0002_contact_email.expand.sql"),
        ),
        (
            "0002_contact_email.backfill.sql",
            include_str!("../migrations/customer/0002_contact_email.backfill.sql"),
        ),
        (
            "0002_contact_email.verify.sql",
            include_str!("../migrations/customer/0002_contact_email.verify.sql"),
        ),
        (
            "0002_contact_email.contract.sql",
            include_str!("../migrations/customer/0002_contact_email.contract.sql"),
        ),
    ],
};

const SALES: Schema = Schema {
    service: Service::Sales,
    app_level: 1,
    min_schema_level: 1,
    files: &[(
        "0001_initial.expand.sql",
        include_str!("../migrations/sales/0001_initial.expand.sql"),
    )],
};

/// The schema of a service as this build knows it.
pub const fn of(service: Service) -> Schema {
    match service {
        Service::Customer => CUSTOMER,
        Service::Sales => SALES,
    }
}

/// Says whether this build may serve on a database; asked at start and by `/readyz`.
///
/// # Errors
/// The schema is older than this build's statements, or its floor is above this build.
pub fn fits(service: Service, database: Window) -> Result<(), Reason> {
    of(service).fits(database)
}

impl Schema {
    /// As [`fits`], for a schema that is not the embedded one.
    ///
    /// # Errors
    /// As [`fits`].
    pub fn fits(&self, database: Window) -> Result<(), Reason> {
        let service = self.service;
        if self.app_level < database.min_app_level {
            return Err(Reason::BelowFloor {
                service,
                app_level: self.app_level,
                floor: database.min_app_level,
            });
        }
        if database.schema_level < self.min_schema_level {
            return Err(Reason::SchemaTooOld {
                service,
                found: database.schema_level,
                needed: self.min_schema_level,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL_TWO: Schema = Schema {
        service: Service::Customer,
        app_level: 2,
        min_schema_level: 2,
        files: &[],
    };

    fn database(schema_level: i32, min_app_level: i32) -> Window {
        Window {
            schema_level,
            min_app_level,
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_build() {
        for service in Service::ALL {
            let folder = format!("{}/migrations/{service}", env!("CARGO_MANIFEST_DIR"));
            let on_disk = std::fs::read_dir(folder).unwrap();
            let mut on_disk: Vec<_> = on_disk
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            on_disk.sort();
            let mut embedded: Vec<_> = of(service).files.iter().map(|(name, _)| *name).collect();
            embedded.sort();
            assert_eq!(embedded, on_disk, "{service}");
        }
    }

    #[test]
    fn serves_on_its_own_level_and_on_newer_ones() {
        assert_eq!(LEVEL_TWO.fits(database(2, 1)), Ok(()));
        assert_eq!(LEVEL_TWO.fits(database(2, 2)), Ok(()));
        assert_eq!(LEVEL_TWO.fits(database(9, 2)), Ok(()));
    }

    #[test]
    fn does_not_serve_before_its_expand() {
        let reason = LEVEL_TWO.fits(database(1, 1)).unwrap_err();
        assert!(matches!(
            reason,
            Reason::SchemaTooOld {
                found: 1,
                needed: 2,
                ..
            }
        ));
        assert!(reason.to_string().contains("run the migration's expand"));
    }

    #[test]
    fn does_not_serve_below_the_floor_however_new_the_schema() {
        let reason = LEVEL_TWO.fits(database(9, 3)).unwrap_err();
        assert!(matches!(
            reason,
            Reason::BelowFloor {
                app_level: 2,
                floor: 3,
                ..
            }
        ));
    }
}
