//! Contacts that are made before the traffic and read back after it: nobody writes them meanwhile but a migration, which
//! finds rows to move and must not lose an address.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

use super::record::Kind;
use super::user::{Step, User};

/// How many contacts.
const CONTACTS: usize = 300;
/// How many callers make and read them at a time.
const CALLERS: usize = 4;
/// How long making them may take.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// How long reading them may take; less than Kubernetes gives a pod that it ends.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// Contacts as they were made: path, and what must be read.
pub struct Kept {
    user: User,
    contacts: Vec<(String, Value)>,
}

impl Kept {
    /// Makes the contacts.
    ///
    /// # Errors
    /// One of them is not accepted, or they take too long.
    pub async fn make(user: User, mark: &str) -> Result<Kept, String> {
        let numbers: Vec<usize> = (0..CONTACTS).collect();
        let callers = numbers.chunks(CONTACTS.div_ceil(CALLERS));
        let made = try_join_all(callers.map(|numbers| make_some(user.clone(), mark, numbers)));
        match tokio::time::timeout(MAKE_LIMIT, made).await {
            Ok(made) => Ok(Kept {
                user,
                contacts: made?.into_iter().flatten().collect(),
            }),
            Err(_) => Err(format!(
                "{CONTACTS} contacts to begin with could not be made within {} s: look whether the customer service is healthy",
                MAKE_LIMIT.as_secs()
            )),
        }
    }

    /// Reads every contact; one that is lost or has another address is counted as wrong.
    ///
    /// # Errors
    /// Not all could be read in time.
    pub async fn read_back(&self) -> Result<(), String> {
        let callers = self.contacts.chunks(CONTACTS.div_ceil(CALLERS));
        let read = join_all(callers.map(|contacts| read_some(self.user.clone(), contacts)));
        let within = tokio::time::timeout(READ_LIMIT, read).await.map(drop);
        within.map_err(|_| {
            format!(
                "{CONTACTS} contacts could not be read back within {} s",
                READ_LIMIT.as_secs()
            )
        })
    }
}

async fn make_some(
    mut user: User,
    mark: &str,
    numbers: &[usize],
) -> Result<Vec<(String, Value)>, String> {
    let mut made = Vec::with_capacity(numbers.len());
    for number in numbers {
        let body = Kind::Contact.body(&format!("{mark}-kept-{number}"), &Value::Null);
        let step = Step::post(Kind::Contact.collection(), &body);
        let contact = user.ask(step).await.map_err(|counted| {
            format!("a contact to begin with was not accepted: {}", counted.0)
        })?;
        let id = contact["id"].as_str().unwrap_or_default();
        let path = format!("{}/{id}", Kind::Contact.collection());
        let [email, version, updated_at] =
            ["email", "version", "updated_at"].map(|name| contact[name].clone());
        let expected =
            json!({"id": id, "email": email, "version": version, "updated_at": updated_at});
        made.push((path, expected));
    }
    Ok(made)
}

async fn read_some(mut user: User, contacts: &[(String, Value)]) {
    for (path, expected) in contacts {
        // What is wrong with it is counted; the next one is read all the same.
        let _ = user.ask(Step::get(path, expected)).await;
    }
}
