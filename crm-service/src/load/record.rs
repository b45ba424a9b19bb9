//! The records that the load makes: what is written first, what is changed, and how it is found again. Only fields that
//! the release before knows too: both serve while a release is rolled out.

use serde_json::{Value, json};

use crate::service::Service;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of `customer`.
    Account,
    /// Of `customer`; the table that a release migrates under load.
    Contact,
    /// Of `sales`.
    Opportunity,
}

impl Kind {
    /// What a user of a service works on in a round.
    pub fn of(service: Service, round: u64) -> Kind {
        match service {
            Service::Customer if round.is_multiple_of(2) => Kind::Account,
            Service::Customer => Kind::Contact,
            Service::Sales => Kind::Opportunity,
        }
    }

    /// Path of the collection.
    pub fn collection(self) -> &'static str {
        match self {
            Kind::Account => "/accounts",
            Kind::Contact => "/contacts",
            Kind::Opportunity => "/opportunities",
        }
    }

    /// A new record; `pipeline` is for opportunities.
    pub fn body(self, mark: &str, pipeline: &Value) -> Value {
        let name = format!("Load {mark}");
        match self {
            Kind::Account => json!({"name": name, "external_source": "load", "external_id": mark}),
            Kind::Contact => json!({
                "last_name": name, "external_source": "load", "external_id": mark,
                "email": format!("first-{mark}@load.example"),
            }),
            Kind::Opportunity => json!({
                "name": name, "external_source": "load", "external_id": mark, "pipeline_id": pipeline,
                "amount": "100.0000", "currency": "EUR", "expected_close_date": "2027-06-30",
            }),
        }
    }

    /// A change of that record.
    pub fn change(self, mark: &str) -> Value {
        match self {
            Kind::Contact => json!({"email": format!("Changed-{mark}@load.example")}),
            Kind::Account | Kind::Opportunity => json!({"name": format!("Changed {mark}")}),
        }
    }

    /// The list that has the changed record and no other.
    pub fn search(self, mark: &str) -> String {
        let filter = match self {
            Kind::Contact => format!("email=changed-{mark}@load.example"),
            Kind::Account | Kind::Opportunity => {
                format!("external_source=load&external_id={mark}")
            }
        };
        format!("{}?{filter}&limit=2", self.collection())
    }

    /// What every release that may serve shows of a record.
    pub fn shown_by_all(self, mut record: Value) -> Value {
        if let (Kind::Contact, Some(fields)) = (self, record.as_object_mut()) {
            fields.remove("emails");
        }
        record
    }
}
