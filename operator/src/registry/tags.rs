//! Lists the tags of a repository.
//!
//! In: an image of the repository. Out: the versions among its tags, or why they are not known. Anonymous access only; the library tells whether that takes a
//! token. The pages are read here, because whoever runs the registry decides how many there are, how long they are and where the next one is: all of it is bounded,
//! and nobody else is asked. A list that is not whole is none: the newest tag may be what is missing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::{Response, Url, header};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::trouble::unresolved;
use crate::observed::Unresolved;
use crate::platform::image_update::{Gathered, Tags};

/// How many tags a page shall have; registries give fewer when they like.
const PAGE: &str = "1000";
/// Most pages that are read.
const PAGES: usize = 100;
/// Most bytes of all pages together.
const BYTES: usize = 2 * 1024 * 1024;
/// Most tags of all pages together.
const TAGS: usize = 50_000;
/// Most bytes of a page that is read whatever else is.
const SHORT: usize = 64 * 1024;
/// How many longer pages are in memory at a time, of all registries together.
const LONG_ONES: usize = 8;
/// Time for what is longer of a page: others may wait for the room.
const LONG_WITHIN: Duration = Duration::from_secs(4);
/// Seconds for the whole list.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks for pages of tags.
#[derive(Clone)]
pub(super) struct Lister {
    client: Client,
    http: reqwest::Client,
    /// Registries that speak plain http.
    insecure: Vec<String>,
    long: Arc<Semaphore>,
}

/// Why there is no list.
enum NoList {
    /// The registry did not give it.
    Trouble(OciDistributionError),
    /// Too much is being read just now.
    Busy,
    /// It sends a long page slowly.
    Slow,
    /// It gave what cannot be followed; the words follow on its name.
    Unfit(String),
}

impl<E: Into<OciDistributionError>> From<E> for NoList {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

impl Lister {
    pub fn new(client: Client, http: reqwest::Client, insecure: &[String]) -> Self {
        Self {
            client,
            http,
            insecure: insecure.to_vec(),
            long: Arc::new(Semaphore::new(LONG_ONES)),
        }
    }

    /// The versions in the repository of an image.
    pub async fn list(&self, image: &str) -> Result<Tags, Unresolved> {
        let parsed: Reference = image.parse().map_err(|error| {
            Unresolved::Refused(format!(
                "image {image:?} is not a valid reference ({error}): correct it in the spec"
            ))
        })?;
        let registry = parsed.resolve_registry();
        let listed = tokio::time::timeout(DEADLINE, self.pages(&parsed)).await;
        match listed {
            Ok(Ok(tags)) => Ok(tags),
            Ok(Err(NoList::Trouble(error))) => {
                Err(unresolved(super::repository(image), registry, &error))
            }
            Ok(Err(NoList::Busy)) => Err(Unresolved::OutOfReach(format!(
                "{registry} lists many tags, and the operator reads {LONG_ONES} such lists already: it is asked again"
            ))),
            Ok(Err(NoList::Slow)) => Err(Unresolved::OutOfReach(format!(
                "{registry} lists many tags, and does not send them within {} seconds: it is asked again",
                LONG_WITHIN.as_secs()
            ))),
            Ok(Err(NoList::Unfit(what))) => Err(Unresolved::Refused(format!(
                "registry {registry} {what}: set spec.image by hand, without spec.imageUpdate, or use another repository"
            ))),
            Err(_) => Err(Unresolved::OutOfReach(format!(
                "{registry} did not list the tags within {} s: check it and the way to it",
                DEADLINE.as_secs()
            ))),
        }
    }

    async fn pages(&self, image: &Reference) -> Result<Tags, NoList> {
        let (nobody, pull) = (RegistryAuth::Anonymous, RegistryOperation::Pull);
        let token = self.client.auth(image, &nobody, pull).await?;
        let mut next = Some(self.first(image)?);
        let (mut seen, mut room) = (HashSet::new(), BYTES);
        let (mut tags, mut count) = (Gathered::default(), 0);
        while let Some(url) = next {
            if seen.len() == PAGES || !seen.insert(url.clone()) {
                return Err(NoList::Unfit(format!(
                    "does not come to an end of its tags within {PAGES} pages"
                )));
            }
            let mut request = self.http.get(url);
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await?;
            next = following(&response)?;
            count += self.page(response, &mut room, &mut tags).await?;
            if count > TAGS {
                return Err(NoList::Unfit(format!("lists more than {TAGS} tags")));
            }
        }
        Ok(tags.tags())
    }

    /// Gathers the tags of one page, as far as there is room for it, and counts them.
    async fn page(
        &self,
        mut response: Response,
        room: &mut usize,
        tags: &mut Gathered,
    ) -> Result<usize, NoList> {
        succeeded(&response)?;
        let (mut body, mut long) = (Vec::new(), None);
        let mut until = Instant::now() + DEADLINE;
        while let Some(chunk) = timeout_at(until, response.chunk())
            .await
            .map_err(|_| NoList::Slow)??
        {
            *room = room
                .checked_sub(chunk.len())
                .ok_or_else(|| NoList::Unfit(format!("lists more than {BYTES} bytes of tags")))?;
            if long.is_none() && body.len() + chunk.len() > SHORT {
                // Not waited for: those that read may be kept waiting themselves.
                long = Some(self.long.try_acquire().map_err(|_| NoList::Busy)?);
                until = Instant::now() + LONG_WITHIN;
            }
            body.extend_from_slice(&chunk);
        }
        let page: Page = serde_json::from_slice(&body)?;
        let all = page.tags.unwrap_or_default();
        let count = all.len();
        all.into_iter().for_each(|tag| tags.add(tag));
        Ok(count)
    }

    fn first(&self, image: &Reference) -> Result<Url, NoList> {
        let registry = image.resolve_registry();
        let scheme = match self.insecure.iter().any(|host| host == registry) {
            true => "http",
            false => "https",
        };
        let repository = image.repository();
        let url = format!("{scheme}://{registry}/v2/{repository}/tags/list?n={PAGE}");
        url.parse()
            .map_err(|_| NoList::Unfit("has a name that is no address".to_owned()))
    }
}

/// Where the next page is, if there is one: in the same list of the same registry.
fn following(response: &Response) -> Result<Option<Url>, NoList> {
    let links = response.headers().get_all(header::LINK).into_iter();
    let links = links.filter_map(|link| link.to_str().ok());
    let mut links = links.filter_map(|link| {
        let next = link.split_once("rel=\"next\"");
        next.or_else(|| link.split_once("rel=next"))
    });
    let Some((link, _)) = links.next() else {
        return Ok(None);
    };
    let target = link.rsplit_once('<');
    let target = target.and_then(|(_, rest)| rest.split_once('>'));
    let here = response.url();
    let next = target.and_then(|(target, _)| here.join(target).ok());
    let next = next.filter(|next| next.origin() == here.origin() && next.path() == here.path());
    let unfit = || NoList::Unfit("says that more of its tags are in another place".to_owned());
    next.map(Some).ok_or_else(unfit)
}

fn succeeded(response: &Response) -> Result<(), NoList> {
    let (status, url) = (response.status(), response.url().to_string());
    if status.is_redirection() {
        let what = "sends who asks for its tags to another place";
        return Err(NoList::Unfit(what.to_owned()));
    }
    if !status.is_success() {
        return Err(NoList::Trouble(OciDistributionError::ServerError {
            code: status.as_u16(),
            url,
            message: String::new(),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
