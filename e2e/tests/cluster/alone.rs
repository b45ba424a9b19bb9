//! Tests that change the one operator that all tests share, so that no other may run meanwhile. By this name they run one after the other, and the others wait for them once.

mod makes_nothing_of_an_image_that_the_policy_forbids;
mod survives_kill_nine_at_every_stage;
mod two_leaders_migrate_once;
