//! The customer service: accounts, their contacts, and notes on both.

mod account;
mod contact;
mod note;
mod personal;

use axum::Router;

use crate::http::Shared;
use crate::resource::{self, Operations, Resource};

pub use account::Account;
pub use contact::Contact;
pub use note::Note;
pub use personal::COLUMNS;

/// The routes of the service.
pub fn routes() -> Router<Shared> {
    resource::routes::<Account>()
        .merge(resource::routes::<Contact>())
        .merge(resource::routes::<Note>())
}

/// The part of the OpenAPI document that describes the routes.
pub fn operations() -> Vec<Operations> {
    vec![
        resource::operations::<Account>(),
        resource::operations::<Contact>(),
        resource::operations::<Note>(),
    ]
}

/// Every statement of the service.
pub fn statements() -> Vec<String> {
    let mut all = Account::statements().inventory(&Account::LISTING);
    all.extend(Contact::statements().inventory(&Contact::LISTING));
    all.extend(Note::statements().inventory(&Note::LISTING));
    all.extend(
        [
            account::VISIBLE,
            account::IN_USE,
            contact::VISIBLE,
            contact::IN_USE,
        ]
        .map(str::to_owned),
    );
    all.extend(contact::email::STATEMENTS.map(str::to_owned));
    all
}
