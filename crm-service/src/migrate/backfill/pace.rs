//! How many rows the next batch takes and how long to rest before it, from how the last one went. Pure.

use std::time::Duration;

/// A batch that takes longer holds its row locks for too long.
const SLOW: Duration = Duration::from_millis(400);
const FAST: Duration = Duration::from_millis(100);
const SHORTEST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(1);
const SMALLEST: i64 = 20;

/// The size of the next batch and the rest before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Rows in the next batch.
    pub size: i64,
    /// Rest before it.
    pub rest: Duration,
    most: i64,
}

impl Pace {
    /// Starts with the largest batch that the file allows.
    pub fn new(most: i64) -> Pace {
        Pace {
            size: most,
            rest: SHORTEST_REST,
            most,
        }
    }

    /// After a batch: at most half of the time is spent working, and the size follows the time that it took.
    pub fn took(&mut self, time: Duration) {
        self.rest = time.clamp(SHORTEST_REST, LONGEST_REST);
        if time > SLOW {
            self.shrink();
        } else if time < FAST {
            self.size = (self.size + self.size / 4 + 1).min(self.most);
        }
    }

    /// After a batch that had to step back for others.
    pub fn shrink(&mut self) {
        self.size = (self.size / 2).max(SMALLEST.min(self.most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_batches_shrink_and_fast_ones_grow_up_to_the_limit() {
        let mut pace = Pace::new(1000);
        pace.took(Duration::from_secs(2));
        assert_eq!((pace.size, pace.rest), (500, LONGEST_REST));
        pace.took(Duration::from_millis(200));
        assert_eq!((pace.size, pace.rest), (500, Duration::from_millis(200)));
        for _ in 0..10 {
            pace.took(Duration::from_millis(1));
        }
        assert_eq!((pace.size, pace.rest), (1000, SHORTEST_REST));
    }

    #[test]
    fn never_shrinks_to_nothing() {
        let (mut large, mut tiny) = (Pace::new(1000), Pace::new(3));
        for _ in 0..20 {
            large.shrink();
            tiny.shrink();
        }
        assert_eq!((large.size, tiny.size), (SMALLEST, 3));
    }
}
