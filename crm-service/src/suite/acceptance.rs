//! The suite `acceptance`: every promise of the interface, as somebody outside would check it.

mod access;
mod customer;
mod emails;
mod forecast;
mod lists;
mod records;
mod sales;

use super::case::Case;
use crate::service::Service;

/// The cases for a service.
pub fn cases(service: Service) -> Vec<Case> {
    let mut cases = access::cases(service);
    match service {
        Service::Customer => {
            cases.extend(records::cases());
            cases.extend(lists::cases());
            cases.extend(customer::cases());
            cases.extend(emails::cases());
        }
        Service::Sales => {
            cases.extend(sales::cases());
            cases.extend(forecast::cases());
        }
    }
    cases
}
