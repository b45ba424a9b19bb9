//! Lists of tags that were asked for: one question at a time for a repository, however many platforms follow it, and the last answer.
//!
//! In: an image, and how old an answer may be. Out: the last answer, at once, and when there may be another. Each question has a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::tags::{DEADLINE, Lister};
use super::{AWAY, repository};
use crate::observed::{Listing, Unresolved};
use crate::platform::image_update::Tags;

/// How long a failure is remembered at most.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// When an answer that has not come yet is looked for: soon, and then less and less often.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// A question without an answer after this is lost.
const LOST: Duration = Duration::from_secs(DEADLINE.as_secs() + 10);

type Answer = Result<Arc<Tags>, Unresolved>;

/// The lists of all repositories that are followed.
#[derive(Clone, Default)]
pub(super) struct Listed(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Default)]
struct Entry {
    /// When the question was asked that has no answer yet.
    asked: Option<Instant>,
    /// The last answer, and when it came.
    answered: Option<(Instant, Answer)>,
    /// Since when the registry cannot be asked.
    away_since: Option<Instant>,
    /// Nobody comes back for it after this.
    needed_until: Option<Instant>,
}

impl Listed {
    /// What is known of the tags beside an image. An answer older than `interval` is asked for again.
    pub fn of(&self, lister: &Lister, image: &str, interval: Duration) -> Listing {
        let name = repository(image);
        let mut all = self.lock();
        all.retain(|_, entry| entry.is_needed());
        let entry = all.entry(name.to_owned()).or_default();
        entry.needed_until = Instant::now().checked_add(2 * interval + LOST);
        if entry.waited().is_none() && entry.due_in(interval).is_zero() {
            entry.asked = Some(Instant::now());
            self.ask(lister.clone(), image.to_owned());
        }
        let waited = entry.waited();
        let look_again = waited.map(|waited| waited.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1));
        let answered = entry.answered.as_ref();
        Listing {
            answer: answered.map(|(_, answer)| answer.clone()),
            again_in: look_again.unwrap_or_else(|| entry.due_in(interval)),
        }
    }

    fn ask(&self, lister: Lister, image: String) {
        let all = self.clone();
        tokio::spawn(async move {
            let answer = lister.list(&image).await.map(Arc::new);
            if let Some(entry) = all.lock().get_mut(repository(&image)) {
                entry.answer(answer);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_needed(&self) -> bool {
        self.needed_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// For how long there has been no answer to the last question.
    fn waited(&self) -> Option<Duration> {
        let waited = self.asked.map(|asked| asked.elapsed());
        waited.filter(|waited| *waited < LOST)
    }

    /// Until the answer is too old.
    fn due_in(&self, interval: Duration) -> Duration {
        let Some((at, answer)) = &self.answered else {
            return Duration::ZERO;
        };
        let kept = match answer {
            Ok(_) => interval,
            Err(_) => interval.min(ASK_AGAIN),
        };
        kept.saturating_sub(at.elapsed())
    }

    /// Keeps an answer. A registry that stays away for long needs a person.
    fn answer(&mut self, answer: Answer) {
        let now = Instant::now();
        let answer = match answer {
            Err(Unresolved::OutOfReach(words)) => {
                let since = *self.away_since.get_or_insert(now);
                match since.elapsed() < AWAY {
                    true => Err(Unresolved::OutOfReach(words)),
                    false => Err(Unresolved::Refused(words)),
                }
            }
            other => {
                self.away_since = None;
                other
            }
        };
        self.asked = None;
        self.answered = Some((now, answer));
    }
}
