//! One-shot requests of people: an annotation whose value is unlike the one that was handled last acts once. Safe with GitOps tools: a value that stays
//! in the manifest does nothing more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest value that is looked at, in characters.
pub const VALUE_LIMIT: usize = 256;

/// Longest name of a person that is kept, in characters.
pub const ACTOR_LIMIT: usize = 64;
/// Longest reason of a person that is kept, in characters.
pub const REASON_LIMIT: usize = 160;

/// A kind of request, and the annotation that makes it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// `crmplatform.io/abort`: the candidate ends; what is live returns to stable.
    Abort,
    /// `crmplatform.io/rollback-to`: an earlier release, whose id begins the value, serves again.
    RollbackTo,
    /// `crmplatform.io/retry`: what was held, rejected or refused is tried again from its beginning.
    Retry,
    /// `crmplatform.io/approve`: the candidate that waits for approval or for the end of a freeze window goes on.
    Approve,
    /// `crmplatform.io/skip-gate`: the candidate goes on without rehearsal and tests.
    SkipGate,
}

impl Token {
    /// All kinds, in the order in which they are handled.
    pub const ALL: [Self; 5] = [
        Self::Abort,
        Self::RollbackTo,
        Self::Retry,
        Self::Approve,
        Self::SkipGate,
    ];

    /// The annotation.
    pub fn annotation(self) -> &'static str {
        match self {
            Self::Abort => "crmplatform.io/abort",
            Self::RollbackTo => "crmplatform.io/rollback-to",
            Self::Retry => "crmplatform.io/retry",
            Self::Approve => "crmplatform.io/approve",
            Self::SkipGate => "crmplatform.io/skip-gate",
        }
    }
}

/// The last request of each kind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct LastHandled {
    /// The last value of `crmplatform.io/abort`, and what it did.
    #[serde(rename = "lastHandledAbort", skip_serializing_if = "Option::is_none")]
    pub abort: Option<HandledToken>,
    /// The last value of `crmplatform.io/rollback-to`, and what it did.
    #[serde(
        rename = "lastHandledRollbackTo",
        skip_serializing_if = "Option::is_none"
    )]
    pub rollback_to: Option<HandledToken>,
    /// The last value of `crmplatform.io/retry`, and what it did.
    #[serde(rename = "lastHandledRetry", skip_serializing_if = "Option::is_none")]
    pub retry: Option<HandledToken>,
    /// The last value of `crmplatform.io/approve`, and what it did.
    #[serde(rename = "lastHandledApprove", skip_serializing_if = "Option::is_none")]
    pub approve: Option<HandledToken>,
    /// The last value of `crmplatform.io/skip-gate`, and what it did.
    #[serde(
        rename = "lastHandledSkipGate",
        skip_serializing_if = "Option::is_none"
    )]
    pub skip_gate: Option<HandledToken>,
}

impl LastHandled {
    /// Where the last request of a kind is kept.
    pub fn of(&mut self, token: Token) -> &mut Option<HandledToken> {
        match token {
            Token::Abort => &mut self.abort,
            Token::RollbackTo => &mut self.rollback_to,
            Token::Retry => &mut self.retry,
            Token::Approve => &mut self.approve,
            Token::SkipGate => &mut self.skip_gate,
        }
    }
}

/// A request that was handled.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct HandledToken {
    /// Value of the annotation.
    #[schemars(length(max = VALUE_LIMIT))]
    pub value: String,
    /// When it was handled.
    pub at: Time,
    /// What it did, or why it did nothing.
    #[schemars(length(max = 300))]
    pub result: String,
}

/// What a person did to a release.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Intervention {
    /// What was asked for.
    pub token: Token,
    /// Who asked, as the value says before its first `: `; not proven, the API server's audit log is the proof. `unnamed` when the value names nobody.
    #[schemars(length(max = ACTOR_LIMIT))]
    pub actor: String,
    /// Why, as the value says.
    #[schemars(length(max = REASON_LIMIT))]
    pub reason: String,
    /// When it was handled.
    pub at: Time,
}
