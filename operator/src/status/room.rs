//! Fits conditions and figures into what the memory leaves of the status. The memory itself is never touched here: what is written is what was decided.

use crate::api::status::{CrmPlatformStatus, STATUS_LIMIT, fits, shortened};

/// Characters of the longest message of a condition, step by step.
const MESSAGES: [usize; 5] = [1024, 500, 250, 120, 60];

/// Shortens messages of conditions in their middle, and leaves out `delivery` before they say too little.
pub(crate) fn fit(status: &mut CrmPlatformStatus) {
    for limit in MESSAGES {
        if fits(status, STATUS_LIMIT) {
            return;
        }
        for condition in &mut status.conditions {
            if let Some(short) = shortened(&condition.message, limit) {
                condition.message = short;
            }
        }
        if limit <= MESSAGES[2] && !fits(status, STATUS_LIMIT) {
            status.delivery = None;
        }
    }
}
