//! Types and reasons of conditions and events: the one place where each word stands, with its meaning.

/// Summary: the release that the spec asks for serves.
pub const READY: &str = "Ready";
/// Present and True while the operator works towards the spec (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// Present and True when only a person can help (kstatus).
pub const STALLED: &str = "Stalled";
/// The tests of the release that the spec asks for have passed.
pub const TESTS_PASSED: &str = "TestsPassed";
/// The live schema is what the stable release needs.
pub const MIGRATED: &str = "Migrated";
/// All pods of the live services are available.
pub const AVAILABLE: &str = "Available";
/// The way in from outside is there (only with `spec.exposure`).
pub const EXPOSED: &str = "Exposed";

/// The release that the spec asks for serves.
pub const SERVING: &str = "Serving";
/// It serves; its stage Optimise is still going on.
pub const OPTIMISING: &str = "Optimising";
/// A release is on its way.
pub const PROGRESSING: &str = "Progressing";
/// The spec cannot be followed as it stands.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// An image reference could not be turned into a digest.
pub const IMAGE_NOT_RESOLVED: &str = "ImageNotResolved";
/// The live database could not be dumped, or what was dumped is not there.
pub const BACKUP_FAILED: &str = "BackupFailed";
/// The dump of the live database could not be restored.
pub const BACKUP_NOT_RESTORABLE: &str = "BackupNotRestorable";
/// The operator's configuration does not allow an image of the spec.
pub const IMAGE_NOT_ALLOWED: &str = "ImageNotAllowed";
/// An image of the spec has no signature by a key of the operator's configuration.
pub const IMAGE_NOT_SIGNED: &str = "ImageNotSigned";
/// A Secret that the platform needs is not there, or not labelled as one that it may use.
pub const SECRET_NOT_USABLE: &str = "SecretNotUsable";
/// The scratch database could not be made or filled.
pub const REHEARSAL_INCONCLUSIVE: &str = "RehearsalInconclusive";
/// The candidate's migrations failed on the scratch database.
pub const REHEARSAL_FAILED: &str = "RehearsalFailed";
/// The live schema's floor forbids this release.
pub const BELOW_SCHEMA_FLOOR: &str = "BelowSchemaFloor";
/// The candidate's pods did not become ready on the scratch database.
pub const CANDIDATE_NOT_READY: &str = "CandidateNotReady";
/// A test of the gate failed.
pub const TESTS_FAILED: &str = "TestsFailed";
/// What the candidate's migrations make of the schema breaks the release that serves.
pub const BREAKS_STABLE: &str = "BreaksStable";
/// The candidate is slower than the release that serves, by more than its test allows.
pub const SLOWER_THAN_STABLE: &str = "SlowerThanStable";
/// Whether the candidate is good could not be found out.
pub const GATE_INCONCLUSIVE: &str = "GateInconclusive";
/// The tests have not been run for the release that the spec asks for.
pub const NOT_TESTED: &str = "NotTested";
/// `spec.gate` is None.
pub const GATE_DISABLED: &str = "GateDisabled";
/// All tests of the gate have passed.
pub const ALL_TESTS_PASSED: &str = "AllTestsPassed";
/// A migration of the live database failed and was rolled back.
pub const MIGRATION_FAILED: &str = "MigrationFailed";
/// A migration of the live database could not be run, or needs attention.
pub const MIGRATION_INCONCLUSIVE: &str = "MigrationInconclusive";
/// The live schema is at the level of the stable release.
pub const UP_TO_DATE: &str = "UpToDate";
/// The pods of a service did not become ready in time.
pub const ROLLOUT_FAILED: &str = "RolloutFailed";
/// Pods of a service could not be made or started, somebody else keeps changing them, or the API server denies what the roll-out needs: that says nothing about the release, which went back.
pub const ROLLOUT_INCONCLUSIVE: &str = "RolloutInconclusive";
/// A canary did not pass its tests, or one of its pods was started again.
pub const CANARY_FAILED: &str = "CanaryFailed";
/// It could not be found out whether a canary passes its tests; the release went back.
pub const CANARY_INCONCLUSIVE: &str = "CanaryInconclusive";
/// A test against the live Services did not pass.
pub const VERIFY_FAILED: &str = "VerifyFailed";
/// It could not be found out whether the tests against the live Services pass; the release went back.
pub const VERIFY_INCONCLUSIVE: &str = "VerifyInconclusive";
/// All services are being returned to the stable release.
pub const RETURNING_TO_STABLE: &str = "ReturningToStable";
/// A newer spec took the place of this release.
pub const SUPERSEDED: &str = "Superseded";
/// A Job of the name we need stands there and is not ours.
pub const JOB_NOT_OURS: &str = "JobNotOurs";
/// Old columns and tables stay: the conditions for dropping them did not come to hold, or the newest dump of the live database was never restored.
pub const CONTRACT_REFUSED: &str = "ContractRefused";
/// Backfill or contract failed; the release stays.
pub const OPTIMISE_FAILED: &str = "OptimiseFailed";
/// The recorded inputs of a release are gone or cannot be read.
pub const RECORD_MISSING: &str = "RecordMissing";
/// The status is gone, and it cannot be told which release is stable.
pub const STATUS_LOST: &str = "StatusLost";
/// Event: the status was gone; the release that is live counts as stable.
pub const ADOPTED: &str = "Adopted";
/// The HTTPRoute or Ingress is made.
pub const ROUTES_MADE: &str = "RoutesMade";
/// The cluster knows no HTTPRoutes, and the spec asks for one.
pub const GATEWAY_API_MISSING: &str = "GatewayApiMissing";
/// Pods are missing.
pub const PODS_MISSING: &str = "PodsMissing";
/// `spec.paused` is set: nothing new begins.
pub const PAUSED: &str = "Paused";
/// A release waits for a person to approve it.
pub const WAITING_FOR_APPROVAL: &str = "WaitingForApproval";
/// A release waits for the end of a freeze window.
pub const FROZEN: &str = "Frozen";
/// A person ended the release.
pub const ABORTED: &str = "Aborted";
/// A person went back from this release to an earlier one.
pub const ROLLED_BACK: &str = "RolledBack";
/// A person let the release go on without rehearsal and tests.
pub const GATE_SKIPPED: &str = "GateSkipped";
/// Event: a request by annotation was carried out.
pub const REQUEST_HANDLED: &str = "RequestHandled";
/// Event: a request by annotation could not be carried out.
pub const REQUEST_REFUSED: &str = "RequestRefused";
/// All pods are available.
pub const PODS_AVAILABLE: &str = "PodsAvailable";
/// The embedded database has not come up for long; a release waits for it and goes on by itself once it answers.
pub const DATABASE_NOT_READY: &str = "DatabaseNotReady";
/// A call to the API server failed; it is tried again.
pub const APPLY_FAILED: &str = "ApplyFailed";

/// Event: an object that somebody changed or removed is as it should be again.
pub const DRIFT_CORRECTED: &str = "DriftCorrected";
/// Event: a stage of a release passed.
pub const STAGE_PASSED: &str = "StagePassed";
/// Event: a candidate gets another share of the requests.
pub const TRAFFIC_SHIFTED: &str = "TrafficShifted";
/// Event: a newer image was found by `spec.imageUpdate`, and becomes a release.
pub const IMAGE_FOUND: &str = "ImageFound";
/// Event: there may be a newer image, which is not used.
pub const IMAGE_NOT_FOLLOWED: &str = "ImageNotFollowed";
/// Event: a release serves.
pub const PROMOTED: &str = "Promoted";
/// Event: a release was rejected.
pub const REJECTED: &str = "Rejected";
/// Event: a release waits for a person.
pub const HELD: &str = "Held";
