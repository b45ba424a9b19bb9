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
/// How many lists one registry is asked for at a time. A limit for each of them: one that does not answer holds up only who follows its own repositories, and others that list many tags for seconds.
const AT_ONCE: usize = 2;
/// When a question that has to wait for others is looked at again.
const QUEUED: Duration = Duration::from_secs(5);
/// How long an answer is kept that nobody comes for. Whoever follows a repository looks at it every ten minutes at least, however seldom it is asked.
const KEPT: Duration = Duration::from_secs(20 * 60);
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
    /// When somebody came for it last.
    looked_at: Option<Instant>,
}

impl Listed {
    /// What is known of the tags beside an image. An answer older than `interval` is asked for again.
    pub fn of(&self, lister: &Lister, image: &str, interval: Duration) -> Listing {
        let name = repository(image);
        let mut all = self.lock();
        all.retain(|_, entry| entry.is_needed());
        let at_work = all
            .iter()
            .filter(|(other, entry)| registry(other) == registry(name) && entry.waited().is_some());
        let is_free = at_work.count() < AT_ONCE;
        let entry = all.entry(name.to_owned()).or_default();
        entry.looked_at = Some(Instant::now());
        let is_due = entry.waited().is_none() && entry.due_in(interval).is_zero();
        if is_due && is_free {
            entry.asked = Some(Instant::now());
            self.ask(lister.clone(), image.to_owned());
        }
        let again_in = match entry.waited() {
            Some(waited) => waited.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1),
            None if is_due => QUEUED,
            None => entry.due_in(interval),
        };
        let answered = entry.answered.as_ref();
        Listing {
            answer: answered.map(|(_, answer)| answer.clone()),
            again_in,
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

/// Which registry a repository is asked for from. One of a short name may count as another: it is only less often asked.
fn registry(repository: &str) -> &str {
    repository.split_once('/').map_or("", |(host, _)| host)
}

impl Entry {
    fn is_needed(&self) -> bool {
        let looked_at = self.looked_at.map(|at| at.elapsed());
        looked_at.is_some_and(|ago| ago < KEPT)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_only_as_long_as_somebody_comes_for_it() {
        let came = |ago: u64| Entry {
            looked_at: Instant::now().checked_sub(Duration::from_secs(ago)),
            ..Entry::default()
        };
        assert!(came(610).is_needed(), "the slowest who follow it");
        assert!(!came(1300).is_needed());
    }
}
