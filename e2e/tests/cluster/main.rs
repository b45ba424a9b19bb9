//! Behaviour on a real cluster, one file each. Every test has a namespace of its own; all share one operator, as tenants do.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod a_backup_that_cannot_be_restored_stops_the_release;
mod a_failed_then_passed_job_counts_as_passed_and_a_failed_job_never;
mod a_gateway_gives_a_canary_its_share;
mod a_newer_spec_cancels_tests_but_not_a_migration;
mod alone;
mod an_image_with_only_exit_codes_is_enough;
mod canary_stops_at_the_failing_step;
mod corrects_drift;
mod deletes_cleanly_and_keeps_the_database;
mod exposes_and_scales;
mod flask;
mod freezes_and_thaws;
mod gates_the_first_release;
mod holds_when_quota_forbids_a_job;
mod holds_when_quota_forbids_the_test_pod;
mod holds_when_the_test_image_cannot_be_pulled;
mod ignores_a_rejected_tag;
mod installs_from_nothing;
mod keeps_report_and_log_of_a_failed_test;
mod keeps_the_status_small;
mod migrates_a_database_that_others_made;
mod proves_its_backup_by_restoring_it;
mod reads_the_report_of_a_test;
mod refuses_a_foreign_job_of_our_name;
mod refuses_an_image_below_the_schema_floor;
mod refuses_what_breaks_a_rule;
mod restores_deleted_rows_as_the_document_says;
mod retries_once_per_token;
mod returns_to_stable_when_verify_fails;
mod rolls_back_within_the_schema_window_and_refuses_beyond_it;
mod rolls_out_under_load_without_a_failed_request;
mod rotates_a_secret_without_migrating;
mod setting;
mod stops_a_bad_image;
mod switches_all_services_together;
mod the_release_that_serves_must_survive_the_expand;
mod two_platforms_in_one_namespace;
mod uses_no_foreign_secret_of_its_name;
mod waits_for_approval_and_remembers_who;
